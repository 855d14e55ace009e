package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// laneRows is how many waiting messages are looked at: of each lane of those that are due, and of each egress of those that are not.
const laneRows = 10_000

// throttleAnswer is one provider or IP with its lanes.
type throttleAnswer struct {
	TPSPID int32        `json:"tpspId"` // 0: an IP
	IPID   int32        `json:"ipId"`   // 0: a provider
	Name   string       `json:"name"`   // the provider's name in this account, or the IP's address
	Type   int          `json:"type"`   // of the provider, 0 of an IP
	State  string       `json:"state"`  // of its health: ok, impaired, stopped, paused, drill, missing
	Reason string       `json:"reason"`
	Total  laneAnswer   `json:"total"`
	Lanes  []laneAnswer `json:"lanes"` // those that carried mail in the past 60 minutes, have a limit, or let mail wait
}

// laneAnswer is the mail through an egress to one mailbox provider, or all of it.
type laneAnswer struct {
	Provider    string       `json:"provider"`    // the mailbox provider; "" in a total
	RatePerHour int          `json:"ratePerHour"` // the limit of messages in any 60 minutes; 0: none
	Taken       int          `json:"taken"`       // permits that are taken of it now; they are counted without a limit as well
	FreeAt      int64        `json:"freeAt"`      // when the next message may leave, where the limit is reached; else 0
	Waiting     int64        `json:"waiting"`     // messages that wait, as many as were looked at
	More        bool         `json:"more"`        // there are more
	Oldest      int64        `json:"oldest"`      // when the oldest of them was accepted
	Waits       []waitAnswer `json:"waits"`       // why they wait, what most wait for first; empty in a total
}

// waitAnswer is one reason for which messages wait.
type waitAnswer struct {
	Reason       string `json:"reason"`
	Messages     int64  `json:"messages"`
	Oldest       int64  `json:"oldest"`
	MessageID    string `json:"messageID"`    // the oldest one
	Until        int64  `json:"until"`        // when the first of them may leave; 0: at once, or when somebody lets them
	IPPoolID     int32  `json:"ipPoolId"`     // the pool that holds them, else 0
	SubAccountID int32  `json:"subAccountId"` // the sub-account that holds them, else 0
}

// nowOperations tell how the account's mail stands at this moment.
func (s *server) nowOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/account/throttles", accountKey, "tell the rate, the limit and what waits, for each provider and mailbox provider", s.forAccount(s.throttles)).
			asks(parameter{Name: "tpspId", Kind: "integer", Summary: "only this provider"}, parameter{Name: "ipId", Kind: "integer", Summary: "only this IP"}).
			answers(http.StatusOK, []throttleAnswer{}),
		op(http.MethodGet, v1+"/account/attention", accountKey, "list what needs somebody's attention, and how to put it right", s.forAccount(s.attention)).
			answers(http.StatusOK, []attentionAnswer{}),
	}
}

func (s *server) throttles(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	q := r.URL.Query()
	id, err := optionalID(q, "tpspId")
	if err != nil {
		return err
	}
	ip, err := optionalID(q, "ipId")
	if err != nil {
		return err
	}
	current := s.Directory.Current()
	egresses := slices.Concat(current.TPSPs(a.ID), current.IPs(a.ID))
	if id != 0 || ip != 0 {
		egresses = slices.DeleteFunc(egresses, func(t *directory.TPSP) bool { return (id == 0 || t.ID != id) && (ip == 0 || t.IPID() != ip) })
		if len(egresses) == 0 {
			return notFound("the account has no such provider or IP")
		}
	}
	answers := make([]throttleAnswer, len(egresses))
	for i, t := range egresses {
		if answers[i], err = s.throttleOf(r.Context(), current, t); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) throttleOf(ctx context.Context, view *directory.Snapshot, t *directory.TPSP) (answer throttleAnswer, err error) {
	now := s.Now()
	taken, err := s.Queue.Permits(ctx, t.Egress(), now, s.Claim)
	if err != nil {
		return answer, fmt.Errorf("permits of %s: %w", t.Egress(), err)
	}
	queued, err := s.Queue.LaneDelays(ctx, t.AccountID, t.ID, laneRows)
	if err != nil {
		return answer, fmt.Errorf("what waits for %s: %w", t.Egress(), err)
	}
	health := healthAnswerOf(t, now)
	answer = throttleAnswer{TPSPID: t.Egress().TPSPID(), IPID: t.IPID(), Name: t.Name, State: health.State, Reason: health.Reason, Lanes: []laneAnswer{},
		Total: s.laneOf("", t.Limits.PerHour, taken.Whole, now)}
	if !t.IsIP() {
		answer.Type = int(t.Type)
	}
	var limited []int32 // sub-accounts whose limits may hold what waits
	for i := range queued.Groups {
		limited = append(limited, directory.Limited(view.Chain(t.AccountID, queued.Groups[i].SubAccountID))...)
	}
	slices.Sort(limited)
	ofSubAccounts, err := s.Accounts.Taken(ctx, slices.Compact(limited), s.Claim)
	if err != nil {
		return answer, fmt.Errorf("permits of sub-accounts: %w", err)
	}
	lanes := map[mailbox.Class]*laneAnswer{}
	lane := func(class mailbox.Class) *laneAnswer {
		if lanes[class] == nil {
			l := s.laneOf(string(class), t.Limits.Mailbox[class], taken.Lanes[class], now)
			lanes[class] = &l
		}
		return lanes[class]
	}
	for class := range t.Limits.Mailbox {
		lane(class)
	}
	for class := range taken.Lanes {
		lane(class)
	}
	for i := range queued.Groups {
		g := &queued.Groups[i]
		l := lane(g.Mailbox)
		l.add(g, s.whyGroup(view, t, g, l, &answer.Total, ofSubAccounts, now))
		answer.Total.count(g)
	}
	for _, class := range slices.SortedFunc(maps.Keys(lanes), func(a, b mailbox.Class) int { return cmp.Compare(a.ID(), b.ID()) }) {
		l := lanes[class]
		if l.RatePerHour == 0 && l.Taken == 0 && l.Waiting == 0 {
			continue
		}
		l.More = queued.More[class]
		answer.Total.More = answer.Total.More || l.More
		slices.SortStableFunc(l.Waits, func(a, b waitAnswer) int { return cmp.Compare(b.Messages, a.Messages) })
		answer.Lanes = append(answer.Lanes, *l)
	}
	return answer, nil
}

func (s *server) laneOf(name string, perHour int, taken []limit.Use, now time.Time) laneAnswer {
	l := laneAnswer{Provider: name, RatePerHour: perHour, Taken: limit.Sum(taken), Waits: []waitAnswer{}}
	if perHour > 0 {
		_, free := limit.Room(perHour, taken, now, s.Claim)
		l.FreeAt = nanos(free)
	}
	return l
}

// count adds messages to what waits.
func (l *laneAnswer) count(g *store.Delay) {
	l.Waiting += g.N
	if since := nanos(g.Since); l.Oldest == 0 || since < l.Oldest {
		l.Oldest = since
	}
}

// add adds messages that wait for a reason, together with those that wait for the same.
func (l *laneAnswer) add(g *store.Delay, why waitAnswer) {
	l.count(g)
	why.Messages, why.Oldest, why.MessageID = g.N, nanos(g.Since), g.Oldest.String()
	i := slices.IndexFunc(l.Waits, func(w waitAnswer) bool { return w.Reason == why.Reason })
	if i < 0 {
		l.Waits = append(l.Waits, why)
		return
	}
	w := &l.Waits[i]
	w.Messages += why.Messages
	if why.Oldest < w.Oldest {
		w.Oldest, w.MessageID = why.Oldest, why.MessageID
	}
	if why.Until < w.Until {
		w.Until = why.Until
	}
}

// whyGroup says what keeps messages, in the order in which an explanation of one of them does: the operator's brakes, their own pause after
// a failure, then what the provider and the limits let through.
func (s *server) whyGroup(view *directory.Snapshot, t *directory.TPSP, g *store.Delay, lane, whole *laneAnswer,
	ofSubAccounts map[int32][]limit.Use, now time.Time) (why waitAnswer) {
	if g.State == lifecycle.Unknown {
		return waitAnswer{Reason: cmp.Or(g.Waiting, "their outcome is not known: the provider is asked"), Until: nanos(after(g.DueFirst, now))}
	}
	if pool := view.Pool(t.AccountID, g.PoolID); pool != nil && pool.Paused {
		return waitAnswer{Reason: fmt.Sprintf("the IP pool %q is paused", pool.Name), IPPoolID: pool.ID}
	}
	if sub := view.SubAccount(t.AccountID, g.SubAccountID); sub != nil && sub.Paused {
		return waitAnswer{Reason: fmt.Sprintf("the sub-account %q is paused", sub.Name), SubAccountID: sub.ID}
	}
	chain := view.Chain(t.AccountID, g.SubAccountID)
	if blocked := directory.WhyBlocked(chain); blocked != "" {
		return waitAnswer{Reason: blocked, SubAccountID: g.SubAccountID}
	}
	if t.Paused {
		return waitAnswer{Reason: t.Away(now)}
	}
	if now.Before(t.Drill) {
		return waitAnswer{Reason: t.Away(now), Until: nanos(t.Drill)}
	}
	if g.Waiting != "" && g.DueFirst.After(now) {
		return waitAnswer{Reason: g.Waiting, Until: nanos(g.DueFirst)}
	}
	if away := t.Away(now); away != "" {
		return waitAnswer{Reason: away, Until: nanos(after(t.Health.ProbeAt, now))}
	}
	reached := waitAnswer{Until: max(lane.FreeAt, whole.FreeAt)}
	switch {
	case lane.FreeAt > whole.FreeAt:
		reached.Reason = fmt.Sprintf("%s's limit of %d messages an hour to %s is reached", t.Noun(), lane.RatePerHour, lane.Provider)
	case whole.FreeAt > 0:
		reached.Reason = fmt.Sprintf("%s's limit of %d messages an hour is reached", t.Noun(), whole.RatePerHour)
	}
	if reason, until := directory.LimitReached(chain, ofSubAccounts, now, s.Claim); nanos(until) > reached.Until {
		reached = waitAnswer{Reason: reason, Until: nanos(until), SubAccountID: g.SubAccountID}
	}
	if reached.Reason != "" {
		return reached
	}
	return waitAnswer{Reason: cmp.Or(g.Waiting, "they are ready, and wait for their turn"), Until: nanos(after(g.DueFirst, now))}
}
