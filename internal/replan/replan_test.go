package replan

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// carrier is an adapter of providers that carry everything, or templates only.
type carrier struct{ provider.Adapter }

func (carrier) Capabilities() provider.Capabilities {
	return provider.Capabilities{Family: event.Postmark}
}

func (carrier) CanCarry(c *mail.Content, terms provider.Terms) *mail.FieldError {
	if c.Template == "" && !terms.Raw {
		return mail.Invalid("missing_tpsp_template", "tpspTemplate", "templates only")
	}
	return nil
}

// world is an account with some providers over the real store.
type world struct {
	*testing.T
	*Service
	db    *sqlite.DB
	sub   directory.SubAccount
	tpsps []*directory.TPSP
	pool  route.Pool
	woken []route.Egress
	now   time.Time
}

func newWorld(t *testing.T, providers int) *world {
	t.Helper()
	w := &world{T: t, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	w.db, err = sqlite.Open(t.Context(), sqlitetest.Dir(t))
	w.must(err)
	t.Cleanup(func() { w.must(w.db.Close()) })
	a := directory.Account{Name: "acme", KeyHash: secret.Hash("a"), SealedKey: []byte("k"), Created: w.now}
	w.sub = directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash("s"), SealedKey: []byte("k"), Created: w.now}
	w.must(w.db.CreateAccount(t.Context(), &a, &w.sub))
	for i := range providers {
		key := fmt.Sprint(i)
		p := directory.TPSP{AccountID: a.ID, Name: key, Type: provider.Postmark, SealedKey: []byte(key), KeyHash: secret.Hash(key), AllowRaw: true, Created: w.now}
		w.must(w.db.CreateTPSP(t.Context(), &p, &route.Pool{Name: "auto", Created: w.now}))
		w.tpsps = append(w.tpsps, &p)
	}
	w.pool = route.Pool{AccountID: a.ID, Name: "mine", Members: []route.Egress{w.tpsps[0].Egress()}, Created: w.now}
	w.must(w.db.CreatePool(t.Context(), &w.pool))
	d, err := directory.Open(t.Context(), w.db)
	w.must(err)
	clock := func() time.Time { return w.now }
	w.Service = New(Config{Store: w.db, Directory: d, Planner: plan.New(provider.Registry{provider.Postmark: carrier{}}, clock), Holder: "me", Now: clock,
		Wake: func(e route.Egress) { w.woken = append(w.woken, e) }, Log: slog.New(slog.DiscardHandler)})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// accept stores messages that wait for the first provider.
func (w *world) accept(n int, template string) (ids []mail.ID) {
	w.Helper()
	content, err := json.Marshal(mail.Content{From: mail.Address{Email: "shop@example.com"}, Template: template})
	w.must(err)
	s := store.Submission{AccountID: w.pool.AccountID, SubAccountID: w.sub.ID, Content: content, SubmittedAt: w.now}
	first := route.Plan{Egresses: []route.Egress{w.tpsps[0].Egress()}, Rule: "before"}
	for range n {
		id := uuid.Must(uuid.NewV7())
		ids = append(ids, id)
		s.Messages = append(s.Messages, store.NewMessage{ID: id, Recipient: []byte(`{"email":"ana@gmail.com"}`), To: "ana@gmail.com", Mailbox: mailbox.Gmail,
			PoolID: w.pool.ID, Plan: func(uint64) store.Planned { return store.Planned{Plan: first, Processed: 69} }})
	}
	w.must(w.db.Accept(w.Context(), []store.Submission{s}))
	return ids
}

// change makes the pool lead to other providers, and does what follows.
func (w *world) change(members ...route.Egress) {
	w.Helper()
	w.pool.Members = members
	w.must(w.db.UpdatePool(w.Context(), &w.pool))
	w.follow()
}

func (w *world) follow() {
	w.Helper()
	w.must(w.Directory.Reload(w.Context()))
	w.must(w.pass(w.Context()))
	if left, err := w.db.Replans(w.Context()); err != nil || len(left) != 0 {
		w.Errorf("left to do: %+v, %v", left, err)
	}
}

func (w *world) at(id mail.ID) *store.Message {
	w.Helper()
	m, err := w.db.Message(w.Context(), w.pool.AccountID, id)
	w.must(err)
	return m
}

// Messages follow their pool, in several goes; one that is on the wire stays.
func TestAChangedPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	ids := w.accept(2*chunk+50, "welcome")
	claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: w.tpsps[0].Egress(), Limit: 1, Owner: "o", Now: w.now, LeaseUntil: w.now.Add(time.Minute)})
	w.must(err)
	w.change(w.tpsps[1].Egress(), w.tpsps[2].Egress())
	count := map[route.Egress]int{}
	for _, id := range ids {
		m := w.at(id)
		count[m.Egress]++
		if id == claimed.Jobs[0].ID {
			if m.Egress != w.tpsps[0].Egress() || m.Plan.Rule != "before" {
				t.Errorf("on the wire: %+v", m)
			}
		} else if len(m.Plan.Egresses) != 2 || m.Plan.First() != m.Egress || !strings.HasSuffix(m.Plan.Rule, "; planned anew: the IP pool was changed") {
			t.Fatalf("planned anew: %+v", m.Plan)
		}
	}
	if n := len(ids); count[w.tpsps[0].Egress()] != 1 || count[w.tpsps[1].Egress()] < n/4 || count[w.tpsps[2].Egress()] < n/4 {
		t.Errorf("they wait for %v", count)
	}
	if !slices.Contains(w.woken, w.tpsps[1].Egress()) || !slices.Contains(w.woken, w.tpsps[2].Egress()) {
		t.Errorf("woken: %v", w.woken)
	}
}

// What nothing can carry any more keeps its plan, and so does what belongs to a pool that is gone.
func TestMessagesThatStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	id := w.accept(1, "welcome")[0]
	w.change()
	if m := w.at(id); m.Plan.Rule != "before" || m.Egress != w.tpsps[0].Egress() {
		t.Errorf("in an empty pool: %+v", m)
	}
	w.must(w.db.UpdatePool(t.Context(), &w.pool))
	w.must(w.db.DeletePool(t.Context(), w.pool.AccountID, w.pool.ID))
	w.follow()
	if m := w.at(id); m.Plan.Rule != "before" {
		t.Errorf("in a pool that is gone: %+v", m)
	}
}

// A provider that is paused, or does not take raw messages any more, is left by those that can go elsewhere.
func TestAChangedProvider(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*directory.TPSP){
		"paused": func(p *directory.TPSP) { p.Paused = true },
		"no raw": func(p *directory.TPSP) { p.AllowRaw = false },
	} {
		w := newWorld(t, 2)
		w.pool = route.Pool{AccountID: w.pool.AccountID, Name: "both", Members: []route.Egress{w.tpsps[0].Egress(), w.tpsps[1].Egress()}, Created: w.now}
		w.must(w.db.CreatePool(t.Context(), &w.pool))
		id := w.accept(1, "")[0]
		w.follow()
		if m := w.at(id); m.Plan.Rule != "before" {
			t.Fatalf("planned anew before anything changed: %+v", m.Plan)
		}
		change(w.tpsps[0])
		w.must(w.db.UpdateTPSP(t.Context(), w.tpsps[0]))
		w.follow()
		if m := w.at(id); m.Egress != w.tpsps[1].Egress() {
			t.Errorf("%s: it waits for %s by %+v", name, m.Egress, m.Plan)
		}
	}
}

// While another node is at it, nothing is done twice.
func TestOneNodeAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.accept(1, "welcome")
	if held, err := w.db.Lease(t.Context(), lease, "another", time.Minute); err != nil || !held {
		t.Fatal(held, err)
	}
	w.pool.Members = []route.Egress{w.tpsps[1].Egress()}
	w.must(w.db.UpdatePool(t.Context(), &w.pool))
	w.must(w.Directory.Reload(t.Context()))
	w.must(w.pass(t.Context()))
	if left, err := w.db.Replans(t.Context()); err != nil || len(left) != 1 {
		t.Errorf("left to do: %+v, %v", left, err)
	}
	w.must(w.db.Release(t.Context(), lease, "another"))
	w.follow()
}
