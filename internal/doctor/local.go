package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/plan"
	"postyard/internal/route"
)

// local looks at what we know of the provider ourselves.
func (p *patient) local() {
	p.inUse()
	p.senders()
	p.inPool()
	if !p.t.IsIP() {
		p.catchUp()
	}
}

func (p *patient) inUse() {
	t := p.t
	reason := t.Away(p.now)
	switch {
	case t.Paused:
		p.add(InUse, Warn, reason, `PUT %s with {"active": true}`, p.path())
	case t.Missing:
		p.add(InUse, Fail, reason, "start the server with the option ip for %s again, or DELETE %s", t.Name, p.path())
	case p.now.Before(t.Drill) && t.IsIP():
		p.add(InUse, Warn, reason, `POST %s/drill with {"seconds": 0}`, p.path())
	case p.now.Before(t.Drill):
		p.add(InUse, Warn, reason, "postyard drill --end %d", t.ID)
	case t.Health.Stopped:
		fix := "repair what the provider names, in its own pages or by the checks above"
		if !t.Health.ProbeAt.IsZero() {
			fix += "; mail tries it again by itself at " + moment(t.Health.ProbeAt)
		}
		if !t.Health.Since.IsZero() {
			reason += ", since " + moment(t.Health.Since)
		}
		p.add(InUse, Fail, reason, fix)
	default:
		p.add(InUse, OK, "mail goes through it", "")
	}
}

func (p *patient) senders() {
	var refused, fixes []string
	for _, r := range p.t.Refused {
		refused = append(refused, fmt.Sprintf("mail from %s is refused since %s: %s", r.Domain, moment(r.Since), r.Reason))
		fixes = append(fixes, fmt.Sprintf("verify %s in the provider's own pages; mail of it tries again at %s", r.Domain, moment(r.ProbeAt)))
	}
	if len(refused) == 0 {
		p.add(Senders, OK, "it refuses no sender domain", "")
		return
	}
	const most = 5
	p.add(Senders, Fail, strings.Join(refused[:min(len(refused), most)], "; "), strings.Join(fixes[:min(len(fixes), most)], "; "))
}

func (p *patient) inPool() {
	var names []string
	for _, pool := range p.view.Pools(p.accountID) {
		if slices.Contains(pool.Members, p.t.Egress()) {
			names = append(names, fmt.Sprintf("%q", pool.Name))
		}
	}
	if len(names) > 0 {
		p.add(InPool, OK, "IP pools that lead to it: "+strings.Join(names, ", "), "")
		return
	}
	if p.t.IsIP() {
		p.add(InPool, Warn, "no IP pool leads to it, so it gets no mail",
			`POST /api/v1/account/ippool with {"name": "...", "ips": [{"publicIP": %q}], "warmupInterval": 24}`, p.t.Name)
		return
	}
	p.add(InPool, Fail, "no IP pool leads to it, so it gets no mail",
		`POST /api/v1/account/ippool with {"name": "...", "tpsps": [%d], "warmupInterval": 24}, or PUT /api/v1/account/ippool/{id} with it in "tpsps"`, p.t.ID)
}

func (p *patient) catchUp() {
	if p.t.CatchUp.IsZero() {
		p.add(CatchUp, OK, "no events are to be read back", "")
		return
	}
	state, since := p.CatchUp.State(p.t.ID), moment(p.t.CatchUp)
	fix := fmt.Sprintf("postyard catch-up --tpsp %d --since %s", p.t.ID, p.t.CatchUp.UTC().Format(time.RFC3339))
	if state.NextTry.After(p.now) {
		fix += " reads them now; by itself it is tried again at " + moment(state.NextTry)
	}
	switch {
	case state.Running:
		p.add(CatchUp, Warn, "events since "+since+" are being read back", "wait until that is done")
	case state.Error != "":
		p.add(CatchUp, Fail, "events since "+since+" could not be read back: "+state.Error, fix)
	default:
		p.add(CatchUp, Warn, "events since "+since+" are to be read back", fix)
	}
}

// pools looks at the IP pools: the named one, or all that lead to the provider that was asked about, or all.
func (e *exam) pools() (list []Check) {
	if e.Pool != "" {
		pool := e.view.PoolNamed(e.accountID, strings.TrimSpace(e.Pool))
		if pool == nil {
			return []Check{e.noPool()}
		}
		return e.pool(pool)
	}
	for _, pool := range e.view.Pools(e.accountID) {
		if e.TPSPID == 0 || slices.Contains(pool.Members, route.TPSP(e.TPSPID)) {
			list = append(list, e.pool(pool)...)
		}
	}
	return list
}

func (e *exam) noPool() Check {
	var names, ids []string
	for _, pool := range e.view.Pools(e.accountID) {
		names = append(names, fmt.Sprintf("%q", pool.Name))
	}
	for _, t := range e.tpsps {
		ids = append(ids, fmt.Sprint(t.ID))
	}
	there := "there is none"
	if len(names) > 0 {
		there = "there are " + strings.Join(names, ", ")
	}
	return Check{Name: Pool, Status: Fail, Message: fmt.Sprintf("the account has no IP pool named %q, upper and lower case counted; %s", e.Pool, there),
		Fix: fmt.Sprintf(`name one that there is; or POST /api/v1/account/ippool with {"name": %q, "tpsps": [%s], "warmupInterval": 24}`,
			e.Pool, strings.Join(ids, ", "))}
}

// pool tells what an IP pool lacks. What is wrong with its providers is told by their own checks.
func (e *exam) pool(pool *route.Pool) (list []Check) {
	for _, w := range e.Planner.Warnings(e.view, pool) {
		c := Check{Name: Pool, TPSPID: w.Egress.TPSPID(), Status: Warn, Message: fmt.Sprintf("IP pool %q: %s", pool.Name, w.Message)}
		if t := e.view.Egress(w.Egress); t != nil {
			c.TPSP = t.Name
		}
		change := fmt.Sprintf("PUT /api/v1/account/ippool/%d with ", pool.ID)
		switch w.Code {
		case plan.ProviderPaused, plan.ProviderAway, plan.SenderRefused:
			continue
		case plan.PoolPaused:
			c.Fix = "postyard resume --ippool " + word(pool.Name)
		case plan.Empty:
			c.Status, c.Fix = Fail, change+`providers in "tpsps"`
		case plan.NoFallback:
			c.Fix = change + `more providers in "tpsps", or with "toAccountIPPools"`
		case plan.CannotCarry, plan.CarriedByOne, plan.NotCarried:
			c.Fix = e.carryFix(pool, w.Egress)
		case plan.NotConnected:
			c.Fix = change + `the others in "tpsps"`
		case plan.FallbackOnly:
			c.Fix = "nothing, when it is to stand in only; else " + change + `"routingMetaData" that gives it a volume`
		default:
			c.Fix = change + `"routingMetaData" that names all of "tpsps"`
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		list = append(list, Check{Name: Pool, Status: OK, Message: fmt.Sprintf("IP pool %q leads to providers that stand in for each other", pool.Name)})
	}
	return list
}

// carryFix says how more of a pool carries what it cannot: an egress that was named, or whatever is reluctant.
func (e *exam) carryFix(pool *route.Pool, named route.Egress) string {
	fix := "add a provider that carries them"
	for _, member := range append([]route.Egress{named}, pool.Members...) {
		t := e.view.TPSP(e.accountID, member.TPSPID())
		if t == nil || t.AllowRaw {
			continue
		}
		if a := e.Adapters[t.Type]; a != nil && a.Capabilities().Reluctant {
			return fix + fmt.Sprintf(`; or let %s take messages without a template: PUT /api/v1/account/tpsp/%d with {"allowRaw": true}`, a.Profile().Title, t.ID)
		}
	}
	return fix
}
