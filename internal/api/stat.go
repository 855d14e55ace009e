package api

import (
	"fmt"
	"net/http"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/store"
)

// Most days of a query (ST-1).
const (
	maxDaily     = 31
	maxAggregate = 366
)

// coreCounters are those of SendPost's counters that every answer has under the same name. Its rows have ten: these and spam; all
// else has eleven: smtpDropped as well.
type coreCounters struct {
	Processed    int64 `json:"processed"`
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Dropped      int64 `json:"dropped"`
	HardBounced  int64 `json:"hardBounced"`
	SoftBounced  int64 `json:"softBounced"`
	Opened       int64 `json:"opened"`
	Clicked      int64 `json:"clicked"`
	Unsubscribed int64 `json:"unsubscribed"`
}

// counters are SendPost's eleven, but for the complaints, which have two names (see statCounters and totalCounters).
type counters struct {
	coreCounters
	SMTPDropped int64 `json:"smtpDropped"` // drops of an SMTP server of ours: there is none yet
}

// statCounters is SendPost's Stat.stat and AggregateStat, totalCounters its AggregateStats, rowCounters what its rows have: two
// say spam, the other spams, and none may say both (CL-1).
type (
	statCounters struct {
		counters
		Spam int64 `json:"spam"`
	}
	totalCounters struct {
		counters
		Spams int64 `json:"spams"`
	}
	rowCounters struct {
		coreCounters
		Spam int64 `json:"spam"`
	}
)

type dailyStat struct {
	Date string       `json:"date"`
	Stat statCounters `json:"stat"`
}

// figures is what the sums of one key come to.
type figures struct {
	statCounters
	uniqueOpened, uniqueClicked int64
}

// counterOf is the counter that each kind of event adds to. Kinds that are not in it add to none: a deferral is not an end,
// so the message would be counted again with every try (SendPost leaves it open); to join a group again is no count of
// SendPost's.
var counterOf = map[event.Kind]func(*statCounters) *int64{
	event.Processed:        func(c *statCounters) *int64 { return &c.Processed },
	event.Sent:             func(c *statCounters) *int64 { return &c.Sent },
	event.Delivered:        func(c *statCounters) *int64 { return &c.Delivered },
	event.Dropped:          func(c *statCounters) *int64 { return &c.Dropped },
	event.RenderingFailure: func(c *statCounters) *int64 { return &c.Dropped },
	event.HardBounced:      func(c *statCounters) *int64 { return &c.HardBounced },
	event.SoftBounced:      func(c *statCounters) *int64 { return &c.SoftBounced },
	event.Opened:           func(c *statCounters) *int64 { return &c.Opened },
	event.Clicked:          func(c *statCounters) *int64 { return &c.Clicked },
	event.Unsubscribed:     func(c *statCounters) *int64 { return &c.Unsubscribed },
	event.GroupUnsubscribe: func(c *statCounters) *int64 { return &c.Unsubscribed },
	event.Spam:             func(c *statCounters) *int64 { return &c.Spam },
}

// add counts events of one type.
func (f *figures) add(s *store.Stat) {
	info, ok := event.Describe(s.Type)
	if !ok {
		return
	}
	if counter := counterOf[info.Kind]; counter != nil {
		*counter(&f.statCounters) += s.N
	}
	switch info.Kind {
	case event.Opened:
		f.uniqueOpened += s.Firsts
	case event.Clicked:
		f.uniqueClicked += s.Firsts
	}
}

// row returns the ten counters.
func (f *figures) row() rowCounters { return rowCounters{f.coreCounters, f.Spam} }

// statOperations are the operations of statistics.
func (s *server) statOperations(v1 string) []operation {
	account, sub, tpsp, domain := v1+"/account/stat", v1+"/account/subaccount/stat/{id}", v1+"/account/tpsp/stat/{id}", v1+"/account/domain/stat/{id}"
	list := []operation{
		op(http.MethodGet, account, accountKey, "daily statistics", s.stat(ofAccount, maxDaily, s.replyDaily)).
			asks(statParameters...).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, account+"/aggregate", accountKey, "statistics of a range of days", s.stat(ofAccount, maxAggregate, s.replyTotal)).
			asks(statParameters...).answers(http.StatusOK, totalCounters{}),
		op(http.MethodGet, account+"/group", accountKey, "daily statistics of a group", s.stat(ofGroup(ofAccount), maxDaily, s.replyDaily)).
			asks(statParameters...).asks(groupParameter).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, account+"/aggregate/group", accountKey, "statistics of a group", s.stat(ofGroup(ofAccount), maxAggregate, s.replyAggregate)).
			asks(statParameters...).asks(groupParameter).answers(http.StatusOK, statCounters{}),

		op(http.MethodGet, sub, accountKey, "daily statistics of a sub-account", s.stat(s.ofSubAccount, maxDaily, s.replyDaily)).
			asks(subStatParameters...).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, sub+"/aggregate", accountKey, "statistics of a sub-account", s.stat(s.ofSubAccount, maxAggregate, s.replyAggregate)).
			asks(subStatParameters...).answers(http.StatusOK, statCounters{}),
		op(http.MethodGet, sub+"/group", accountKey, "statistics of a group of a sub-account", s.stat(ofGroup(s.ofSubAccount), maxAggregate, s.replyAggregate)).
			asks(subStatParameters...).asks(groupParameter).answers(http.StatusOK, statCounters{}),

		op(http.MethodGet, tpsp, accountKey, "daily statistics of a provider", s.stat(s.ofTPSP, maxDaily, s.replyDaily)).
			asks(statParameters...).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, tpsp+"/aggregate", accountKey, "statistics of a provider", s.stat(s.ofTPSP, maxAggregate, s.replyAggregate)).
			asks(statParameters...).answers(http.StatusOK, statCounters{}),

		op(http.MethodGet, domain, accountKey, "daily statistics of a whitelisted domain", s.stat(s.ofDomain, maxDaily, s.replyDaily)).
			asks(statParameters...).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, domain+"/aggregate", accountKey, "statistics of a whitelisted domain", s.stat(s.ofDomain, maxAggregate, s.replyAggregate)).
			asks(statParameters...).answers(http.StatusOK, statCounters{}),

		op(http.MethodGet, v1+"/subaccount/stat", subAccountKey, "daily statistics", s.ownStat(maxDaily, s.replyDaily)).
			asks(statParameters...).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, v1+"/subaccount/stat/aggregate", subAccountKey, "statistics of a range of days", s.ownStat(maxAggregate, s.replyAggregate)).
			asks(statParameters...).answers(http.StatusOK, statCounters{}),
	}
	asked := func(path string) []parameter {
		if path == sub {
			return subStatParameters
		}
		return statParameters
	}
	rows := func(path, whose string, scope statScope, of ...breakdown) {
		for _, b := range of {
			list = append(list, op(http.MethodGet, path+"/aggregate/"+b.name, accountKey, "statistics"+whose+" by "+b.words,
				s.stat(scope, maxAggregate, s.replyRows(b))).
				asks(asked(path)...).asks(rowParameters...).answers(http.StatusOK, b.list()))
		}
	}
	counts := func(of ...breakdown) {
		for _, b := range of {
			list = append(list, op(http.MethodGet, account+"/aggregate/"+b.name+"/count", accountKey, "count the rows of that",
				s.stat(ofAccount, maxAggregate, s.replyCount(b))).
				asks(statParameters...).asks(rowParameters...).answers(http.StatusOK, countAnswer{}))
		}
	}
	rows(account, "", ofAccount, byTPSP, bySubAccount, byDomain)
	counts(byTPSP, bySubAccount, byDomain)
	rows(account, "", ofAccount, byProvider, byReason, byDevice, byClient, byOS, byCountry)
	rows(sub, " of a sub-account", s.ofSubAccount, byProvider, byGroup, byDomain, byReason, byDevice, byClient, byOS, byCountry)
	rows(tpsp, " of a provider", s.ofTPSP, byProvider, bySubAccount, byGroup, byDomain, byReason, byDevice, byClient, byOS, byCountry)
	rows(domain, " of a whitelisted domain", s.ofDomain, byProvider, bySubAccount)
	for _, scope := range []struct {
		path, whose string
		of          statScope
	}{{account, "", ofAccount}, {sub, " of a sub-account", s.ofSubAccount}, {tpsp, " of a provider", s.ofTPSP}, {domain, " of a whitelisted domain", s.ofDomain}} {
		list = append(list, op(http.MethodGet, scope.path+"/aggregate/engagement", accountKey, "opens and clicks"+scope.whose+", and those who did",
			s.stat(scope.of, maxAggregate, s.replyEngagement)).
			asks(asked(scope.path)...).answers(http.StatusOK, engagement{}))
		if scope.path != domain {
			list = append(list, op(http.MethodGet, scope.path+"/aggregate/delay", accountKey, "how long mail"+scope.whose+" took to be delivered",
				s.stat(scope.of, maxAggregate, s.replyDelay)).
				asks(asked(scope.path)...).answers(http.StatusOK, delayAnswer{}))
		}
	}
	return list
}

// statScope says whose events are counted.
type statScope func(r *http.Request, a *directory.Account) (store.StatFilter, error)

func ofAccount(_ *http.Request, a *directory.Account) (store.StatFilter, error) {
	return store.StatFilter{AccountID: a.ID}, nil
}

// ofGroup narrows a scope to the group that the query names.
func ofGroup(scope statScope) statScope {
	return func(r *http.Request, a *directory.Account) (store.StatFilter, error) {
		f, err := scope(r, a)
		if err != nil {
			return f, err
		}
		f.Dimension, f.Value = store.DimensionGroup, r.URL.Query().Get("group")
		switch {
		case f.Value == "":
			return f, badParameter("group", "is required")
		case len(f.Value) > store.MaxLabelBytes:
			return f, badParameter("group", fmt.Sprintf("has more than %d bytes: such groups are counted together, as %s", store.MaxLabelBytes, store.OtherValue))
		}
		return f, nil
	}
}

// ofSubAccount is a sub-account by its id, with all under it when the query says so. A deleted one keeps its statistics.
func (s *server) ofSubAccount(r *http.Request, a *directory.Account) (f store.StatFilter, err error) {
	f.AccountID = a.ID
	if f.SubAccountID, err = pathID(r); err != nil {
		return f, err
	}
	all, err := truth(r.URL.Query(), "withChildren")
	if err != nil {
		return f, err
	}
	view := s.Directory.Current()
	if all {
		f.Under = view.Under(a.ID, f.SubAccountID)
	}
	if view.SubAccount(a.ID, f.SubAccountID) != nil {
		return f, nil
	}
	former, err := s.Statistics.FormerSubAccounts(r.Context(), a.ID)
	if err != nil {
		return f, err
	}
	if _, found := former[f.SubAccountID]; !found {
		return f, notFound("the account has no such sub-account, and had none")
	}
	return f, nil
}

// ofTPSP is a provider by its id. A deleted one keeps its statistics.
func (s *server) ofTPSP(r *http.Request, a *directory.Account) (f store.StatFilter, err error) {
	f.AccountID = a.ID
	id, err := pathID(r)
	if err != nil {
		return f, err
	}
	t := s.Directory.Current().AnyTPSP(id)
	if t == nil || t.AccountID != a.ID {
		return f, notFound("the account has no such provider, and had none")
	}
	f.Egress = t.Egress()
	return f, nil
}

// ofDomain is the mail of the account from a whitelisted domain, by its id. A deleted one keeps its statistics.
func (s *server) ofDomain(r *http.Request, a *directory.Account) (f store.StatFilter, err error) {
	f.AccountID = a.ID
	id, err := pathID(r)
	if err != nil {
		return f, err
	}
	d := s.Directory.Current().AnyDomain(a.ID, id)
	if d == nil {
		return f, notFound("the account has no such domain, and had none")
	}
	f.Dimension, f.Value = store.DimensionDomain, d.Name
	return f, nil
}

// statReply answers with what a filter selects.
type statReply func(w http.ResponseWriter, r *http.Request, f store.StatFilter) error

// stat is the operation that answers so over at most that many days.
func (s *server) stat(scope statScope, most int, answer statReply) http.HandlerFunc {
	return s.forAccount(func(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
		f, err := scope(r, a)
		if err != nil {
			return err
		}
		if err := readStatFilter(r.URL.Query(), &f, most); err != nil {
			return err
		}
		return answer(w, r, f)
	})
}

// ownStat is stat with the key of the sub-account whose statistics they are.
func (s *server) ownStat(most int, answer statReply) http.HandlerFunc {
	return s.forSubAccount(func(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
		f := store.StatFilter{AccountID: sub.AccountID, SubAccountID: sub.ID}
		if err := readStatFilter(r.URL.Query(), &f, most); err != nil {
			return err
		}
		return answer(w, r, f)
	})
}

// maxSums is the most sums that one answer is made of.
const maxSums = 200_000

// sums reads what a filter selects.
func (s *server) sums(r *http.Request, f store.StatFilter) ([]store.Stat, error) {
	f.Limit = maxSums + 1
	list, err := s.Statistics.Stats(r.Context(), f)
	if err == nil && len(list) > maxSums {
		err = badParameter("to", "these days have too many values for one answer; ask for fewer")
	}
	return list, err
}

// replyDaily answers with one entry for each day that has data.
func (s *server) replyDaily(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
	f.By = store.ByDay
	sums, err := s.sums(r, f)
	if err != nil {
		return err
	}
	stats := []dailyStat{}
	var of figures
	for i := range sums {
		of.add(&sums[i])
		if i+1 == len(sums) || sums[i+1].Key != sums[i].Key {
			date := time.Unix(sums[i].Key*24*60*60, 0).UTC().Format(time.DateOnly)
			stats = append(stats, dailyStat{Date: date, Stat: of.statCounters})
			of = figures{}
		}
	}
	return reply(w, http.StatusOK, stats)
}

// total adds everything up.
func (s *server) total(r *http.Request, f store.StatFilter) (of figures, err error) {
	sums, err := s.sums(r, f)
	for i := range sums {
		of.add(&sums[i])
	}
	return of, err
}

// replyTotal answers with the one object that says spams.
func (s *server) replyTotal(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
	of, err := s.total(r, f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, totalCounters{of.counters, of.Spam})
}

// replyAggregate answers with the object that says spam.
func (s *server) replyAggregate(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
	of, err := s.total(r, f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, of.statCounters)
}

// engagement are opens and clicks, and the messages that were opened or clicked at least once.
type engagement struct {
	Opened        int64 `json:"opened"`
	UniqueOpened  int64 `json:"uniqueOpened"`
	Clicked       int64 `json:"clicked"`
	UniqueClicked int64 `json:"uniqueClicked"`
}

func (f *figures) engagement() engagement {
	return engagement{f.Opened, f.uniqueOpened, f.Clicked, f.uniqueClicked}
}

func (s *server) replyEngagement(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
	of, err := s.total(r, f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, of.engagement())
}
