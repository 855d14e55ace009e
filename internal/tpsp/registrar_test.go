package tpsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

var (
	away    = &provider.SetupError{Code: "provider_unreachable", Message: "nobody there", Retry: true}
	revoked = &provider.SetupError{Code: "invalid_token", Field: "key", Message: "the token " + token + " is no good"}
)

// seconds returns when the calls were made, counted from the beginning.
func (b *bundle) seconds(calls []call) (at []int) {
	for _, c := range calls {
		at = append(at, int(c.at.Sub(b.began)/time.Second))
	}
	return at
}

func TestRegistrationIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(_ context.Context, n int) (string, error) {
			if n <= 4 {
				return "", away
			}
			return "hook-7", nil
		}
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		if w := made.Webhook; w.State != directory.WebhookFailed || w.Error != "nobody there" || w.Tries != 1 || !w.NextTry.Equal(b.began.Add(5*time.Second)) {
			t.Errorf("%+v", w)
		}
		<-time.After(50 * time.Minute)
		synctest.Wait()
		if at := b.seconds(b.provider.made("register")); !slices.Equal(at, []int{0, 5, 15, 35, 75}) {
			t.Errorf("registered at %v", at)
		}
		w := b.now(made.ID).Webhook
		if w.State != directory.WebhookRegistered || w.Ref != "hook-7" || w.Error != "" || w.Tries != 0 || !w.NextTry.Equal(b.began.Add(75*time.Second+time.Hour)) {
			t.Errorf("%+v", w)
		}
		if got := b.Directory.Current().TPSP(b.account, made.ID).Webhook; got.State != directory.WebhookRegistered {
			t.Errorf("the directory was not told: %+v", got)
		}
	})
}

func TestWaitsGrowToAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(context.Context, int) (string, error) { return "", away }
		stop := run(t, b.Service)
		b.create("outbound")
		<-time.After(6 * time.Hour)
		synctest.Wait()
		stop()
		calls := b.provider.made("register")
		for i := 1; i < len(calls); i++ {
			want := min(5*time.Second<<(i-1), 15*time.Minute)
			if gap := calls[i].at.Sub(calls[i-1].at); gap != want {
				t.Errorf("gap %d is %s, want %s", i, gap, want)
			}
		}
		if len(calls) < 20 {
			t.Errorf("%d tries", len(calls))
		}
	})
}

func TestJitterSpreadsByAFifth(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for jitter, want := range map[float64]time.Duration{0: 8 * time.Second, 0.5: 10 * time.Second, 0.999999: 12 * time.Second} {
		s := NewService(Config{Now: func() time.Time { return now }, Jitter: func() float64 { return jitter }})
		if got := s.later(2).Sub(now).Round(time.Millisecond); got != want {
			t.Errorf("jitter %f: %s", jitter, got)
		}
		if got := s.later(1_000_000).Sub(now); got > 18*time.Minute || got < 12*time.Minute {
			t.Errorf("after a million: %s", got)
		}
	}
}

func TestRemovalIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.unregister = func(_ context.Context, n int) error {
			if n <= 3 {
				return away
			}
			return nil
		}
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		if _, err := b.Delete(t.Context(), b.account, made.ID, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the Registrar may have been quicker
		if w := b.now(made.ID).Webhook; w.State == "" || w.Ref != "hook-1" || w.Error == "" || w.NextTry.IsZero() {
			t.Errorf("forgotten: %+v", w)
		}
		<-time.After(24 * time.Hour)
		synctest.Wait()
		calls := b.provider.made("unregister")
		if at := b.seconds(calls); !slices.Equal(at, []int{0, 5, 15, 35}) || calls[3].hook.Ref != "hook-1" {
			t.Errorf("removed at %v, %+v", at, calls)
		}
		w := b.now(made.ID).Webhook
		if w.State != "" || w.Ref != "hook-1" || w.Error != "" || w.Username == "" || len(w.SealedPassword) == 0 {
			t.Errorf("%+v: late events still need the credentials", w)
		}
	})
}

// A token that was revoked cannot remove anything any more. That is not tried for ever.
func TestRemovalGivesUpOnARevokedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.unregister = func(context.Context, int) error { return revoked }
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		if _, err := b.Delete(t.Context(), b.account, made.ID, false); err != nil {
			t.Fatal(err)
		}
		<-time.After(48 * time.Hour)
		synctest.Wait()
		if n := len(b.provider.made("unregister")); n != giveUp {
			t.Errorf("%d tries", n)
		}
		if w := b.now(made.ID).Webhook; w.State != "" || strings.Contains(w.Error, token) || !strings.Contains(w.Error, "[redacted]") {
			t.Errorf("%+v", w)
		}
		if strings.Contains(b.log.String(), token) {
			t.Errorf("the token is in the log: %s", b.log)
		}
	})
}

// After a start every webhook is registered once more, because our public URL may be another one now.
func TestRestartWithAnotherURL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		for range 2 {
			stop := run(t, b.restart("https://two.example.com"))
			<-time.After(20 * time.Minute)
			synctest.Wait()
			stop()
		}
		calls := b.provider.made("register")
		if len(calls) != 3 {
			t.Fatalf("%d registrations", len(calls))
		}
		first, second := calls[0].hook, calls[1].hook
		if want := fmt.Sprintf("https://one.example.com/tpsp/postmark/account/%d", b.account); first.URL != want || first.Ref != "" {
			t.Errorf("%+v", first)
		}
		if want := fmt.Sprintf("https://two.example.com/tpsp/postmark/account/%d", b.account); second.URL != want || second.Ref != "hook-1" {
			t.Errorf("%+v", second)
		}
		if !first.Credentials.Password.Equal(second.Credentials.Password) || first.Credentials.Username != second.Credentials.Username {
			t.Error("the credentials changed")
		}
		if w := b.now(made.ID).Webhook; w.State != directory.WebhookRegistered || w.Ref != "hook-3" {
			t.Errorf("%+v", w)
		}
	})
}

// We stopped, or lost the disk, between the provider's answer and our record: it is done again.
func TestUnrecordedRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.store.updates = 3
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		if w := b.now(made.ID).Webhook; w.State != directory.WebhookPending {
			t.Errorf("%+v", w)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if w := b.now(made.ID).Webhook; w.State != directory.WebhookRegistered {
			t.Errorf("%+v", w)
		}
		if at := b.seconds(b.provider.made("register")); !slices.Equal(at, []int{0, 20, 25, 30}) {
			t.Errorf("registered at %v", at)
		}
	})
}

// The Registrar and a user's request never register the same TPSP at the same time, and what is deleted meanwhile is removed.
func TestOneStepAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(context.Context, int) (string, error) {
			<-time.After(10 * time.Second)
			return "hook", nil
		}
		stop := run(t, b.Service)
		defer stop()
		var creating sync.WaitGroup
		creating.Go(func() { b.create("outbound") })
		<-time.After(time.Second)
		b.hint()
		synctest.Wait()
		id := b.Directory.Current().TPSPs(b.account)[0].ID
		if _, err := b.Delete(t.Context(), b.account, id, false); err != nil {
			t.Error(err)
		}
		creating.Wait()
		<-time.After(time.Hour)
		synctest.Wait()
		if n, m := len(b.provider.made("register")), len(b.provider.made("unregister")); n != 1 || m != 1 || b.provider.overlap {
			t.Errorf("%d registrations, %d removals, overlap %t", n, m, b.provider.overlap)
		}
		if w := b.now(id).Webhook; w.State != "" {
			t.Errorf("%+v", w)
		}
	})
}

// A provider that hangs does not delay our end.
func TestHangingProvider(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(ctx context.Context, n int) (string, error) {
			if n == 1 {
				return "", away
			}
			<-ctx.Done()
			return "", ctx.Err()
		}
		made := b.create("outbound")
		stop := run(t, b.Service)
		<-time.After(10 * time.Second) // the second try is on the wire
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 0 || len(b.provider.made("register")) != 2 {
			t.Errorf("stopping took %s; calls at %v", took, b.seconds(b.provider.made("register")))
		}
		if w := b.now(made.ID).Webhook; w.Tries != 1 {
			t.Errorf("our end counts as a failure: %+v", w)
		}
	})
}

func TestRegistrationThatIsSavedButOutOfOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(context.Context, int) (string, error) {
			return "hook-9", &provider.SetupError{Code: "webhook_unverified", Message: "saved but not verified", Retry: true}
		}
		made := b.create("outbound")
		if w := b.now(made.ID).Webhook; w.State != directory.WebhookUnverified || w.Ref != "hook-9" {
			t.Errorf("%+v: without its id it could not be changed or removed", w)
		}
	})
}

func TestRefusalIsRecognised(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{away: false, revoked: true, errors.New("x"): false, context.Canceled: false} {
		if forGood(fmt.Errorf("step: %w", err)) != want {
			t.Errorf("%v", err)
		}
	}
}
