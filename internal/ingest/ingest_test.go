package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
	"postyard/internal/store"
)

func TestWhoMaySend(t *testing.T) {
	t.Parallel()
	run(t, func(b *bench) {
		for _, test := range []struct {
			name    string
			account int32
			typ     provider.Type
			auth    string
			want    int32 // the TPSP; 0: nobody
		}{
			{"the right one", 1, provider.Postmark, "tpsp-101", 101},
			{"its last events are on the way", 1, provider.Postmark, "tpsp-103", 103},
			{"another type", 1, provider.SendGrid, "tpsp-102", 102},
			{"another account", 2, provider.Postmark, "tpsp-201", 201},
			{"no credentials", 1, provider.Postmark, "", 0},
			{"wrong credentials", 1, provider.Postmark, "tpsp-999", 0},
			{"of another account", 2, provider.Postmark, "tpsp-101", 0},
			{"of another type", 1, provider.SendGrid, "tpsp-101", 0},
			{"credentials that cannot be read", 1, provider.Postmark, "tpsp-105", 0},
			{"an account that is not one", 9, provider.Postmark, "tpsp-101", 0},
			{"a type that is not one", 1, provider.Type(99), "tpsp-101", 0},
		} {
			before := len(b.inbox.done)
			err := b.Receive(b.t.Context(), test.account, test.typ, http.Header{"Authorization": {test.auth}}, []byte("delivered"))
			synctest.Wait()
			stored := len(b.inbox.done) - before
			if test.want == 0 {
				if !errors.Is(err, ErrUnauthorized) || stored != 0 {
					t.Errorf("%s: %v and %d stored, want ErrUnauthorized and nothing", test.name, err, stored)
				}
				continue
			}
			if err != nil || stored != 1 {
				t.Errorf("%s: %v and %d stored", test.name, err, stored)
				continue
			}
			got := b.inbox.done[len(b.inbox.done)-1].Receipt
			if got.TPSPID != test.want || got.AccountID != test.account || string(got.Body) != "delivered" || !got.ReceivedAt.Equal(time.Now()) {
				t.Errorf("%s: stored %+v, want of TPSP %d", test.name, got, test.want)
			}
		}
	})
}

// What parsing may need is kept; credentials and the rest are not.
func TestHeaders(t *testing.T) {
	t.Parallel()
	run(t, func(b *bench) {
		h := http.Header{"Authorization": {"tpsp-101"}, "Cookie": {"c"}, "X-Other": {"1"}, "User-Agent": {strings.Repeat("x", 513)}}
		h.Set("Content-Type", "application/json")
		h.Set("X-PM-Webhook-Trace-Id", "trace-1")
		h.Set("X-PM-Retries-Remaining", "10")
		if err := b.Receive(b.t.Context(), 1, provider.Postmark, h, []byte("delivered-")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := map[string]string{"Content-Type": "application/json", "X-Pm-Webhook-Trace-Id": "trace-1", "X-Pm-Retries-Remaining": "10"}
		if diff := cmp.Diff(want, b.inbox.done[0].Receipt.Headers); diff != "" {
			t.Errorf("headers:\n%s", diff)
		}
		if got := b.outcomes()[0].Reports; !slices.Equal(got, []string{"delivered-trace-1"}) {
			t.Errorf("the adapter did not see the headers: %v", got)
		}
	})
}

func TestReceiveFails(t *testing.T) {
	t.Parallel()
	disk, auth := errors.New("disk failed"), http.Header{"Authorization": {"tpsp-101"}}
	for name, test := range map[string]struct {
		prepare     func(b *bench)
		want        error
		unavailable bool
	}{
		"the store is away": {func(b *bench) { b.inbox.fail = func([]store.Parsed) error { return store.ErrUnavailable } }, store.ErrUnavailable, true},
		"the store refuses": {func(b *bench) {
			b.inbox.fail = func([]store.Parsed) error { return disk }
			b.inbox.refuse = func([]store.Receipt) error { return disk }
		}, disk, false},
		"the store goes away": {func(b *bench) {
			b.inbox.fail = func([]store.Parsed) error { return disk }
			b.inbox.refuse = func([]store.Receipt) error { return store.ErrUnavailable }
		}, store.ErrUnavailable, true},
		"stopped": {func(b *bench) { b.stop() }, store.ErrUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(b *bench) {
				test.prepare(b)
				err := b.Receive(b.t.Context(), 1, provider.Postmark, auth, []byte("delivered"))
				if !errors.Is(err, test.want) || errors.Is(err, store.ErrUnavailable) != test.unavailable {
					t.Errorf("Receive = %v, want %v", err, test.want)
				}
				synctest.Wait()
				if len(b.inbox.done) != 0 || len(b.inbox.receipts) != 0 {
					t.Errorf("ingested %v, stored %v", b.outcomes(), b.inbox.receipts)
				}
			})
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body string
		want outcome
	}{
		"reports":      {"delivered opened", outcome{Reports: []string{"delivered", "opened"}}},
		"nothing":      {"", outcome{}},
		"a sample":     {"sample", outcome{}},
		"with samples": {"sample delivered sample", outcome{Reports: []string{"delivered"}}},
		"garbage":      {"garbage", outcome{Garbage: "not JSON"}},
		"a panic":      {"panic", outcome{Garbage: "reading it failed: index out of range"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(b *bench) {
				b.post(test.body)
				test.want.Body = test.body
				if diff := cmp.Diff([]outcome{test.want}, b.outcomes()); diff != "" {
					t.Errorf("ingested:\n%s", diff)
				}
				if b.inbox.calls != 1 || !b.inbox.done[0].Fresh {
					t.Errorf("%d transactions", b.inbox.calls)
				}
				if p := b.inbox.done[0]; p.Garbage == "" && (p.Sent != 70 || !p.Now.Equal(time.Now()) || !p.HoldTo.Equal(time.Now().Add(10*time.Second))) {
					t.Errorf("parsed %+v", p)
				}
				if len(b.inbox.receipts) != 0 {
					t.Errorf("receipts are left: %+v", b.inbox.receipts)
				}
			})
		})
	}
}

func TestABodyOfAnUnknownTPSP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if p := prepare(t).parse(store.Receipt{TPSPID: 999, Body: []byte("delivered")}); p.Garbage == "" || p.Reports != nil {
			t.Errorf("parsed %+v, want garbage", p)
		}
	})
}

// What was received before the start is processed, in batches.
func TestProcessEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := prepare(t)
		for i := range 2*ingestBatch + 1 {
			b.put(fmt.Sprint("event-", i))
		}
		if err := b.process(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.inbox.done) != 2*ingestBatch+1 || b.inbox.calls != 3 || len(b.inbox.receipts) != 0 {
			t.Errorf("%d bodies in %d transactions, %d left", len(b.inbox.done), b.inbox.calls, len(b.inbox.receipts))
		}
	})
}

// One body that the store cannot record is kept as garbage; the others of its batch become events.
func TestAPoisonBodyFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := prepare(t)
		b.put("a", "b", "poison", "c", "d")
		b.inbox.fail = func(batch []store.Parsed) error {
			if slices.ContainsFunc(batch, func(p store.Parsed) bool { return string(p.Receipt.Body) == "poison" && p.Garbage == "" }) {
				return errors.New("constraint failed")
			}
			return nil
		}
		if err := b.process(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []outcome{{Body: "a", Reports: []string{"a"}}, {Body: "b", Reports: []string{"b"}},
			{Body: "poison", Garbage: "recording it failed: constraint failed"}, {Body: "c", Reports: []string{"c"}}, {Body: "d", Reports: []string{"d"}}}
		if diff := cmp.Diff(want, b.outcomes()); diff != "" {
			t.Errorf("ingested:\n%s", diff)
		}
	})
}

// A body that cannot be recorded when it comes is stored, with all that came with it, and answered well.
func TestAFreshPoisonBody(t *testing.T) {
	t.Parallel()
	run(t, func(b *bench) {
		var stored []int
		b.inbox.fail = func(batch []store.Parsed) error {
			stored = append(stored, len(b.inbox.receipts))
			if slices.ContainsFunc(batch, func(p store.Parsed) bool { return string(p.Receipt.Body) == "poison" && p.Garbage == "" }) {
				return errors.New("constraint failed")
			}
			return nil
		}
		var batch []store.Parsed
		for _, body := range []string{"a", "poison", "c"} {
			p := b.parse(store.Receipt{AccountID: 1, TPSPID: 101, Body: []byte(body), ReceivedAt: time.Now()})
			p.Fresh = true
			batch = append(batch, p)
		}
		if err := b.take(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []outcome{{Body: "a", Reports: []string{"a"}}, {Body: "poison", Garbage: "recording it failed: constraint failed"},
			{Body: "c", Reports: []string{"c"}}}
		if diff := cmp.Diff(want, b.outcomes()); diff != "" || len(b.inbox.receipts) != 0 {
			t.Errorf("%d receipts left; ingested:\n%s", len(b.inbox.receipts), diff)
		}
		if stored[0] != 0 || stored[1] != 3 {
			t.Errorf("receipts stored before each try: %v", stored)
		}
	})
}

// A body that cannot even be kept as garbage stays for later, and the others go on.
func TestGarbageThatCannotBeKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, broken := prepare(t), errors.New("constraint failed")
		b.put("a", "poison", "c")
		b.inbox.fail = func(batch []store.Parsed) error {
			if slices.ContainsFunc(batch, func(p store.Parsed) bool { return string(p.Receipt.Body) == "poison" }) {
				return broken
			}
			return nil
		}
		if err := b.process(t.Context()); !errors.Is(err, broken) {
			t.Errorf("process = %v, want %v", err, broken)
		}
		if len(b.inbox.done) != 2 || len(b.inbox.receipts) != 1 {
			t.Errorf("ingested %+v, left %+v", b.outcomes(), b.inbox.receipts)
		}
	})
}

// While the store is away nothing is torn apart and nothing is called garbage; it is tried again and then all is well.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	run(t, func(b *bench) {
		b.put("a", "b", "c")
		b.inbox.failing(func([]store.Parsed) error { return fmt.Errorf("ingest: %w", store.ErrUnavailable) })
		<-time.After(pollEvery)
		synctest.Wait()
		if calls, left := b.inbox.state(); calls != 1 || len(left) != 3 {
			t.Errorf("%d tries, %d receipts left, want 1 and 3", calls, len(left))
		}
		b.inbox.failing(nil)
		<-time.After(pollEvery)
		synctest.Wait()
		want := []outcome{{Body: "a", Reports: []string{"a"}}, {Body: "b", Reports: []string{"b"}}, {Body: "c", Reports: []string{"c"}}}
		if diff := cmp.Diff(want, b.outcomes()); diff != "" {
			t.Errorf("ingested:\n%s", diff)
		}
	})
}

func TestProcessPassesErrorsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := prepare(t)
		b.put("a", "b")
		b.inbox.fail = func([]store.Parsed) error { return store.ErrUnavailable }
		if err := b.process(t.Context()); !errors.Is(err, store.ErrUnavailable) || b.inbox.calls != 1 {
			t.Errorf("process = %v after %d tries", err, b.inbox.calls)
		}
		ctx, cancel := context.WithCancel(t.Context())
		b.inbox.fail = func([]store.Parsed) error { cancel(); return ctx.Err() }
		if err := b.process(ctx); !errors.Is(err, context.Canceled) || b.inbox.calls != 2 || len(b.inbox.receipts) != 2 {
			t.Errorf("stopped: process = %v after %d tries, %d receipts left", err, b.inbox.calls, len(b.inbox.receipts))
		}
	})
}

// A report whose message is not known is tried again until ten minutes have passed, and then given up.
func TestAStrangerIsHeld(t *testing.T) {
	t.Parallel()
	run(t, func(b *bench) {
		start := time.Now()
		b.post("stranger")
		for range 400 {
			<-time.After(pollEvery)
			synctest.Wait()
		}
		var tries []string
		for _, p := range b.inbox.done {
			next := "given up"
			if !p.HoldTo.IsZero() {
				next = p.HoldTo.Sub(start).String()
			}
			tries = append(tries, fmt.Sprintf("at %s: %s", p.Now.Sub(start), next))
		}
		want := []string{"at 0s: 10s", "at 10s: 1m0s", "at 1m0s: 6m0s", "at 6m0s: 10m0s", "at 10m0s: given up"}
		if diff := cmp.Diff(want, tries); diff != "" || len(b.inbox.receipts) != 0 {
			t.Errorf("tries (%d receipts left):\n%s", len(b.inbox.receipts), diff)
		}
	})
}

func TestHoldUntil(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for after, want := range map[time.Duration]time.Duration{
		-time.Second: 10 * time.Second, // the clock was set back
		0:            10 * time.Second, 10*time.Second - 1: 10 * time.Second, 10 * time.Second: time.Minute, time.Minute: 6 * time.Minute,
		6*time.Minute - 1: 6 * time.Minute, 6 * time.Minute: 10 * time.Minute, 10*time.Minute - 1: 10 * time.Minute,
		10 * time.Minute: 0, 24 * time.Hour: 0,
	} {
		got := holdUntil(received, received.Add(after))
		if want == 0 && !got.IsZero() || want != 0 && !got.Equal(received.Add(want)) {
			t.Errorf("after %s: until %s, want %s", after, got.Sub(received), want)
		}
	}
}
