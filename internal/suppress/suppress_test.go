package suppress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open is a world for one test.
func open(t *testing.T) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, t.Context(), db, "acme")
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// set changes the TPSP.
func (w *world) set(t *testing.T, sync directory.SuppressionSync) {
	t.Helper()
	w.tpsp.SuppressionSync = sync
	w.must(t, w.db.UpdateTPSP(t.Context(), w.tpsp))
	w.must(t, w.dir.Reload(t.Context()))
}

func (w *world) want(t *testing.T, sub int32, want ...string) {
	t.Helper()
	if got, err := w.here(t.Context(), sub); err != nil || fmt.Sprint(got) != fmt.Sprint(append([]string{}, want...)) {
		t.Errorf("suppressed: %v (%v), want %v", got, err, want)
	}
}

// Much of a list that is gone at once is believed when it is read a second time; a reading that fails says nothing.
func TestAListThatIsGone(t *testing.T) {
	t.Parallel()
	w := open(t)
	const n = suspicious + 1
	for i := range n {
		email := fmt.Sprintf("u%02d@example.net", i)
		w.list.change(email, &provider.Listed{Email: email, Reason: provider.HardBounce, At: w.now})
	}
	if r := w.pass(t.Context()); r.Suppressed != n || r.Read < n || r.Err != nil {
		t.Fatalf("%+v", r)
	}
	w.now = w.now.Add(time.Hour)
	kept := w.list.shown
	w.list.shown = nil
	w.list.fails = refusesCalls
	if r := w.pass(t.Context()); r.Err == nil || r.Reactivated != 0 {
		t.Errorf("a reading that failed: %+v", r)
	}
	w.list.fails = works
	if r := w.pass(t.Context()); r.Doubted != n || r.Reactivated != 0 {
		t.Errorf("once: %+v", r)
	}
	w.list.shown = kept
	if r := w.pass(t.Context()); r.Doubted != 0 || r.Reactivated+r.Suppressed != 0 {
		t.Errorf("it is there again: %+v", r)
	}
	w.list.shown = nil
	for i, want := range []int{0, n} {
		if r := w.pass(t.Context()); r.Reactivated != want {
			t.Errorf("reading %d: %+v", i, r)
		}
	}
	w.want(t, w.sub.ID)
}

// Another key or stream is another list: what is not on it says nothing.
func TestAnotherConnection(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.list.change("a@example.net", &provider.Listed{Email: "a@example.net", At: w.now})
	w.pass(t.Context())
	w.now = w.now.Add(time.Hour)
	w.list.change("a@example.net", nil)
	moved := *w.dir.Current().AnyTPSP(w.tpsp.ID)
	moved.Stream = "broadcast"
	if r := w.svc.hold(t.Context(), &moved, true); r.Err != nil || r.Reactivated != 0 {
		t.Errorf("%+v", r)
	}
	w.want(t, w.sub.ID, "a@example.net")
}

// What a user does goes to the lists that are kept in step in both directions, and is read from those that are followed.
func TestSettings(t *testing.T) {
	t.Parallel()
	w := open(t)
	ctx := t.Context()
	w.set(t, directory.SyncFromProvider)
	_, err := w.svc.Add(ctx, w.sub, []Entry{{"mine@example.net", provider.Manual}})
	w.must(t, err)
	w.list.change("theirs@example.net", &provider.Listed{Email: "theirs@example.net", At: w.now})
	if r := w.pass(ctx); r.Pushed != 0 || r.Suppressed != 1 || w.list.changes != 0 {
		t.Errorf("from-provider: %+v", r)
	}
	w.want(t, w.sub.ID, "mine@example.net", "theirs@example.net")
	w.set(t, directory.SyncOff)
	if _, err := w.svc.Sync(ctx, w.tpsp.AccountID, w.tpsp.ID); !errors.Is(err, ErrNoList) {
		t.Errorf("off: %v", err)
	}
	if list, err := w.svc.Sync(ctx, w.tpsp.AccountID, 0); err != nil || len(list) != 0 {
		t.Errorf("off: %+v, %v", list, err)
	}
	if _, err := w.svc.Sync(ctx, w.tpsp.AccountID+1, w.tpsp.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("of another account: %v", err)
	}
	w.set(t, directory.SyncBoth)
	_, err = w.svc.Remove(ctx, w.sub, []string{"theirs@example.net"})
	w.must(t, err)
	if list, err := w.svc.Sync(ctx, w.tpsp.AccountID, w.tpsp.ID); err != nil || list[0].Pushed != 1 || list[0].Err != nil {
		t.Errorf("both: %+v, %v", list, err)
	}
	if len(w.list.entries) != 0 {
		t.Errorf("there: %v", w.list.entries)
	}
}

// While another node works on a list, this one leaves it alone.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	w := open(t)
	held, err := w.db.Lease(t.Context(), fmt.Sprintf("suppressions/%d", w.tpsp.ID), "another", time.Hour)
	if err != nil || !held {
		t.Fatal(held, err)
	}
	if r := w.pass(t.Context()); !errors.Is(r.Err, ErrRunning) || w.list.reads != 0 {
		t.Errorf("%+v", r)
	}
	w.must(t, w.svc.keeper.Begin(w.tpsp.ID, 0))
	if _, err := w.svc.Sync(t.Context(), w.tpsp.AccountID, w.tpsp.ID); !errors.Is(err, ErrRunning) {
		t.Errorf("on this node: %v", err)
	}
	w.svc.keeper.End(w.tpsp.ID)
	w.svc.Stop()
	if _, err := w.svc.Sync(t.Context(), w.tpsp.AccountID, w.tpsp.ID); !errors.Is(err, ErrStopped) {
		t.Errorf("after the stop: %v", err)
	}
}

// Run reads lists when that is due, pushes at once what users do, and tries again with pauses that grow.
func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		db, err := sqlite.Open(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, ctx, db, "acme")
		w.svc.Now = time.Now
		w.list.now = time.Now
		done := make(chan struct{})
		go func() { defer close(done); w.svc.Run(ctx) }()
		calls := func() (reads, changes int) {
			synctest.Wait()
			w.list.mu.Lock()
			defer w.list.mu.Unlock()
			return w.list.reads, w.list.changes
		}
		fail := func(how failure) {
			w.list.mu.Lock()
			defer w.list.mu.Unlock()
			w.list.fails = how
		}
		time.Sleep(31 * time.Minute)
		if reads, changes := calls(); reads < 6 || reads > 7 || changes != 0 {
			t.Errorf("in half an hour %d readings and %d changes", reads, changes)
		}
		fail(losesAnswers)
		_, err = w.svc.Add(ctx, w.sub, []Entry{{"a@example.net", provider.Manual}})
		w.must(t, err)
		time.Sleep(time.Second)
		if _, changes := calls(); changes != 1 {
			t.Errorf("%d changes at once", changes)
		}
		time.Sleep(time.Hour)
		if _, n := calls(); n < 6 || n > 20 {
			t.Errorf("%d tries in an hour", n)
		}
		fail(works)
		time.Sleep(time.Hour)
		synctest.Wait()
		lists, err := w.db.SuppressionLists(ctx)
		if err != nil || len(lists) != 1 || !lists[0].PushAt.IsZero() || lists[0].Error != "" {
			t.Errorf("%+v, %v", lists, err)
		}
		found, err := w.db.Suppressions(ctx, store.SuppressionFilter{SubAccountID: w.sub.ID, From: time.Now().AddDate(-1, 0, 0), To: time.Now().AddDate(1, 0, 0)})
		stop()
		<-done
		if err != nil || len(found) != 1 || len(w.list.entries) != 1 {
			t.Errorf("here %v (%v), there %v", found, err, w.list.entries)
		}
		w.must(t, w.db.Close())
	})
}

// What the provider does not take off its list is suppressed again, for the reason that stands there; where none is known, as a complaint.
func TestWhatStaysOnTheList(t *testing.T) {
	t.Parallel()
	w := open(t)
	want := map[string]provider.Reason{"left@example.net": provider.Unsubscribed, "gone@example.net": provider.HardBounce, "spam@example.net": provider.SpamComplaint}
	for email, reason := range want {
		w.list.change(email, &provider.Listed{Email: email, Reason: reason, At: w.now})
	}
	w.pass(t.Context())
	w.list.keeps = true
	want["unread@example.net"] = provider.SpamComplaint
	_, err := w.svc.Add(t.Context(), w.sub, []Entry{{"unread@example.net", provider.Manual}})
	w.must(t, err)
	w.now = w.now.Add(time.Hour)
	emails := slices.Sorted(maps.Keys(want))
	ended, err := w.svc.Remove(t.Context(), w.sub, emails)
	w.must(t, err)
	if len(ended) != len(want) {
		t.Fatalf("ended: %+v", ended)
	}
	w.pass(t.Context())
	all, err := w.db.Suppressions(t.Context(), store.SuppressionFilter{SubAccountID: w.sub.ID, From: w.now.AddDate(-1, 0, 0), To: w.now.AddDate(1, 0, 0)})
	w.must(t, err)
	for _, s := range all {
		if s.Reason != want[s.Email] || s.Detail != "You do not have the required authority." {
			t.Errorf("%+v", s)
		}
	}
	w.want(t, w.sub.ID, emails...)
}
