package api

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/compare"
	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

// compareOperations compare the egresses of an account.
func (s *server) compareOperations(v1 string) []operation {
	of := append(slices.Clip(rangeParameters),
		parameter{Name: "provider", Kind: "string", Summary: "only mail to this mailbox provider, such as gmail"},
		parameter{Name: "tpspId", Kind: "string", Summary: "only these providers: ids, in a comma list"},
		parameter{Name: "ipId", Kind: "string", Summary: "only these IPs: ids, in a comma list"},
		parameter{Name: "subAccountId", Kind: "integer", Summary: "only mail of this sub-account"},
		parameter{Name: "group", Kind: "string", Summary: "only mail of this group: rates, without delays and failovers"})
	return []operation{
		op(http.MethodGet, v1+"/account/stat/compare", accountKey, "compare providers and IPs, by mailbox provider", s.forAccount(s.compare)).
			asks(of...).answers(http.StatusOK, comparison{}),
	}
}

// comparison compares the providers and IPs that carried mail on the days.
type comparison struct {
	From     string           `json:"from"` // the first day, YYYY-MM-DD in UTC
	To       string           `json:"to"`   // the last day
	Egresses []comparedEgress `json:"egresses"`
}

// comparedEgress is a provider or an IP: one of the ids is 0.
type comparedEgress struct {
	TPSPID    int32          `json:"tpspId"` // 0: an IP
	IPID      int32          `json:"ipId"`   // 0: a provider
	Name      string         `json:"name"`   // the provider's name in this account, or the IP's address
	Total     comparedLane   `json:"total"`
	Mailboxes []comparedLane `json:"mailboxes"`
}

// comparedLane is mail through one egress.
type comparedLane struct {
	Provider    string        `json:"provider"` // the mailbox provider; "" in a total
	Accepted    int64         `json:"accepted"` // messages that the egress took; all rates are of them
	Delivered   comparedRate  `json:"delivered"`
	HardBounced comparedRate  `json:"hardBounced"`
	SoftBounced comparedRate  `json:"softBounced"`
	Spam        comparedRate  `json:"spam"`      // complaints
	Opened      comparedRate  `json:"opened"`    // messages that were opened at least once
	Clicked     comparedRate  `json:"clicked"`   // messages in which a link was clicked at least once
	Delay       *comparedTime `json:"delay"`     // from acceptance to delivery; null when a group is asked for
	Failovers   *failovers    `json:"failovers"` // null when a group is asked for
}

// comparedRate is how many there were, and which part of the accepted messages: null when none was accepted, or fewer, because it
// happened to messages of other days.
type comparedRate struct {
	Count int64    `json:"count"`
	Rate  *float64 `json:"rate"`
	Low   *float64 `json:"low"`  // the lower end of the 95 % interval (Wilson)
	High  *float64 `json:"high"` // the upper end
}

func rateOf(n, accepted int64) comparedRate {
	r := comparedRate{Count: n}
	if accepted > 0 && n <= accepted {
		rate := float64(n) / float64(accepted)
		low, high := compare.Wilson(n, accepted)
		r.Rate, r.Low, r.High = &rate, &low, &high
	}
	return r
}

// comparedTime is how long mail took to be delivered, in milliseconds, within 5 % or a millisecond: null without deliveries.
type comparedTime struct {
	Deliveries int64  `json:"deliveries"` // that it is based on
	MedianMs   *int64 `json:"medianMs"`
	P95Ms      *int64 `json:"p95Ms"` // the 95th percentile
}

// failovers are messages that another egress carried than the first one of their plan.
type failovers struct {
	Away int64 `json:"away"` // this one was the first
	In   int64 `json:"in"`   // this one carried them
}

// laneFigures is what the sums of a lane come to.
type laneFigures struct {
	figures
	delays   compare.Histogram
	away, in int64
}

// comparedFigures are the lanes of an egress by the ids of their mailbox providers, and their sum.
type comparedFigures struct {
	total laneFigures
	lanes map[int]*laneFigures
}

// add has a sum added to a lane and to the sum of all.
func (e *comparedFigures) add(mailbox int, add func(*laneFigures)) {
	f := e.lanes[mailbox]
	if f == nil {
		f = &laneFigures{delays: compare.Histogram{}}
		e.lanes[mailbox] = f
	}
	add(f)
	add(&e.total)
}

// compare answers how egresses do. Rates come from the counters of the lanes, or of the group; times and failovers from facets.
func (s *server) compare(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	q := r.URL.Query()
	f, asked, err := readCompareFilter(q, a.ID)
	if err != nil {
		return err
	}
	found := map[route.Egress]*comparedFigures{}
	of := func(e route.Egress) *comparedFigures {
		if found[e] == nil {
			found[e] = &comparedFigures{total: laneFigures{delays: compare.Histogram{}}, lanes: map[int]*laneFigures{}}
		}
		return found[e]
	}
	counted := f
	counted.Types = comparedTypes
	if err := s.lanes(r, counted, func(sum *store.LaneStat) {
		of(sum.Egress).add(sum.Mailbox, func(l *laneFigures) { l.figures.add(&store.Stat{Type: sum.Type, Sum: sum.Sum}) })
	}); err != nil {
		return err
	}
	grouped := f.Dimension != store.NoDimension
	if !grouped {
		f.Dimension = store.DimensionDelay
		if err := s.lanes(r, f, func(sum *store.LaneStat) {
			if upTo, fine := compare.ReadSpan(sum.Value); fine {
				of(sum.Egress).add(sum.Mailbox, func(l *laneFigures) { l.delays[upTo] += sum.N })
			}
		}); err != nil {
			return err
		}
		f.Dimension = store.DimensionFailover
		if err := s.lanes(r, f, func(sum *store.LaneStat) {
			of(sum.Egress).add(sum.Mailbox, func(l *laneFigures) { l.in += sum.N })
			if first, err := strconv.ParseInt(sum.Value, 10, 32); err == nil && first != 0 {
				of(route.Egress(first)).add(sum.Mailbox, func(l *laneFigures) { l.away += sum.N })
			}
		}); err != nil {
			return err
		}
	}
	answer := comparison{From: f.From.Format(time.DateOnly), To: f.To.Format(time.DateOnly), Egresses: []comparedEgress{}}
	view := s.Directory.Current()
	for _, e := range slices.SortedFunc(maps.Keys(found), compareEgresses) {
		if e == 0 || asked != nil && !slices.Contains(asked, e) {
			continue
		}
		one := comparedEgress{TPSPID: e.TPSPID(), IPID: e.IPID(), Total: found[e].total.answer("", grouped), Mailboxes: []comparedLane{}}
		if t := view.Egress(e); t != nil && t.AccountID == a.ID {
			one.Name = t.Name
		}
		for id, lane := range found[e].lanes {
			class, err := mailbox.ByID(id)
			if err != nil {
				return err
			}
			one.Mailboxes = append(one.Mailboxes, lane.answer(string(class), grouped))
		}
		slices.SortFunc(one.Mailboxes, func(a, b comparedLane) int {
			return cmp.Or(cmp.Compare(b.Accepted, a.Accepted), strings.Compare(a.Provider, b.Provider))
		})
		answer.Egresses = append(answer.Egresses, one)
	}
	return reply(w, http.StatusOK, answer)
}

// comparedTypes are the events whose counters are compared.
var comparedTypes = slices.Concat(typesOf(event.Sent), typesOf(event.Delivered), typesOf(event.HardBounced), typesOf(event.SoftBounced), typesOf(event.Spam),
	typesOf(event.Opened), typesOf(event.Clicked))

// compareEgresses puts providers before IPs, each in the order of their ids.
func compareEgresses(a, b route.Egress) int {
	return cmp.Or(cmp.Compare(min(b, 0), min(a, 0)), cmp.Compare(a, b))
}

// lanes reads what a filter selects, lane by lane, in stretches of days: a long range has many sums, and no question to the store is to
// last long.
func (s *server) lanes(r *http.Request, f store.StatFilter, see func(*store.LaneStat)) error {
	f.Limit = maxSums + 1
	for last := f.To; !f.From.After(last); f.From = f.From.AddDate(0, 0, maxDaily) {
		if f.To = f.From.AddDate(0, 0, maxDaily-1); f.To.After(last) {
			f.To = last
		}
		list, err := s.Statistics.Lanes(r.Context(), f)
		if err != nil {
			return err
		}
		if len(list) > maxSums {
			return badParameter("to", "these days have too many values for one answer; ask for fewer")
		}
		for i := range list {
			see(&list[i])
		}
	}
	return nil
}

func (f *laneFigures) answer(provider string, grouped bool) comparedLane {
	l := comparedLane{Provider: provider, Accepted: f.Sent, Delivered: rateOf(f.Delivered, f.Sent), HardBounced: rateOf(f.HardBounced, f.Sent),
		SoftBounced: rateOf(f.SoftBounced, f.Sent), Spam: rateOf(f.Spam, f.Sent), Opened: rateOf(f.uniqueOpened, f.Sent), Clicked: rateOf(f.uniqueClicked, f.Sent)}
	if grouped {
		return l
	}
	l.Failovers = &failovers{Away: f.away, In: f.in}
	l.Delay = &comparedTime{Deliveries: f.delays.Count()}
	if l.Delay.Deliveries > 0 {
		median, p95 := f.delays.Percentile(50), f.delays.Percentile(95)
		l.Delay.MedianMs, l.Delay.P95Ms = &median, &p95
	}
	return l
}

// readCompareFilter reads what is to be compared, and which egresses; nil are all.
func readCompareFilter(q url.Values, accountID int32) (f store.StatFilter, asked []route.Egress, err error) {
	f = store.StatFilter{AccountID: accountID}
	if f.From, f.To, err = days(q, maxAggregate); err != nil {
		return f, nil, err
	}
	if name := q.Get("provider"); name != "" {
		if f.Mailbox, err = mailbox.Parse(strings.ToLower(name)); err != nil {
			return f, nil, badParameter("provider", "must be a mailbox provider, such as gmail or default")
		}
	}
	if f.SubAccountID, err = optionalID(q, "subAccountId"); err != nil {
		return f, nil, err
	}
	if f.Value = q.Get("group"); f.Value != "" {
		f.Dimension = store.DimensionGroup
	}
	for name, egress := range map[string]func(int32) route.Egress{"tpspId": route.TPSP, "ipId": route.IP} {
		ids, err := idList(q, name)
		if err != nil {
			return f, nil, err
		}
		for _, id := range ids {
			asked = append(asked, egress(id))
		}
	}
	return f, asked, nil
}

// idList reads ids in comma lists.
func idList(q url.Values, name string) (ids []int32, err error) {
	for _, value := range q[name] {
		for text := range strings.SplitSeq(value, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			id, err := strconv.ParseInt(text, 10, 32)
			if err != nil || id <= 0 {
				return nil, badParameter(name, "must be ids, such as 1 or 1,2")
			}
			ids = append(ids, int32(id))
		}
	}
	return ids, nil
}
