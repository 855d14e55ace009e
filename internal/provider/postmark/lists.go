package postmark

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postyard/internal/provider"
)

// listing is one of Postmark's lists, which come in pages.
type listing struct {
	name  string // for people
	path  string
	key   string // of the entries in the answer
	date  string // an entry's field with its time
	dated bool   // it can be narrowed to a span of time
	ours  bool   // it can be narrowed to what this connection sent
	parse func(a *Adapter, to []provider.Report, entry record) []provider.Report
}

var (
	messagesList = listing{name: "messages", path: "/messages/outbound", key: "Messages", date: "ReceivedAt", dated: true, ours: true}
	bouncesList  = listing{name: "bounces", path: "/bounces", key: "Bounces", date: "BouncedAt", dated: true}
	opensList    = listing{name: "opens", path: "/messages/outbound/opens", key: "Opens", date: "ReceivedAt", parse: (*Adapter).opened}
	clicksList   = listing{name: "clicks", path: "/messages/outbound/clicks", key: "Clicks", date: "ReceivedAt", parse: (*Adapter).clicked}
)

// page reads one page. An entry that is no object is left out.
func (r *reading) page(ctx context.Context, l listing, query url.Values) (total int64, entries []record, err error) {
	query.Set("messagestream", r.conn.Stream)
	var answer record
	if err := r.ask(ctx, call{method: http.MethodGet, path: l.path, query: query}, &answer); err != nil {
		return 0, nil, err
	}
	if !answer.hasList(l.key) {
		return 0, nil, unreadable(l.path)
	}
	return answer.integer("TotalCount"), answer.list(l.key), nil
}

// span is a part of the past, as the query has it; its empty ends are open.
type span struct{ from, to time.Time }

// query is the page of a list at an offset.
func (l listing) query(conn provider.Connection, offset int) url.Values {
	q := url.Values{"count": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)}}
	if l.ours {
		q.Set("metadata_"+tpspIDKey, strconv.Itoa(int(conn.TPSPID)))
	}
	return q
}

// narrow limits a query to a span. Dates are those of the US East Coast. Summer time is not minded: it shifts all spans alike,
// to an hour earlier, so that they still meet, and the last one has no end.
func (s span) narrow(q url.Values) {
	const layout = "2006-01-02T15:04:05"
	eastern := time.FixedZone("EST", -5*60*60)
	q.Set("fromdate", s.from.In(eastern).Format(layout))
	if !s.to.IsZero() {
		q.Set("todate", s.to.In(eastern).Format(layout))
	}
}

// read yields the reports of a list that can be narrowed, or says what is missing of it.
func (r *reading) read(ctx context.Context, l listing, parse func(to []provider.Report, entry record) []provider.Report) error {
	return r.pages(ctx, l, func(_ context.Context, entries []record) error {
		var reports []provider.Report
		for _, e := range entries {
			reports = parse(reports, e)
		}
		return r.yield(reports)
	})
}

// readReachable yields the reports of a list that cannot be narrowed. whole is false when it goes on where Postmark ends it.
func (r *reading) readReachable(ctx context.Context, l listing) (whole bool, err error) {
	return r.walk(ctx, l, nil, func(_ context.Context, entries []record) error {
		var reports []provider.Report
		for _, e := range entries {
			reports = l.parse(r.adapter, reports, e)
		}
		return r.yield(reports)
	})
}

// pages takes all entries of a list since the time that is asked for. When they are more than Postmark shows, it takes them
// span by span.
func (r *reading) pages(ctx context.Context, l listing, take func(context.Context, []record) error) error {
	whole, err := r.walk(ctx, l, func(q url.Values) {
		// The day before: whole days are sure to be understood, and days on the East Coast begin after those of UTC.
		q.Set("fromdate", r.past.Since.UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	}, take)
	if whole || err != nil {
		return err
	}
	return r.divide(ctx, l, span{from: r.past.Since}, take)
}

// shortest is the span that is not divided any more.
const shortest = time.Minute

// divide halves a span until Postmark shows all of it.
func (r *reading) divide(ctx context.Context, l listing, s span, take func(context.Context, []record) error) error {
	end := s.to
	if end.IsZero() {
		end = r.adapter.now()
	}
	middle := s.from.Add(end.Sub(s.from) / 2)
	halves := []span{{s.from, middle}, {middle, s.to}}
	counts, err := r.totals(ctx, l, append(halves, s))
	if err != nil {
		return err
	}
	timeless := counts[2] > int64(r.adapter.reach) && counts[0]+counts[1] > counts[2]+counts[2]/2 // each half is the whole: only the day counts
	if timeless || end.Sub(s.from) < shortest {
		r.miss("%s from %s on, beyond %d", l.name, s.from.UTC().Format(time.RFC3339), r.adapter.reach)
		_, err := r.walk(ctx, l, s.narrow, take)
		return err
	}
	for i, half := range halves {
		whole := false
		if counts[i] <= int64(r.adapter.reach) {
			if whole, err = r.walk(ctx, l, half.narrow, take); err != nil {
				return err
			}
		}
		if !whole {
			if err := r.divide(ctx, l, half, take); err != nil {
				return err
			}
		}
	}
	return nil
}

// totals returns how many entries each span has.
func (r *reading) totals(ctx context.Context, l listing, spans []span) ([]int64, error) {
	counts := make([]int64, len(spans))
	for i, s := range spans {
		query := l.query(r.conn, 0)
		query.Set("count", "1")
		s.narrow(query)
		var err error
		if counts[i], _, err = r.page(ctx, l, query); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// walk takes the entries of a list, page by page, until there are no more or what follows is older than asked for. whole is
// false when Postmark ended it before.
func (r *reading) walk(ctx context.Context, l listing, narrow func(url.Values), take func(context.Context, []record) error) (whole bool, err error) {
	var order order
	for offset := 0; offset < r.adapter.reach; offset += pageSize {
		query := l.query(r.conn, offset)
		if narrow != nil {
			narrow(query)
		}
		_, entries, err := r.page(ctx, l, query)
		if err != nil {
			return false, err
		}
		var fresh []record
		for _, e := range entries {
			at, dated := parseTime(e.text(l.date, maxID))
			if !dated {
				continue // when it happened must not be invented
			}
			order.observe(at)
			if !at.Before(r.past.Since) {
				fresh = append(fresh, e)
			}
		}
		if err := take(ctx, fresh); err != nil {
			return false, err
		}
		if len(entries) < pageSize || order.past(r.past.Since) {
			return true, nil
		}
	}
	return false, nil
}

// delivered reads a delivery among the events of a message's details.
func (a *Adapter) delivered(to []provider.Report, m, e record) []provider.Report {
	r := append(m.about(), field{"Recipient", e.raw("Recipient")}, field{"DeliveredAt", e.raw("ReceivedAt")},
		field{"Details", e.object("Details").raw("DeliveryMessage")})
	return a.readBack(to, r, "DeliveredAt", a.delivery)
}

// bounced reads an entry of the bounces.
func (a *Adapter) bounced(to []provider.Report, e record) []provider.Report {
	return a.readBack(to, e, "BouncedAt", func(r record) (provider.Report, bool) { return a.bounce(r, recordBounce) })
}

func (a *Adapter) opened(to []provider.Report, e record) []provider.Report {
	return a.readBack(to, e, "ReceivedAt", func(r record) (provider.Report, bool) { return a.engagement(r, recordOpen) })
}

func (a *Adapter) clicked(to []provider.Report, e record) []provider.Report {
	return a.readBack(to, e, "ReceivedAt", func(r record) (provider.Report, bool) { return a.engagement(r, recordClick) })
}

// about returns what the events of a message tell of it.
func (r record) about() (common record) {
	for _, key := range [...]string{"MessageID", "MessageStream", "Tag", "Metadata"} {
		common = append(common, field{key, r.raw(key)})
	}
	return common
}

// readBack parses what is read back as if a webhook had brought it. It is no sample: those are not kept.
func (a *Adapter) readBack(to []provider.Report, r record, dateKey string, parse func(record) (provider.Report, bool)) []provider.Report {
	if _, dated := parseTime(r.text(dateKey, maxID)); !dated {
		return to
	}
	report, ok := parse(r)
	if !ok || report.ProviderMessageID == "" || report.Recipient == "" {
		return to
	}
	report.Sample = false
	return append(to, report)
}

// hasList tells whether a field is a list.
func (r record) hasList(key string) bool {
	return strings.HasPrefix(r.raw(key), "[")
}

// list returns the objects of a nested list. Entries of another kind are empty records.
func (r record) list(key string) []record {
	var nested []json.RawMessage
	if json.Unmarshal([]byte(r.raw(key)), &nested) != nil {
		return nil
	}
	entries := make([]record, len(nested))
	for i, raw := range nested {
		if err := json.Unmarshal(raw, &entries[i]); err != nil {
			entries[i] = nil
		}
	}
	return entries
}

// order is the direction in which entries are seen to come. Postmark does not promise that they come newest first, and
// stopping early on the other order would pass over what is there.
type order struct {
	last         time.Time // of the entry before
	fell, climbs bool      // the entries were seen to go back in time; they were seen to go forward
}

func (o *order) observe(at time.Time) {
	if !o.last.IsZero() {
		o.fell = o.fell || at.Before(o.last)
		o.climbs = o.climbs || at.After(o.last.Add(searchSlack))
	}
	o.last = at
}

// past tells whether all entries that follow are older than a time.
func (o *order) past(since time.Time) bool {
	return o.fell && !o.climbs && o.last.Before(since.Add(-searchSlack))
}

// pauseAfter waits after the n-th failure in a row: a second, doubled each time.
func pauseAfter(ctx context.Context, n int) error {
	timer := time.NewTimer(time.Second << min(n-1, 4))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("no time is left to wait")
	}
}
