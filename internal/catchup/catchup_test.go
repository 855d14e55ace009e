package catchup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

func bubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, setup(t)) })
}

// An absence is made up for, once, from before it began; a server that runs on does nothing.
func TestAbsence(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		stop := b.run()
		elapse(24 * time.Hour)
		stop()
		if n, _ := b.provider.passes(); n != 0 {
			t.Errorf("%d passes without an absence", n)
		}
		left := time.Now()
		elapse(3 * time.Hour)
		b.Service = New(b.Config)
		b.provider.history = func(_ context.Context, _ int, past provider.Past) ([]string, error) {
			return nil, past.Yield([]provider.Report{{Identity: "a"}, {Identity: "b"}, {Identity: "a"}})
		}
		stop = b.run()
		defer stop()
		elapse(24 * time.Hour)
		n, since := b.provider.passes()
		if n != 1 || left.Sub(since) < overlap || left.Sub(since) > overlap+listenEvery || !b.debt().IsZero() {
			t.Errorf("%d passes, the last from %s before the absence; still to do: %s", n, left.Sub(since), b.debt())
		}
		if log := b.log.String(); !strings.Contains(log, "recorded=2 duplicates=1") || !strings.Contains(log, "gap=3h0m") {
			t.Errorf("log:\n%s", log)
		}
		for _, p := range b.store.parsed {
			if p.Receipt.ID != 0 || p.Receipt.AccountID != account || p.Receipt.TPSPID != tpspID || p.Sent != 70 || p.Now.IsZero() || !p.HoldTo.IsZero() {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) { p.CatchUp = b.began.Add(-2 * time.Hour) })
		b.provider.history = func(_ context.Context, n int, _ provider.Past) ([]string, error) {
			if n <= 8 {
				return nil, errors.New("Postmark is away")
			}
			return []string{"opens of last year"}, nil
		}
		stop := b.run()
		defer stop()
		elapse(10 * time.Minute)
		if state := b.State(tpspID); state.Error != "Postmark is away" || state.NextTry.IsZero() || state.Running {
			t.Errorf("%+v", state)
		}
		elapse(8 * time.Hour)
		at := b.provider.at(b.began)
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183}
		for i := range want {
			want[i] *= time.Minute
		}
		if !slices.Equal(at, want) || !b.debt().IsZero() {
			t.Errorf("asked at %v; still to do: %s", at, b.debt())
		}
		if state := b.State(tpspID); state != (State{}) {
			t.Errorf("%+v", state)
		}
		if !strings.Contains(b.log.String(), "opens of last year") {
			t.Error("the log does not say what is missing")
		}
	})
}

// While the webhook does not stand the provider is asked again and again, each time from where it was asked before.
func TestWithoutAWebhook(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) {
			p.CatchUp, p.Webhook.State = p.Created, directory.WebhookFailed
		})
		stop := b.run()
		defer stop()
		elapse(time.Hour + time.Minute)
		n, since := b.provider.passes()
		if n != 5 || time.Since(since) > overlap+2*pollEvery || b.debt().IsZero() {
			t.Errorf("%d passes, the last from %s ago", n, time.Since(since))
		}
		b.change(func(p *directory.TPSP) { p.Webhook.State = directory.WebhookRegistered })
		elapse(time.Hour)
		if n, _ := b.provider.passes(); n != 6 || !b.debt().IsZero() {
			t.Errorf("%d passes; still to do: %s", n, b.debt())
		}
	})
}

// A webhook that was put right during a pass may have been away when the pass read.
func TestWebhookIsPutRightMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) { p.CatchUp = b.began.Add(-20 * time.Hour) })
		b.provider.history = func(_ context.Context, n int, _ provider.Past) ([]string, error) {
			if n == 1 {
				<-time.After(10 * time.Minute)
				b.change(func(p *directory.TPSP) { p.Webhook.NextTry = p.Webhook.NextTry.Add(time.Hour) })
			}
			return nil, nil
		}
		stop := b.run()
		defer stop()
		elapse(time.Hour)
		n, since := b.provider.passes()
		if n != 2 || !since.Equal(b.began.Add(-overlap)) || !b.debt().IsZero() {
			t.Errorf("%d passes, the last from %s; still to do: %s", n, since, b.debt())
		}
	})
}

// A webhook that comes to stand during a pass is not waited for: the next pass, which sees it stand all the time, pays the debt at once.
func TestWebhookStandsMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) {
			p.CatchUp, p.Webhook.State = b.began.Add(-20*time.Hour), directory.WebhookFailed
		})
		b.provider.history = func(_ context.Context, n int, _ provider.Past) ([]string, error) {
			if n == 1 {
				b.change(func(p *directory.TPSP) { p.Webhook.State = directory.WebhookRegistered })
			}
			return nil, nil
		}
		stop := b.run()
		defer stop()
		elapse(time.Minute)
		if n, since := b.provider.passes(); n != 2 || !since.Equal(b.began.Add(-overlap)) || !b.debt().IsZero() {
			t.Errorf("%d passes, the last from %s; still to do: %s", n, since, b.debt())
		}
	})
}

// Who asks for an hour while a day is owed gets the day, and the debt is paid.
func TestAskingPaysTheDebt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		owed := b.began.Add(-20 * time.Hour)
		b.change(func(p *directory.TPSP) { p.CatchUp = owed })
		r, err := b.CatchUp(t.Context(), account, tpspID, b.began.Add(-time.Hour))
		if err != nil || r[0].Err != nil || !r[0].Since.Equal(owed) || !b.debt().IsZero() {
			t.Errorf("%+v, %v; still to do: %s", r, err, b.debt())
		}
	})
}

// So may one during which this machine slept.
func TestGapDuringAPass(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) { p.CatchUp = b.began.Add(-20 * time.Hour) })
		b.provider.history = func(_ context.Context, n int, _ provider.Past) ([]string, error) {
			if n == 1 {
				<-time.After(time.Minute)
				b.store.mu.Lock()
				b.store.listened = b.store.listened.Add(-time.Hour)
				b.store.mu.Unlock()
				<-time.After(time.Minute)
			}
			return nil, nil
		}
		stop := b.run()
		defer stop()
		elapse(time.Hour)
		if n, _ := b.provider.passes(); n != 2 || !b.debt().IsZero() {
			t.Errorf("%d passes; still to do: %s", n, b.debt())
		}
	})
}

func TestOnlyOneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.store.leases["catch-up/7"] = "another node"
		if _, err := b.CatchUp(t.Context(), account, tpspID, b.began); !errors.Is(err, ErrRunning) {
			t.Errorf("while another node is at it: %v", err)
		}
		results, err := b.CatchUp(t.Context(), account, 0, b.began)
		if err != nil || len(results) != 1 || !errors.Is(results[0].Err, ErrRunning) {
			t.Errorf("while another node is at it: %+v, %v", results, err)
		}
		b.store.leases = map[string]string{}
		ready, goOn := make(chan struct{}), make(chan struct{})
		b.provider.history = func(context.Context, int, provider.Past) ([]string, error) {
			close(ready)
			<-goOn
			return nil, nil
		}
		done := make(chan error)
		go func() {
			_, err := b.CatchUp(t.Context(), account, tpspID, b.began)
			done <- err
		}()
		<-ready
		if _, err := b.CatchUp(t.Context(), account, tpspID, b.began); !errors.Is(err, ErrRunning) {
			t.Errorf("while this node is at it: %v", err)
		}
		if !b.State(tpspID).Running {
			t.Error("it does not show")
		}
		close(goOn)
		if err := <-done; err != nil || len(b.store.leases) != 0 {
			t.Errorf("%v, leases %v", err, b.store.leases)
		}
	})
}

// What another node is at has not failed.
func TestAnotherNodeIsAtIt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) { p.CatchUp = b.began.Add(-time.Hour) })
		b.store.leases["catch-up/7"] = "another node"
		stop := b.run()
		defer stop()
		elapse(20 * time.Minute)
		if state := b.State(tpspID); state.Error != "" || state.tries != 0 || state.NextTry.After(time.Now().Add(leaseFor)) {
			t.Errorf("%+v", state)
		}
		b.store.mu.Lock()
		delete(b.store.leases, "catch-up/7")
		b.store.mu.Unlock()
		elapse(leaseFor + lookEvery)
		if n, _ := b.provider.passes(); n != 1 || !b.debt().IsZero() {
			t.Errorf("%d passes; still to do: %s", n, b.debt())
		}
	})
}

func TestLostLeaseEndsThePass(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.provider.history = func(ctx context.Context, _ int, _ provider.Past) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		done := make(chan error)
		go func() {
			results, err := b.CatchUp(t.Context(), account, tpspID, b.began)
			done <- errors.Join(err, results[0].Err)
		}()
		elapse(10 * time.Minute) // it is renewed
		b.store.mu.Lock()
		b.store.leases["catch-up/7"] = "another node"
		b.store.mu.Unlock()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "lease") {
			t.Error(err)
		}
	})
}

func TestEndOfTheServer(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.change(func(p *directory.TPSP) { p.CatchUp = b.began.Add(-time.Hour) })
		b.provider.history = func(ctx context.Context, _ int, _ provider.Past) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		stop := b.run()
		elapse(time.Minute)
		began := time.Now()
		stop()
		if took := time.Since(began); took != 0 || b.debt().IsZero() || len(b.store.leases) != 0 {
			t.Errorf("stopping took %s, still to do: %s, leases %v", took, b.debt(), b.store.leases)
		}
		if _, err := b.CatchUp(t.Context(), account, tpspID, b.began); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestAsked(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		for i := range 450 {
			b.store.awaiting = append(b.store.awaiting, store.Awaited{ID: id(i), ProviderID: fmt.Sprint("pm-", i)})
		}
		b.store.states = map[mail.ID]lifecycle.State{id(1): lifecycle.Sent, id(2): lifecycle.Delivered, id(3): lifecycle.Unknown}
		b.provider.history = func(ctx context.Context, _ int, past provider.Past) ([]string, error) {
			for n, want := range map[int]bool{1: true, 2: false, 3: true, 4: false} {
				if open, err := past.Open(ctx, id(n)); open != want || err != nil {
					t.Errorf("message %d: open %t, %v", n, open, err)
				}
			}
			return []string{"x"}, past.Yield([]provider.Report{{Identity: "a"}})
		}
		b.provider.missing = []string{"x", "y"}
		b.provider.fates = func(sent []provider.Sent, yield func([]provider.Report) error) error {
			return yield([]provider.Report{{Identity: "a"}, {Identity: sent[0].ProviderMessageID}})
		}
		results, err := b.CatchUp(t.Context(), account, 0, b.began.Add(-time.Hour))
		if err != nil || len(results) != 1 {
			t.Fatalf("%+v, %v", results, err)
		}
		r := results[0]
		if r.Asked != 452 || r.Reports != 7 || r.Recorded != 4 || r.Duplicates != 3 || !slices.Equal(r.Missing, []string{"x", "y"}) || r.Err != nil ||
			r.TPSP.ID != tpspID || !r.Since.Equal(b.began.Add(-time.Hour)) || len(b.provider.asked) != 450 {
			t.Errorf("%+v", r)
		}
		if r, _ := b.CatchUp(t.Context(), account, tpspID, time.Time{}); !r[0].Since.Equal(b.began.Add(-24 * time.Hour)) {
			t.Errorf("since %s, before it was there", r[0].Since)
		}
		for _, who := range [][2]int32{{2, tpspID}, {account, 8}} {
			if _, err := b.CatchUp(t.Context(), who[0], who[1], b.began); !errors.Is(err, ErrNotFound) {
				t.Errorf("%v: %v", who, err)
			}
		}
		b.change(func(p *directory.TPSP) { p.Deleted = time.Now() })
		if results, err := b.CatchUp(t.Context(), account, tpspID, b.began); err != nil || results[0].Err != nil {
			t.Errorf("a deleted one: %+v, %v", results, err)
		}
		if results, err := b.CatchUp(t.Context(), account, 0, b.began); err != nil || len(results) != 0 {
			t.Errorf("none in use: %+v, %v", results, err)
		}
	})
}

// One report that cannot be stored does not keep the others out, and the pass counts as failed.
func TestBadReport(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.store.refuse = func(p store.Parsed) error {
			for _, r := range p.Reports {
				if r.Identity == "bad" {
					return errors.New("no such column")
				}
			}
			return nil
		}
		b.provider.history = func(_ context.Context, _ int, past provider.Past) ([]string, error) {
			return nil, past.Yield([]provider.Report{{Identity: "a"}, {Identity: "b"}, {Identity: "bad"}, {Identity: "c"}, {Identity: "d"}})
		}
		results, err := b.CatchUp(t.Context(), account, tpspID, b.began)
		if err != nil || results[0].Recorded != 4 || results[0].Err == nil {
			t.Errorf("%+v, %v", results, err)
		}
	})
}

// A fault in an adapter is a pass that failed, and no end of the server.
func TestPanickingAdapter(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.provider.history = func(context.Context, int, provider.Past) ([]string, error) { panic("no such field") }
		results, err := b.CatchUp(t.Context(), account, tpspID, b.began)
		if err != nil || results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "no such field") || len(b.store.leases) != 0 {
			t.Errorf("%+v, %v", results, err)
		}
	})
}

func id(n int) mail.ID {
	id := uuid.MustParse("01930000-0000-7000-8000-000000000000")
	id[14], id[15] = byte(n>>8), byte(n)
	return id
}
