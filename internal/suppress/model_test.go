package suppress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// world is the real store and service in front of a provider's list that lags and fails.
type world struct {
	db    *sqlite.DB
	dir   *directory.Directory
	svc   *Service
	tpsp  *directory.TPSP
	sub   *directory.SubAccount
	other *directory.SubAccount
	list  *list
	now   time.Time
}

// list is a provider's suppression list.
type list struct {
	provider.Adapter // nothing else is called

	mu             sync.Mutex // held by calls; a test takes it while Run runs
	now            func() time.Time
	entries        map[string]provider.Listed
	shown          []snapshot // what dumps show, by when
	lag            time.Duration
	fails          failure
	keeps          bool // takes nothing off
	reads, changes int
}

type snapshot struct {
	at      time.Time
	entries []provider.Listed
}

type failure int

const (
	works failure = iota
	refusesCalls
	losesAnswers // the call is done, and nobody hears of it
)

var errAway = errors.New("the provider is away")

func (l *list) change(email string, e *provider.Listed) {
	if e == nil {
		delete(l.entries, email)
	} else if _, there := l.entries[email]; !there {
		l.entries[email] = *e
	}
	l.shown = append(l.shown, snapshot{l.now(), slices.Collect(maps.Values(l.entries))})
}

func (l *list) SuppressionList(context.Context, provider.Connection) ([]provider.Listed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.fails != works {
		return nil, errAway
	}
	var visible []provider.Listed
	for _, s := range l.shown {
		if !s.at.After(l.now().Add(-l.lag)) {
			visible = s.entries
		}
	}
	return append(visible, visible[:len(visible)/2]...), nil // with duplicates
}

func (l *list) SuppressAddresses(_ context.Context, _ provider.Connection, emails []string) (map[string]string, error) {
	return l.call(emails, func(email string) string {
		l.change(email, &provider.Listed{Email: email, Reason: provider.Manual, At: l.now()})
		return ""
	})
}

func (l *list) ReleaseAddresses(_ context.Context, _ provider.Connection, emails []string) (map[string]string, error) {
	return l.call(emails, func(email string) string {
		if l.keeps || l.entries[email].Reason == provider.SpamComplaint {
			return "You do not have the required authority."
		}
		l.change(email, nil)
		return ""
	})
}

func (l *list) call(emails []string, do func(string) string) (map[string]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	if l.fails == refusesCalls {
		return nil, errAway
	}
	refused := map[string]string{}
	for _, email := range emails {
		if words := do(email); words != "" {
			refused[email] = words
		}
	}
	if l.fails == losesAnswers {
		return nil, errAway
	}
	return refused, nil
}

// connections opens any connection.
type connections struct{}

func (connections) Connection(*directory.TPSP) (provider.Connection, error) {
	return provider.Connection{}, nil
}

func newWorld(t interface {
	Fatal(args ...any)
	Helper()
}, ctx context.Context, db *sqlite.DB, name string) *world {
	t.Helper()
	w := &world{db: db, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	a := directory.Account{Name: "acme", KeyHash: secret.Hash(name), SealedKey: []byte("k"), Created: w.now}
	w.sub = &directory.SubAccount{Name: "default", Default: true, KeyHash: secret.Hash(name + "s"), SealedKey: []byte("k"), Created: w.now}
	must(w.db.CreateAccount(ctx, &a, w.sub))
	w.other = &directory.SubAccount{AccountID: a.ID, Name: "other", KeyHash: secret.Hash(name + "o"), SealedKey: []byte("k"), Created: w.now}
	must(w.db.CreateSubAccount(ctx, w.other))
	w.tpsp = &directory.TPSP{AccountID: a.ID, Name: "p", Type: provider.Postmark, SealedKey: []byte("k"), KeyHash: secret.Hash(name + "p"), Stream: "outbound", Created: w.now}
	must(w.db.CreateTPSP(ctx, w.tpsp, &route.Pool{Name: "p", Created: w.now}))
	var err error
	w.dir, err = directory.Open(ctx, w.db)
	must(err)
	clock := func() time.Time { return w.now }
	w.list = &list{now: clock, entries: map[string]provider.Listed{}}
	w.svc = New(Config{Store: w.db, Directory: w.dir, Providers: provider.Registry{provider.Postmark: w.list}, Connections: connections{}, Holder: "one",
		Log: slog.New(slog.DiscardHandler), Now: clock, Jitter: func() float64 { return 0.5 }})
	return w
}

// pass is what Run would begin when it is due.
func (w *world) pass(ctx context.Context) Result {
	return w.svc.hold(ctx, w.dir.Current().AnyTPSP(w.tpsp.ID), true)
}

// here returns what a sub-account suppresses.
func (w *world) here(ctx context.Context, sub int32) (emails []string, err error) {
	all, err := w.db.Suppressions(ctx, store.SuppressionFilter{SubAccountID: sub, From: w.now.AddDate(-1, 0, 0), To: w.now.AddDate(1, 0, 0)})
	for _, s := range all {
		emails = append(emails, s.Email)
	}
	slices.Sort(emails)
	return emails, err
}

// TestListsConverge: whatever users do on both sides, and however the provider lags and fails meanwhile, the lists are the same in the
// end, no call is made when nothing is to be done, and another sub-account is not touched.
func TestListsConverge(t *testing.T) {
	t.Parallel()
	ctx, worlds := t.Context(), 0
	db, err := sqlite.Open(ctx, sqlitetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rapid.Check(t, func(t *rapid.T) {
		worlds++
		w := newWorld(t, ctx, db, fmt.Sprint(worlds))
		email := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("u%d@example.net", rapid.IntRange(0, 3).Draw(t, "u")) })
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		passes := 0
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
			e := email.Draw(t, "email")
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				_, err := w.svc.Add(ctx, w.sub, []Entry{{e, provider.Manual}})
				must(err)
			case 1:
				_, err := w.svc.Remove(ctx, w.sub, []string{e})
				must(err)
			case 2:
				reason := rapid.SampledFrom([]provider.Reason{provider.Manual, provider.HardBounce, provider.SpamComplaint}).Draw(t, "reason")
				w.list.change(e, &provider.Listed{Email: e, Reason: reason, At: w.now})
			case 3:
				if w.list.entries[e].Reason != provider.SpamComplaint {
					w.list.change(e, nil)
				}
			case 4:
				w.list.fails = rapid.SampledFrom([]failure{works, refusesCalls, losesAnswers}).Draw(t, "failure")
				w.list.lag = time.Duration(rapid.IntRange(0, 8).Draw(t, "lag")) * time.Minute
			default:
				w.pass(ctx)
				passes++
			}
		}
		if w.list.changes > 2*passes || w.list.reads > passes {
			t.Fatalf("%d passes made %d readings and %d changes", passes, w.list.reads, w.list.changes)
		}
		w.list.fails, w.list.lag = works, 0
		for range 4 {
			w.now = w.now.Add(2 * time.Hour)
			if r := w.pass(ctx); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		here, err := w.here(ctx, w.sub.ID)
		must(err)
		if there := slices.Sorted(maps.Keys(w.list.entries)); !slices.Equal(here, there) {
			t.Fatalf("here %v, there %v", here, there)
		}
		if other, err := w.here(ctx, w.other.ID); err != nil || len(other) != 0 {
			t.Fatalf("another sub-account: %v, %v", other, err)
		}
		before := w.list.changes
		for range 3 {
			w.now = w.now.Add(2 * time.Hour)
			if r := w.pass(ctx); r.Err != nil || r.Suppressed+r.Reactivated+r.Pushed != 0 {
				t.Fatalf("something is done again: %+v", r)
			}
		}
		if w.list.changes != before {
			t.Fatal("the list is changed again and again")
		}
	})
}
