package postmark

import (
	"slices"
	"strings"

	"postyard/internal/sandbox/store"
)

type openList struct {
	TotalCount int
	Opens      []engagement
}

type clickList struct {
	TotalCount int
	Clicks     []engagement
}

// isTracked tells whether the read API lists an event: it keeps the first open of each recipient only, while webhooks tell of
// every one.
func isTracked(e store.Event) bool {
	return e.Kind == store.Opened && e.First || e.Kind == store.Clicked
}

// readerFilter are the filters for who read a message, by their names in lower case; those that are not given are absent (PM-sim 48).
type readerFilter map[string]string

func (c *call) readerFilter() readerFilter {
	f := readerFilter{}
	for _, key := range []string{"client_name", "client_company", "client_family", "os_name", "os_company", "os_family", "platform", "country",
		"region", "city"} {
		if wanted := c.query(key); wanted != "" {
			f[key] = wanted
		}
	}
	return f
}

// matches tells whether an open or a click is of the reader that a request asks for.
func (f readerFilter) matches(e engagement) bool {
	if len(f) == 0 {
		return true
	}
	for key, have := range map[string]string{"client_name": e.Client.Name, "client_company": e.Client.Company, "client_family": e.Client.Family,
		"os_name": e.OS.Name, "os_company": e.OS.Company, "os_family": e.OS.Family, "platform": e.Platform, "country": e.Geo.Country,
		"region": e.Geo.Region, "city": e.Geo.City} {
		if wanted := f[key]; wanted != "" && !strings.EqualFold(wanted, have) {
			return false
		}
	}
	return true
}

// listOpens lists first opens, newest first.
func (s *Simulator) listOpens(c *call) (any, error) {
	total, page, err := s.trackedPage(c, store.Opened, nil)
	return openList{total, page}, err
}

// listClicks lists clicks, newest first.
func (s *Simulator) listClicks(c *call) (any, error) {
	total, page, err := s.trackedPage(c, store.Clicked, nil)
	return clickList{total, page}, err
}

func (s *Simulator) messageOpens(c *call) (any, error) {
	mail, _, err := s.findMessage(c)
	if err != nil {
		return nil, err
	}
	total, page, err := s.trackedPage(c, store.Opened, mail)
	return openList{total, page}, err
}

func (s *Simulator) messageClicks(c *call) (any, error) {
	mail, _, err := s.findMessage(c)
	if err != nil {
		return nil, err
	}
	total, page, err := s.trackedPage(c, store.Clicked, mail)
	return clickList{total, page}, err
}

// trackedPage returns a page of opens or clicks, of one mail or of a stream. These lists cannot be narrowed to a time, and
// their entries carry no metadata.
func (s *Simulator) trackedPage(c *call, kind store.Kind, of *store.Mail) (total int, page []engagement, err error) {
	count, offset, err := c.paging(codeMessagePaging)
	if err != nil {
		return 0, nil, err
	}
	stream := strings.ToLower(c.query("messagestream"))
	if stream == "" {
		stream = defaultStream
	}
	recipient, tag, reader := c.query("recipient"), c.query("tag"), c.readerFilter()
	page = []engagement{}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ref := range slices.Backward(c.server.tracked) {
		if ref.event.Kind != kind || of != nil && ref.mail != of || of == nil && ref.mail.Stream != stream ||
			recipient != "" && !strings.EqualFold(recipient, ref.event.Recipient) {
			continue
		}
		if tag == "" && len(reader) == 0 && (total < offset || len(page) == count) { // not shown, so it need not be decoded
			total++
			continue
		}
		body := engagementOf(ref.mail, contentOf(ref.mail).message(), ref.event)
		if tag != "" && (body.Tag == nil || *body.Tag != tag) || !reader.matches(body) {
			continue
		}
		if total >= offset && len(page) < count {
			body.Metadata = nil
			page = append(page, body)
		}
		total++
	}
	return total, page, nil
}
