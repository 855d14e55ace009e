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
	recipient, tag := c.query("recipient"), c.query("tag")
	page = []engagement{}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ref := range slices.Backward(c.server.tracked) {
		if ref.event.Kind != kind || of != nil && ref.mail != of || of == nil && ref.mail.Stream != stream ||
			recipient != "" && !strings.EqualFold(recipient, ref.event.Recipient) {
			continue
		}
		if tag == "" && (total < offset || len(page) == count) { // not shown, so it need not be decoded
			total++
			continue
		}
		body := engagementOf(ref.mail, contentOf(ref.mail).message(), ref.event)
		if tag != "" && (body.Tag == nil || *body.Tag != tag) {
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
