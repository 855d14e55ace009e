package postmark

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"postyard/internal/sandbox/store"
	"postyard/internal/sandbox/weblink"
)

// Statistics count recipients, from the events that the store has: what was sent by the day of the message, what happened to it by the day
// on which it did. Days are those of the eastern United States (PM-sim 51).

// period is a part of what a server sent, and the time of what is counted.
type period struct {
	server   *server
	streams  []string // ids
	tag      string
	from, to time.Time
}

func (c *call) period(s *Simulator) (p period, err error) {
	p = period{server: c.server, tag: c.query("tag")}
	if p.from, err = c.date("fromdate", false, codeParameter); err != nil {
		return p, err
	}
	if p.to, err = c.date("todate", true, codeParameter); err != nil {
		return p, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if wanted := c.query("messagestream"); wanted != "" {
		m, err := c.server.findStream(wanted)
		if err != nil {
			return p, err
		}
		p.streams = []string{m.ID}
		return p, nil
	}
	for _, m := range c.server.streams {
		p.streams = append(p.streams, m.ID)
	}
	return p, nil
}

func (p *period) holds(at time.Time) bool {
	return !at.Before(p.from) && (p.to.IsZero() || !at.After(p.to))
}

// patienceEvery is after how many messages it is looked whether anyone still waits for the count.
const patienceEvery = 1000

// walk shows every message that may count, with its events.
func (s *Simulator) walk(ctx context.Context, p period, see func(*store.Mail, *content, []store.Event)) error {
	for _, id := range p.streams {
		keys := []string{store.Key(fieldStream, p.server.key()+"/"+id)}
		if p.tag != "" {
			keys = append(keys, store.Key(fieldTag, p.tag))
		}
		_, mails := s.store.Find(store.Query{Keys: keys, Until: p.to, Limit: math.MaxInt})
		for i, mail := range mails {
			if m := contentOf(mail); m != nil && m.owner == p.server {
				see(mail, m, s.store.Events(mail))
			}
			if i%patienceEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// daily are counts by day and in all. In JSON the counts stand beside the days; where nothing was counted there is no total.
type daily struct {
	zone   *time.Location
	days   map[string]map[string]int
	all    map[string]int
	totals []string // that are there, even as 0, as soon as anything was counted
}

func newDaily(totals ...string) *daily {
	return &daily{zone: eastern(), days: map[string]map[string]int{}, all: map[string]int{}, totals: totals}
}

func (t *daily) add(at time.Time, name string, n int) {
	day := at.In(t.zone).Format(time.DateOnly)
	if t.days[day] == nil {
		t.days[day] = map[string]int{}
	}
	t.days[day][name] += n
	t.all[name] += n
}

// MarshalJSON writes the days in order.
func (t *daily) MarshalJSON() ([]byte, error) {
	days := []map[string]any{}
	for _, day := range slices.Sorted(maps.Keys(t.days)) {
		one := map[string]any{"Date": day}
		for name, n := range t.days[day] {
			one[name] = n
		}
		days = append(days, one)
	}
	out := map[string]any{"Days": days}
	if len(days) > 0 {
		for _, name := range t.totals {
			out[name] = 0
		}
	}
	for name, n := range t.all {
		out[name] = n
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("postmark: statistics: %w", err)
	}
	return raw, nil
}

// count makes daily counts of events; what says under which names an event counts, if under any.
func (s *Simulator) count(c *call, totals []string, what func(store.Event) []string) (any, error) {
	p, err := c.period(s)
	if err != nil {
		return nil, err
	}
	t := newDaily(totals...)
	err = s.walk(c.Context(), p, func(_ *store.Mail, _ *content, events []store.Event) {
		for _, e := range events {
			if !p.holds(e.At) {
				continue
			}
			for _, name := range what(e) {
				t.add(e.At, name, 1)
			}
		}
	})
	return t, err
}

// countSent makes daily counts of messages, as many as they have recipients.
func (s *Simulator) countSent(c *call, name string, wanted func(*content) bool) (any, error) {
	p, err := c.period(s)
	if err != nil {
		return nil, err
	}
	t := newDaily(name)
	err = s.walk(c.Context(), p, func(mail *store.Mail, m *content, _ []store.Event) {
		if p.holds(mail.ReceivedAt) && wanted(m) {
			t.add(mail.ReceivedAt, name, len(m.recipients))
		}
	})
	return t, err
}

func (s *Simulator) sentCounts(c *call) (any, error) {
	return s.countSent(c, "Sent", func(*content) bool { return true })
}

func (s *Simulator) trackedCounts(c *call) (any, error) {
	return s.countSent(c, "Tracked", func(m *content) bool {
		opens, links := m.tracked()
		return opens || links
	})
}

// tracked tells what of a message is tracked.
func (m *content) tracked() (opens, links bool) {
	from := m.message()
	inHTML, inText := m.tracksLinks(from)
	return m.tracksOpens(from), inHTML || inText
}

const smtpError = "SMTPApiError"

func (s *Simulator) bounceCounts(c *call) (any, error) {
	return s.count(c, []string{hardBounce, "SoftBounce", smtpError, "Transient"}, func(e store.Event) []string {
		if e.Kind == store.Bounced {
			return []string{e.Type}
		}
		return nil
	})
}

func (s *Simulator) spamCounts(c *call) (any, error) {
	return s.count(c, []string{spamComplaint}, func(e store.Event) []string {
		if e.Kind == store.Complained {
			return []string{spamComplaint}
		}
		return nil
	})
}

func (s *Simulator) openCounts(c *call) (any, error) {
	return s.count(c, []string{"Opens", "Unique"}, func(e store.Event) []string {
		switch {
		case e.Kind != store.Opened:
			return nil
		case e.First:
			return []string{"Opens", "Unique"}
		}
		return []string{"Opens"}
	})
}

// countTracked counts what the read API lists of a kind: first opens, and clicks.
func (s *Simulator) countTracked(c *call, kind store.Kind, totals []string, name func(store.Event) string) (any, error) {
	return s.count(c, totals, func(e store.Event) []string {
		if e.Kind == kind && isTracked(e) {
			return []string{name(e)}
		}
		return nil
	})
}

// The names under which the reader that all opens and clicks come from counts.
const samplePlatform = "WebMail"

func platforms() []string { return []string{"Desktop", "Mobile", "Unknown", samplePlatform} }

func always(name string) func(store.Event) string { return func(store.Event) string { return name } }

func (s *Simulator) openPlatforms(c *call) (any, error) {
	return s.countTracked(c, store.Opened, platforms(), always(samplePlatform))
}

func (s *Simulator) openClients(c *call) (any, error) {
	return s.countTracked(c, store.Opened, nil, always(sampleClient.Name))
}

func (s *Simulator) readTimes(c *call) (any, error) {
	return s.countTracked(c, store.Opened, nil, always(fmt.Sprintf("%ds", sampleReadSeconds)))
}

// clickCounts are equal: a click is reported once per recipient and link.
func (s *Simulator) clickCounts(c *call) (any, error) {
	return s.count(c, []string{"Clicks", "Unique"}, func(e store.Event) []string {
		if e.Kind == store.Clicked {
			return []string{"Clicks", "Unique"}
		}
		return nil
	})
}

func (s *Simulator) clickBrowsers(c *call) (any, error) {
	return s.countTracked(c, store.Clicked, nil, always(sampleClient.Family))
}

func (s *Simulator) clickPlatforms(c *call) (any, error) {
	return s.countTracked(c, store.Clicked, platforms(), always(samplePlatform))
}

func (s *Simulator) clickLocations(c *call) (any, error) {
	return s.countTracked(c, store.Clicked, []string{"HTML", "Text"}, func(e store.Event) string {
		if e.Text {
			return "Text"
		}
		return "HTML"
	})
}

type overview struct {
	Sent                  int
	Bounced               int
	SMTPApiErrors         int
	BounceRate            float64
	SpamComplaints        int
	SpamComplaintsRate    float64
	Tracked               int
	Opens                 int
	UniqueOpens           int
	TotalClicks           int
	UniqueLinksClicked    int
	WithClientRecorded    int
	WithPlatformRecorded  int
	WithReadTimeRecorded  int
	WithLinkTracking      int
	WithOpenTracking      int
	TotalTrackedLinksSent int
}

func (o *overview) addSent(m *content) {
	n := len(m.recipients)
	o.Sent += n
	opens, tracked := m.tracked()
	if opens {
		o.WithOpenTracking += n
	}
	if opens || tracked {
		o.Tracked += n
	}
	if !tracked {
		return
	}
	o.WithLinkTracking += n
	from := m.message()
	if out, err := m.render(from); err == nil {
		o.TotalTrackedLinksSent += n * len(m.links(from, out, weblink.Most))
	}
}

func (o *overview) addEvent(e store.Event) {
	switch e.Kind {
	case store.Bounced:
		if e.Type == smtpError {
			o.SMTPApiErrors++
		} else {
			o.Bounced++
		}
	case store.Complained:
		o.SpamComplaints++
	case store.Opened:
		o.Opens++
		if e.First {
			o.UniqueOpens++
			o.WithClientRecorded++
			o.WithPlatformRecorded++
			o.WithReadTimeRecorded++
		}
	case store.Clicked:
		o.TotalClicks++
		o.UniqueLinksClicked++
	}
}

// rate is in percent, with three digits.
func rate(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return math.Round(float64(part)/float64(of)*100_000) / 1000
}

func (s *Simulator) outboundOverview(c *call) (any, error) {
	p, err := c.period(s)
	if err != nil {
		return nil, err
	}
	var o overview
	err = s.walk(c.Context(), p, func(mail *store.Mail, m *content, events []store.Event) {
		if p.holds(mail.ReceivedAt) {
			o.addSent(m)
		}
		for _, e := range events {
			if p.holds(e.At) {
				o.addEvent(e)
			}
		}
	})
	o.BounceRate, o.SpamComplaintsRate = rate(o.Bounced, o.Sent), rate(o.SpamComplaints, o.Sent)
	return o, err
}
