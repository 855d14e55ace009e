package api

import (
	"net/http"
	"slices"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/store"
)

// Most days of a query (ST-1).
const (
	maxDaily     = 31
	maxAggregate = 366
)

// counters are SendPost's eleven, but for the complaints, which have two names (see dailyCounters and totalCounters).
type counters struct {
	Processed    int64 `json:"processed"`
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Dropped      int64 `json:"dropped"`
	SMTPDropped  int64 `json:"smtpDropped"` // drops of an SMTP server of ours: there is none yet
	HardBounced  int64 `json:"hardBounced"`
	SoftBounced  int64 `json:"softBounced"`
	Opened       int64 `json:"opened"`
	Clicked      int64 `json:"clicked"`
	Unsubscribed int64 `json:"unsubscribed"`
}

// dailyCounters is SendPost's AccountStats.stat, totalCounters its AggregateStats: the one says spam, the other spams, and
// neither may say both (CL-1).
type (
	dailyCounters struct {
		counters
		Spam int64 `json:"spam"`
	}
	totalCounters struct {
		counters
		Spams int64 `json:"spams"`
	}
)

type dailyStat struct {
	Date string        `json:"date"`
	Stat dailyCounters `json:"stat"`
}

// counterOf is the counter that each kind of event adds to. Kinds that are not in it add to none: a deferral is not an end,
// so the message would be counted again with every try (SendPost leaves it open); to join a group again is no count of
// SendPost's.
var counterOf = map[event.Kind]func(*totalCounters) *int64{
	event.Processed:        func(c *totalCounters) *int64 { return &c.Processed },
	event.Sent:             func(c *totalCounters) *int64 { return &c.Sent },
	event.Delivered:        func(c *totalCounters) *int64 { return &c.Delivered },
	event.Dropped:          func(c *totalCounters) *int64 { return &c.Dropped },
	event.RenderingFailure: func(c *totalCounters) *int64 { return &c.Dropped },
	event.HardBounced:      func(c *totalCounters) *int64 { return &c.HardBounced },
	event.SoftBounced:      func(c *totalCounters) *int64 { return &c.SoftBounced },
	event.Opened:           func(c *totalCounters) *int64 { return &c.Opened },
	event.Clicked:          func(c *totalCounters) *int64 { return &c.Clicked },
	event.Unsubscribed:     func(c *totalCounters) *int64 { return &c.Unsubscribed },
	event.GroupUnsubscribe: func(c *totalCounters) *int64 { return &c.Unsubscribed },
	event.Spam:             func(c *totalCounters) *int64 { return &c.Spams },
}

// add counts events of one type.
func (c *totalCounters) add(n store.Count) {
	info, ok := event.Describe(n.Type)
	if !ok {
		return
	}
	if counter := counterOf[info.Kind]; counter != nil {
		*counter(c) += n.N
	}
}

// dailyStats answers with one entry for each day that has data.
func (s *server) dailyStats(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	counts, err := s.counts(r, a, maxDaily)
	if err != nil {
		return err
	}
	stats := []dailyStat{}
	var total totalCounters
	for i, n := range counts {
		total.add(n)
		if i+1 == len(counts) || counts[i+1].Day != n.Day {
			stats = append(stats, dailyStat{Date: n.Day, Stat: dailyCounters{counters: total.counters, Spam: total.Spams}})
			total = totalCounters{}
		}
	}
	return reply(w, http.StatusOK, stats)
}

func (s *server) aggregateStats(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	counts, err := s.counts(r, a, maxAggregate)
	if err != nil {
		return err
	}
	var total totalCounters
	for _, n := range counts {
		total.add(n)
	}
	return reply(w, http.StatusOK, total)
}

// counts reads the account's counters over the days that the query names, in the order of days.
func (s *server) counts(r *http.Request, a *directory.Account, most int) ([]store.Count, error) {
	from, to, err := days(r.URL.Query(), most)
	if err != nil {
		return nil, err
	}
	counts, err := s.Journal.Counts(r.Context(), store.CountFilter{AccountID: a.ID, From: from, To: to})
	if err != nil {
		return nil, err
	}
	sortByDay(counts)
	return counts, nil
}

func sortByDay(counts []store.Count) {
	slices.SortStableFunc(counts, func(a, b store.Count) int { return strings.Compare(a.Day, b.Day) })
}
