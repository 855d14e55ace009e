package api

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"postyard/internal/compare"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

// statRow is one row of a breakdown.
type statRow struct {
	id   int64
	name string
	figures
}

// events is how many events a row counts, of whatever kind.
func (r *statRow) events() int64 {
	return r.Processed + r.Sent + r.Delivered + r.Dropped + r.HardBounced + r.SoftBounced + r.Opened + r.Clicked + r.Unsubscribed + r.Spam
}

// breakdown is what statistics are broken down by.
type breakdown struct {
	name      string // in the path
	words     string
	by        store.StatKey
	dimension store.Dimension
	keeps     func(key int64) bool // nil: all
	shape     func(*statRow) any   // a row as the answer has it
}

// list is an empty answer.
func (b breakdown) list() any {
	return reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(b.shape(&statRow{}))), 0, 0).Interface()
}

// The rows of SendPost's.
type (
	tpspRow struct {
		TPSPID int64  `json:"tpspId"`
		Name   string `json:"name"`
		rowCounters
	}
	subAccountRow struct {
		SID  int64  `json:"sid"`
		Name string `json:"name"`
		rowCounters
	}
	providerRow struct {
		Provider string `json:"provider"`
		rowCounters
	}
	groupRow struct {
		Group string `json:"group"`
		rowCounters
	}
)

// The rows of ours. SendPost does not show those of domains.
type (
	domainRow struct {
		ID   int64  `json:"id"` // 0 when there is no such domain
		Name string `json:"name"`
		rowCounters
	}
	reasonRow struct {
		Reason      string `json:"reason"`
		HardBounced int64  `json:"hardBounced"`
		SoftBounced int64  `json:"softBounced"`
	}
	deviceRow struct {
		Device string `json:"device"`
		engagement
	}
	clientRow struct {
		Client string `json:"client"`
		engagement
	}
	osRow struct {
		OS string `json:"os"`
		engagement
	}
	countryRow struct {
		Country string `json:"country"`
		engagement
	}
)

var (
	byTPSP = breakdown{name: "tpsp", words: "provider", by: store.ByEgress, keeps: func(e int64) bool { return e >= 0 },
		shape: func(r *statRow) any { return tpspRow{r.id, r.name, r.row()} }}
	bySubAccount = breakdown{name: "subaccount", words: "sub-account", by: store.BySubAccount,
		shape: func(r *statRow) any { return subAccountRow{r.id, r.name, r.row()} }}
	byProvider = breakdown{name: "provider", words: "mailbox provider", by: store.ByMailbox,
		shape: func(r *statRow) any { return providerRow{r.name, r.row()} }}
	byGroup = breakdown{name: "group", words: "group", by: store.ByValue, dimension: store.DimensionGroup,
		shape: func(r *statRow) any { return groupRow{r.name, r.row()} }}
	byDomain = breakdown{name: "domain", words: "whitelisted domain", by: store.ByValue, dimension: store.DimensionDomain,
		shape: func(r *statRow) any { return domainRow{r.id, r.name, r.row()} }}
	byReason = breakdown{name: "reason", words: "reason of bounces", by: store.ByValue, dimension: store.DimensionReason,
		shape: func(r *statRow) any { return reasonRow{r.name, r.HardBounced, r.SoftBounced} }}
	byDevice = breakdown{name: "device", words: "device of opens and clicks", by: store.ByValue, dimension: store.DimensionDevice,
		shape: func(r *statRow) any { return deviceRow{r.name, r.engagement()} }}
	byClient = breakdown{name: "client", words: "program of opens and clicks", by: store.ByValue, dimension: store.DimensionClient,
		shape: func(r *statRow) any { return clientRow{r.name, r.engagement()} }}
	byOS = breakdown{name: "os", words: "operating system of opens and clicks", by: store.ByValue, dimension: store.DimensionOS,
		shape: func(r *statRow) any { return osRow{r.name, r.engagement()} }}
	byCountry = breakdown{name: "country", words: "country of opens and clicks", by: store.ByValue, dimension: store.DimensionCountry,
		shape: func(r *statRow) any { return countryRow{r.name, r.engagement()} }}
)

// rows returns the rows of a breakdown that are asked for, on all pages, and which page is.
func (s *server) rows(r *http.Request, b breakdown, f store.StatFilter) (rows []*statRow, p rowPage, err error) {
	if p, err = readRowPage(r.URL.Query()); err != nil {
		return nil, p, err
	}
	f.By = b.by
	if b.dimension != store.NoDimension {
		f.Dimension = b.dimension
	}
	sums, err := s.sums(r, f)
	if err != nil {
		return nil, p, err
	}
	name, err := s.namer(r, b, f.AccountID, f.SubAccountID)
	if err != nil {
		return nil, p, err
	}
	if b.keeps != nil {
		sums = slices.DeleteFunc(sums, func(sum store.Stat) bool { return !b.keeps(sum.Key) })
	}
	var row *statRow
	for i := range sums {
		if i == 0 || sums[i].Key != sums[i-1].Key || sums[i].Value != sums[i-1].Value {
			row = &statRow{id: sums[i].Key, name: sums[i].Value}
			name(row)
			rows = append(rows, row)
		}
		row.add(&sums[i])
	}
	rows = slices.DeleteFunc(rows, func(row *statRow) bool { return !p.selects(row) })
	p.sort(rows)
	return rows, p, nil
}

// namer returns what completes the id and name of a row. What was deleted keeps its name.
func (s *server) namer(r *http.Request, b breakdown, accountID, subAccountID int32) (func(*statRow), error) {
	view := s.Directory.Current()
	switch b.by {
	case store.ByEgress:
		return func(row *statRow) {
			e := route.Egress(row.id)
			row.id = int64(max(e.TPSPID(), e.IPID()))
			if t := view.Egress(e); t != nil && t.AccountID == accountID {
				row.name = t.Name
			}
		}, nil
	case store.BySubAccount:
		former, err := s.Statistics.FormerSubAccounts(r.Context(), accountID)
		return func(row *statRow) {
			if sub := view.SubAccount(accountID, int32(row.id)); sub != nil {
				row.name = sub.Name
			} else {
				row.name = former[int32(row.id)]
			}
		}, err
	case store.ByMailbox:
		return func(row *statRow) {
			if class, err := mailbox.ByID(int(row.id)); err == nil {
				row.name = string(class)
			}
		}, nil
	}
	if b.dimension != store.DimensionDomain {
		return func(*statRow) {}, nil
	}
	ids, ranks := map[string]int32{}, map[string]int{}
	for _, d := range view.EveryDomain(accountID) { // the sub-account's own goes before others, one in use before a deleted one
		rank := 1
		if d.Deleted.IsZero() {
			rank += 2
		}
		if d.SubAccountID == subAccountID {
			rank++
		}
		if rank > ranks[d.Name] {
			ids[d.Name], ranks[d.Name] = d.ID, rank
		}
	}
	return func(row *statRow) { row.id = int64(ids[row.name]) }, nil
}

func (s *server) replyRows(b breakdown) statReply {
	return func(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
		rows, p, err := s.rows(r, b, f)
		if err != nil {
			return err
		}
		answers := []any{}
		for _, row := range cut(rows, p.page) {
			answers = append(answers, b.shape(row))
		}
		return reply(w, http.StatusOK, answers)
	}
}

// countAnswer is how many rows a list has.
type countAnswer struct {
	Count int `json:"count"`
}

func (s *server) replyCount(b breakdown) statReply {
	return func(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
		rows, _, err := s.rows(r, b, f)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, countAnswer{len(rows)})
	}
}

// delayAnswer tells how long mail took from acceptance to delivery. The mean is exact; median and 95th percentile are right within 5 %, or, when
// there are deliveries of the time before fine spans, as the spans have them, and 0 when nothing was delivered.
type delayAnswer struct {
	Delivered int64       `json:"delivered"`
	MeanMs    int64       `json:"meanMs"`
	MedianMs  int64       `json:"medianMs"`
	P95Ms     int64       `json:"p95Ms"`
	Spans     []delaySpan `json:"spans"`
}

// delaySpan counts deliveries that took longer than the span before it.
type delaySpan struct {
	UpToSeconds int64 `json:"upToSeconds"` // 0: longer than all spans
	Delivered   int64 `json:"delivered"`
}

func (s *server) replyDelay(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
	f.By, f.Dimension = store.ByValue, store.DimensionDelay
	sums, err := s.sums(r, f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, delayAnswerOf(sums))
}

func delayAnswerOf(sums []store.Stat) delayAnswer {
	answer := delayAnswer{Spans: []delaySpan{}}
	spans, exact := map[int64]int64{}, compare.Histogram{}
	var together int64
	for i := range sums {
		upTo, err := strconv.ParseInt(sums[i].Value, 10, 64)
		if end, fine := compare.ReadSpan(sums[i].Value); fine {
			upTo = compare.CoarseOf(end)
			exact[end] += sums[i].N
		} else if err != nil {
			upTo = 0
		}
		spans[upTo] += sums[i].N
		answer.Delivered += sums[i].N
		together += sums[i].Millis
	}
	if answer.Delivered == 0 {
		return answer
	}
	answer.MeanMs = together / answer.Delivered
	for upTo, n := range spans {
		answer.Spans = append(answer.Spans, delaySpan{upTo, n})
	}
	slices.SortFunc(answer.Spans, func(a, b delaySpan) int { return cmp.Compare(uint64(a.UpToSeconds-1), uint64(b.UpToSeconds-1)) }) // 0 is the last
	if answer.MedianMs, answer.P95Ms = answer.percentile(50), answer.percentile(95); exact.Count() == answer.Delivered {
		answer.MedianMs, answer.P95Ms = exact.Percentile(50), exact.Percentile(95)
	}
	return answer
}

// percentile is the time within which that many of a hundred deliveries were made, as if those of a span were spread evenly over it.
// What took longer than all spans counts as the longest of them.
func (a *delayAnswer) percentile(percent int64) int64 {
	rank := (a.Delivered*percent + 99) / 100 // of the delivery that is looked for, from 1 on
	before := int64(0)
	for _, span := range a.Spans {
		if before+span.Delivered < rank {
			before += span.Delivered
			continue
		}
		from, to := spanOf(span.UpToSeconds)
		return (from + time.Duration(float64(to-from)*float64(rank-before)/float64(span.Delivered))).Milliseconds()
	}
	return 0
}

// spanOf returns where a span begins and ends.
func spanOf(upTo int64) (from, to time.Duration) {
	ends := store.DelaySpans()
	if upTo == 0 {
		last := time.Duration(ends[len(ends)-1]) * time.Second
		return last, last
	}
	if i := slices.Index(ends, upTo); i > 0 {
		from = time.Duration(ends[i-1]) * time.Second
	}
	return from, time.Duration(upTo) * time.Second
}
