package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/limit"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// How long mail that is due may stay.
const (
	briefly = time.Minute     // nobody needs to know
	stuckIn = 5 * time.Minute // it does not move when meanwhile nothing was tried at the provider
)

// mail looks at what the store knows: what waits, what failed, and what nobody could read.
func (p *patient) mail(ctx context.Context) error {
	groups, more, err := p.Store.Delays(ctx, p.accountID, p.t.ID, delayRows)
	if err != nil {
		return err
	}
	failures, err := p.Store.Failures(ctx, p.accountID, p.t.ID, p.now.Add(-recent), attempts)
	if err != nil {
		return err
	}
	strange, err := p.Store.Strange(ctx, p.accountID, p.t.ID, p.now.Add(-recent), strangers)
	if err != nil {
		return err
	}
	full := func(mailbox.Class) (string, time.Time) { return "", time.Time{} }
	if len(groups) > 0 && !p.t.Limits.Zero() {
		taken, err := p.Store.Permits(ctx, p.t.Egress(), p.now, p.Claim)
		if err != nil {
			return err
		}
		full = p.full(taken)
	}
	if err := p.limitsOf(ctx, groups); err != nil {
		return err
	}
	p.waiting(groups, more, full, failures.Last)
	p.errors(&failures)
	if !p.t.IsIP() {
		p.strange(strange)
	}
	return nil
}

// limitsOf reads what is taken of the limits of the sub-accounts of groups, and of those above them.
func (p *patient) limitsOf(ctx context.Context, groups []store.Delay) (err error) {
	limited := map[int32]bool{}
	for i := range groups {
		for _, id := range directory.Limited(p.view.Chain(p.accountID, groups[i].SubAccountID)) {
			limited[id] = true
		}
	}
	if len(limited) > 0 {
		p.taken, err = p.Store.SenderPermits(ctx, slices.Sorted(maps.Keys(limited)), p.now, p.Claim)
	}
	return err
}

// full says which limit keeps the mail for a mailbox provider, and until when.
func (p *patient) full(taken store.Permits) func(mailbox.Class) (string, time.Time) {
	return func(class mailbox.Class) (reason string, until time.Time) {
		if n := p.t.Limits.PerHour; n > 0 {
			if _, until = limit.Room(n, taken.Whole, p.now, p.Claim); !until.IsZero() {
				reason = fmt.Sprintf("%s's limit of %d messages an hour is reached", p.t.Noun(), n)
			}
		}
		if n := p.t.Limits.Mailbox[class]; n > 0 {
			if _, free := limit.Room(n, taken.Lanes[class], p.now, p.Claim); free.After(until) {
				reason, until = fmt.Sprintf("%s's limit of %d messages an hour to %s is reached", p.t.Noun(), n, class), free
			}
		}
		return reason, until
	}
}

// reason is why messages wait.
type reason struct {
	text   string
	status Status
	fix    string
}

// held are the messages that wait for one reason.
type held struct {
	reason
	n            int64
	since, until time.Time
}

// why says what keeps a group: the operator's brakes first, as an explanation of one of its messages does.
func (p *patient) why(g *store.Delay, full func(mailbox.Class) (string, time.Time), last time.Time) (r reason, until time.Time) {
	look := "postyard message " + g.Oldest.String()
	if g.State == lifecycle.Unknown {
		return reason{"their outcome is unknown: " + cmp.Or(g.Waiting, "the provider is being asked"), Warn,
			"nothing: the provider is asked until it answers or the provider's ambiguousPolicy decides; see " + look}, g.DueFirst
	}
	if pool := p.view.Pool(p.accountID, g.PoolID); pool != nil && pool.Paused {
		return reason{fmt.Sprintf("the IP pool %q is paused", pool.Name), Warn, "postyard resume --ippool " + word(pool.Name)}, time.Time{}
	}
	if sub := p.view.SubAccount(p.accountID, g.SubAccountID); sub != nil && sub.Paused {
		return reason{fmt.Sprintf("the sub-account %q is paused", sub.Name), Warn, "postyard resume --sub-account " + word(sub.Name)}, time.Time{}
	}
	chain := p.view.Chain(p.accountID, g.SubAccountID)
	if blocked := directory.WhyBlocked(chain); blocked != "" {
		return reason{blocked, Warn, "postyard subaccounts unblock, or cancel what waits"}, time.Time{}
	}
	if away := p.t.Away(p.now); away != "" {
		return reason{away, Warn, "see " + InUse}, p.t.Health.ProbeAt
	}
	if g.DueFirst.After(p.now) {
		return reason{cmp.Or(g.Waiting, "their time has not come"), Warn, look}, g.DueFirst
	}
	if limited, free := full(g.Mailbox); limited != "" {
		return reason{limited, Warn, fmt.Sprintf(`wait, or raise it: PUT %s with "ratePerHour" or "mailboxLimits"`, p.path())}, free
	}
	if limited, free := directory.LimitReached(chain, p.taken, p.now, p.Claim); limited != "" {
		return reason{limited, Warn, "wait, or raise it: postyard subaccounts limit"}, free
	}
	ready := g.Since
	if g.DueLast.After(ready) {
		ready = g.DueLast
	}
	switch age := p.now.Sub(ready); {
	case age < briefly:
		return reason{"they are about to leave", OK, ""}, time.Time{}
	case age > stuckIn && p.now.Sub(last) > stuckIn:
		return reason{"they are due, and nothing was tried at the provider for " + stuckIn.String() + ": they are stuck", Fail,
			"see whether `postyard serve` runs, and its log; start it again; " + look}, time.Time{}
	}
	return reason{"they are due, and wait for their turn", Warn, look}, time.Time{}
}

func (p *patient) waiting(groups []store.Delay, more bool, full func(mailbox.Class) (string, time.Time), last time.Time) {
	var list []*held
	var total int64
	for i := range groups {
		g := &groups[i]
		why, until := p.why(g, full, last)
		total += g.N
		k := slices.IndexFunc(list, func(h *held) bool { return h.text == why.text })
		if k < 0 {
			list = append(list, &held{reason: why, n: g.N, since: g.Since, until: until})
			continue
		}
		h := list[k]
		h.n += g.N
		if g.Since.Before(h.since) {
			h.since = g.Since
		}
		if h.until.IsZero() || !until.IsZero() && until.Before(h.until) {
			h.until = until
		}
	}
	slices.SortStableFunc(list, func(a, b *held) int {
		return cmp.Or(rank(b.status)-rank(a.status), cmp.Compare(b.n, a.n))
	})
	if total == 0 {
		p.add(Waiting, OK, "no mail waits for it", "")
		return
	}
	const most = 5
	var parts, fixes []string
	for _, h := range list[:min(len(list), most)] {
		part := fmt.Sprintf("%d because %s (the oldest since %s", h.n, h.text, moment(h.since))
		if h.until.After(p.now) {
			part += ", until " + moment(h.until)
		}
		parts = append(parts, part+")")
		if h.fix != "" && !slices.Contains(fixes, h.fix) {
			fixes = append(fixes, h.fix)
		}
	}
	atLeast := ""
	if more {
		atLeast = "at least "
	}
	p.add(Waiting, list[0].status, fmt.Sprintf("messages wait, %s%d: %s", atLeast, total, strings.Join(parts, "; ")), strings.Join(fixes, "; "))
}

func rank(s Status) int { return slices.Index([]Status{OK, Warn, Fail}, s) }

// errors tells of attempts that failed.
func (p *patient) errors(f *store.Failures) {
	from := "in the last 24 hours"
	if f.From.After(p.now.Add(-recent)) {
		from = fmt.Sprintf("for messages since %s (of the newest %d attempts)", moment(f.From), attempts)
	}
	if len(f.Newest) == 0 {
		p.add(Errors, OK, "no attempt failed "+from, "")
		return
	}
	var classes, told []string
	for _, class := range slices.Sorted(maps.Keys(f.Classes)) {
		classes = append(classes, fmt.Sprintf("%d %s", f.Classes[class], class))
	}
	for i := range f.Newest {
		text := said(&f.Newest[i])
		if !slices.ContainsFunc(told, func(known string) bool { return strings.HasSuffix(known, text) }) { // most say the same
			told = append(told, moment(f.Newest[i].Finished)+" "+text)
		}
	}
	p.add(Errors, Warn, fmt.Sprintf("attempts failed %s: %s; the newest: %s", from, strings.Join(classes, ", "), strings.Join(told, "; ")),
		"postyard message "+f.Newest[0].MessageID.String())
}

// said is what the provider said of an attempt.
func said(a *store.FailedAttempt) string {
	parts := []string{a.Class.String()}
	if a.HTTPStatus != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", a.HTTPStatus))
	}
	if a.Code != "" {
		parts = append(parts, "code "+a.Code)
	}
	text := strings.Join(parts, ", ")
	if a.Text != "" {
		text += ": " + a.Text
	}
	return text
}

// strange tells of webhooks that were nobody's.
func (p *patient) strange(s store.Strange) {
	var parts, fixes []string
	if s.Garbage > 0 {
		parts = append(parts, fmt.Sprintf("%d webhook bodies could not be read and are kept aside; the newest: %s", s.Garbage, s.Reason))
		fixes = append(fixes, fmt.Sprintf("see that no proxy changes what is posted to /tpsp/; then postyard catch-up --tpsp %d", p.t.ID))
	}
	if s.Foreign > 0 {
		parts = append(parts, fmt.Sprintf("%d reports were about mail that is not ours", s.Foreign))
		fixes = append(fixes, fmt.Sprintf("let others use another message stream, or take one of your own: PUT /api/v1/account/tpsp/%d "+
			`with {"messageStream": "..."}`, p.t.ID))
	}
	if len(parts) == 0 {
		p.add(Unreadable, OK, "whatever came by webhook since yesterday could be read, and was about our mail", "")
		return
	}
	p.add(Unreadable, Warn, strings.Join(parts, "; "), strings.Join(fixes, "; "))
}
