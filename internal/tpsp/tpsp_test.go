package tpsp

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/store"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		probed := false
		b.provider.register = func(context.Context, int) (string, error) {
			// The provider probes our URL now: the directory must know the credentials already.
			list := b.Directory.Current().TPSPs(b.account)
			if len(list) == 1 && list[0].Webhook.State == directory.WebhookPending {
				_, err := b.Credentials(list[0])
				probed = err == nil
			}
			return "hook-1", nil
		}
		made, pool, err := b.Create(t.Context(), b.account, New{
			Name: " Postmark Live ", Type: provider.Postmark, Key: secret.NewString(" " + token + "\n"), Stream: " outbound ",
			Endpoint: "http://127.0.0.1:9/base/",
		})
		if err != nil || !probed {
			t.Fatalf("probed %t, %v", probed, err)
		}
		if made.Name != "Postmark Live" || made.Stream != "outbound" || made.Endpoint != "http://127.0.0.1:9/base" {
			t.Errorf("%+v", made)
		}
		if pool.Name != "postmark-live-pool" || pool.AutoTPSP != made.ID || len(pool.Members) != 1 || pool.Members[0] != made.Egress() || pool.Strategy != route.RoundRobin {
			t.Errorf("%+v", pool)
		}
		conn, err := b.Connection(made)
		if err != nil || conn.Key.Reveal() != token || conn.Stream != "outbound" || conn.TPSPID != made.ID || conn.AccountID != b.account {
			t.Errorf("%+v, %v", conn, err)
		}
		hook, err := b.Hook(made)
		if err != nil || hook.Ref != "hook-1" || !strings.HasPrefix(hook.Credentials.Username, "postyard-") || len(hook.Credentials.Password.Reveal()) < 32 {
			t.Errorf("%+v, %v", hook, err)
		}
	})
}

func TestSameKeyAndStreamTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		first := b.create("outbound")
		asked := false
		b.provider.check = func(context.Context) error { asked = true; return nil }
		again := New{Name: "Again", Type: provider.Postmark, Key: secret.NewString(token), Stream: "outbound"}
		_, _, err := b.Create(t.Context(), b.account, again)
		duplicate, ok := errors.AsType[*DuplicateError](err)
		if !ok || duplicate.Name != first.Name || !errors.Is(err, store.ErrConflict) || asked {
			t.Errorf("asked the provider %t, %v", asked, err)
		}
		// Two requests at once both pass the first look; the store stops one of them.
		b.provider.check = func(context.Context) error {
			b.provider.check = nil
			b.create("broadcast")
			return nil
		}
		again.Stream = "broadcast"
		if _, _, err = b.Create(t.Context(), b.account, again); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%v", err)
		}
		if n := len(b.Directory.Current().TPSPs(b.account)); n != 2 {
			t.Errorf("%d providers", n)
		}
		if _, err := b.Delete(t.Context(), b.account, first.ID, false); err != nil {
			t.Fatal(err)
		}
		b.create("outbound")
	})
}

// Older versions stored the hash of a token as it was written. The same token is found all the same, also before the server is known.
func TestTokenHashedByAnOlderVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		first := b.create("outbound")
		capitals := strings.ToUpper(token)
		old := *first
		old.SealedKey, old.KeyHash = b.Box.Seal(keyPurpose, []byte(capitals)), secret.Hash(capitals)
		if err := errors.Join(b.db.MoveTPSP(t.Context(), &old, nil, time.Time{}), b.Directory.Reload(t.Context())); err != nil {
			t.Fatal(err)
		}
		second := b.create("broadcast")
		for _, key := range []string{token, capitals} {
			_, _, err := b.Create(t.Context(), b.account, New{Name: "Again", Type: provider.Postmark, Key: secret.NewString(key), Stream: "outbound"})
			if duplicate, ok := errors.AsType[*DuplicateError](err); !ok || duplicate.Name != first.Name {
				t.Errorf("%s was added: %v", key, err)
			}
			_, err = b.Update(t.Context(), b.account, second.ID, to(key, "outbound"))
			if duplicate, ok := errors.AsType[*DuplicateError](err); !ok || duplicate.Name != first.Name {
				t.Errorf("moved to %s: %v", key, err)
			}
		}
		// What was sealed with a key that is not here is compared by what is stored.
		stranger := b.service(b.Directory, secret.NewBox(secret.NewKey()), "https://x.example.com")
		if _, _, err := stranger.Create(t.Context(), b.account, New{Name: "Again", Type: provider.Postmark, Key: secret.NewString(token), Stream: "broadcast"}); !errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
		b.move(first.ID, to(token, "letters")) // it is not its own duplicate
	})
}

func TestProviderThatGivesNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.check = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		began := time.Now()
		_, _, err := b.Create(t.Context(), b.account, New{Name: "x", Type: provider.Postmark, Key: secret.NewString(token), Stream: "s"})
		refused, ok := errors.AsType[*provider.SetupError](err)
		if !ok || !refused.Retry || refused.Code != "provider_unreachable" || time.Since(began) != setupTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if len(b.Directory.Current().TPSPs(b.account)) != 0 {
			t.Error("it was saved")
		}
	})
}

// The user's client hangs up during the registration. It goes on to its end, and is recorded.
func TestHangUpDuringRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.provider.register = func(ctx context.Context, _ int) (string, error) {
			cancel()
			return "hook-1", ctx.Err()
		}
		made, _, err := b.Create(ctx, b.account, New{Name: "x", Type: provider.Postmark, Key: secret.NewString(token), Stream: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if w := b.now(made.ID).Webhook; w.State != directory.WebhookRegistered || w.Ref != "hook-1" {
			t.Errorf("%+v", w)
		}
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		waiting := 1200
		b.store.count = func(context.Context, route.Egress) (int64, error) { return int64(waiting), nil }
		_, err := b.Delete(t.Context(), b.account, made.ID, false)
		if refused, ok := errors.AsType[*WaitingError](err); !ok || refused.N != 1200 || !strings.Contains(err.Error(), "1200") || !strings.Contains(err.Error(), "force=true") {
			t.Errorf("%v", err)
		}
		if b.Directory.Current().TPSP(b.account, made.ID) == nil {
			t.Fatal("deleted all the same")
		}
		if _, err := b.Delete(t.Context(), b.account+1, made.ID, true); !errors.Is(err, ErrNotFound) {
			t.Errorf("another account: %v", err)
		}
		if _, err := b.Delete(t.Context(), b.account, made.ID, true); err != nil {
			t.Error(err)
		}
		now := b.Directory.Current()
		if now.TPSP(b.account, made.ID) != nil || len(now.Pools(b.account)) != 0 {
			t.Error("it is still there")
		}
		if late := now.AnyTPSP(made.ID); late == nil || late.Webhook.State != "" {
			t.Errorf("%+v", late)
		} else if _, err := b.Credentials(late); err != nil {
			t.Errorf("late events cannot be checked: %v", err)
		}
		if _, err := b.Delete(t.Context(), b.account, made.ID, true); !errors.Is(err, ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
	})
}

func TestEndpointsAreFiltered(t *testing.T) {
	t.Parallel()
	s := NewService(Config{Adapters: provider.Registry{provider.Postmark: &scripted{}}, Box: secret.NewBox(secret.NewKey())})
	for endpoint, allowed := range map[string]bool{
		"": true, "https://api.postmarkapp.com": true, "http://api.postmarkapp.com": false, "https://127.0.0.1": false,
		"https://169.254.169.254/latest": false, "https://localhost:8025": false, "https://[::1]/": false, "//x": false,
	} {
		_, _, err := s.Create(t.Context(), 1, New{Name: "x", Type: provider.Postmark, Key: secret.NewString(token), Endpoint: endpoint})
		bad, ok := errors.AsType[*mail.FieldError](err)
		if !ok || allowed != (bad.Field == "messageStream") || !allowed && bad.Field != "endpoint" {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

func TestSecretsNeedTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		stranger := b.service(b.Directory, secret.NewBox(secret.NewKey()), "https://x.example.com")
		if _, err := stranger.Connection(made); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("%v", err)
		}
		if _, err := stranger.Hook(made); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("%v", err)
		}
		swapped := *made
		swapped.SealedKey = made.Webhook.SealedPassword
		if _, err := b.Connection(&swapped); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("a password opened as a key: %v", err)
		}
	})
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Postmark (Live)": "postmark-live", "  A  b ": "a-b", "Für Élise": "fur-elise", "日本": "provider", "---": "provider", "x_y.z": "x-y-z",
	} {
		if got := slug(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	shape := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	rapid.Check(t, func(t *rapid.T) {
		if got := slug(rapid.String().Draw(t, "name")); !shape.MatchString(got) || len(got) > maxSlug {
			t.Fatalf("%q", got)
		}
	})
}

func BenchmarkConnection(b *testing.B) {
	box := secret.NewBox(secret.NewKey())
	s := NewService(Config{Box: box})
	t := &directory.TPSP{ID: 1, SealedKey: box.Seal(keyPurpose, []byte(token))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Connection(t); err != nil {
			b.Fatal(err)
		}
	}
}
