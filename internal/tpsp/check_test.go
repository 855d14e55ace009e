package tpsp

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// hoursOf returns when the webhook was registered or checked, in hours from the beginning.
func (b *bundle) hoursOf(calls []call) (at []float64) {
	for _, c := range calls {
		at = append(at, c.at.Sub(b.began).Hours())
	}
	return at
}

func TestWebhookIsCheckedEveryHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		stop := run(t, b.Service)
		made := b.create("outbound")
		<-time.After(3*time.Hour + time.Minute)
		synctest.Wait()
		stop()
		if at := b.hoursOf(b.provider.made("register")); !slices.Equal(at, []float64{0, 1, 2, 3}) {
			t.Errorf("checked at %v", at)
		}
		if got := b.now(made.ID); !got.CatchUp.IsZero() || got.Webhook.State != directory.WebhookRegistered || strings.Contains(b.log.String(), "WARN") {
			t.Errorf("%+v\n%s", got, b.log)
		}
	})
}

// Somebody removed or changed the webhook at the provider: what happened since the last check may be lost.
func TestRepairedWebhookHasToBeCaughtUpWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.changed = func(n int) bool { return n == 1 || n == 3 || n == 4 }
		b.store.debts = 1 // the disk is away for a moment: then nothing is put right
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		<-time.After(2*time.Hour + time.Minute)
		synctest.Wait()
		seen := b.began.Add(time.Hour)
		from := b.now(made.ID).CatchUp
		if from.After(seen.Add(-provider.WebhookRetries)) || from.Before(seen.Add(-2*provider.WebhookRetries)) {
			t.Errorf("to be caught up with from %s, seen last at %s", from, seen)
		}
		if at := b.seconds(b.provider.made("register")); !slices.Equal(at, []int{0, 3600, 7200, 7205}) {
			t.Errorf("checked at %v", at)
		}
		if got := b.Directory.Current().TPSP(b.account, made.ID); !got.CatchUp.Equal(from) || got.Webhook.State != directory.WebhookRegistered {
			t.Errorf("the directory was not told: %+v", got)
		}
	})
}

// A process that is killed when the webhook is put right, and before that is recorded, leaves the debt.
func TestDebtIsRecordedBeforeTheRepair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		b.provider.changed = func(int) bool { return true }
		repaired := 0
		b.provider.repaired = func() {
			repaired++
			if b.now(made.ID).CatchUp.IsZero() {
				t.Error("put right without a debt")
			}
		}
		stop := run(t, b.restart("https://one.example.com"))
		defer stop()
		synctest.Wait()
		if repaired != 1 {
			t.Errorf("put right %d times", repaired)
		}
	})
}

// A provider that cannot be reached says nothing of the webhook: it stays registered, and the check is tried again.
func TestUnreachableProviderDoesNotUnregister(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(_ context.Context, n int) (string, error) {
			if n > 1 && n < 5 {
				return "", away
			}
			return "hook-1", nil
		}
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		<-time.After(time.Hour + 20*time.Second)
		synctest.Wait()
		if got := b.now(made.ID); got.Webhook.State != directory.WebhookRegistered || got.Webhook.Error != "" || !got.CatchUp.IsZero() {
			t.Errorf("%+v", got)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if at := b.seconds(b.provider.made("register")); !slices.Equal(at, []int{0, 3600, 3605, 3615, 3635, 7235}[:5]) {
			t.Errorf("checked at %v", at)
		}
		if got := b.now(made.ID); !got.CatchUp.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

// What a check refuses for good is a failure: events are lost until it is over, and that is remembered from the beginning.
func TestRefusedCheckIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(_ context.Context, n int) (string, error) {
			if n > 2 && n < 5 {
				return "", revoked
			}
			return "hook-1", nil
		}
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		<-time.After(2*time.Hour + time.Second)
		synctest.Wait()
		got := b.now(made.ID)
		if got.Webhook.State != directory.WebhookFailed || got.CatchUp.IsZero() || got.CatchUp.After(b.began.Add(time.Hour)) {
			t.Errorf("%+v", got)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if again := b.now(made.ID); again.Webhook.State != directory.WebhookRegistered || !again.CatchUp.Equal(got.CatchUp) {
			t.Errorf("%+v, want it to be caught up with from %s", again, got.CatchUp)
		}
	})
}

// A provider that cannot reach us reports nothing from the beginning.
func TestUnregisteredWebhookHasToBeCaughtUpWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.register = func(context.Context, int) (string, error) {
			return "", &provider.SetupError{Code: "webhook_unverified", Message: "no answer from your URL", Retry: true}
		}
		made := b.create("outbound")
		if got := b.now(made.ID).CatchUp; !got.Equal(made.Created) {
			t.Errorf("to be caught up with from %s, made at %s", got, made.Created)
		}
	})
}

// While another node works on a webhook, this one does not.
func TestAnotherNodeIsAtIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		if held, err := b.db.Lease(t.Context(), leaseName(made.ID), "another/run", 10*time.Minute); err != nil || !held {
			t.Fatalf("lease: %t, %v", held, err)
		}
		stop := run(t, b.restart("https://one.example.com"))
		defer stop()
		<-time.After(9 * time.Minute)
		synctest.Wait()
		if n := len(b.provider.made("register")); n != 1 {
			t.Errorf("%d registrations", n)
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if n := len(b.provider.made("register")); n != 2 {
			t.Errorf("%d registrations after the other node's lease", n)
		}
	})
}
