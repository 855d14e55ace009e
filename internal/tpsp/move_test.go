package tpsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
	"postyard/internal/store"
)

const anotherToken = "5ec7e700-1111-4222-8333-0123456789ff"

// to is a change to another key and stream.
func to(key, stream string) Change {
	return func(_ *directory.TPSP, conn *provider.Connection) error {
		conn.Key, conn.Stream = secret.NewString(key), stream
		return nil
	}
}

func (b *bundle) move(id int32, change Change) *directory.TPSP {
	b.t.Helper()
	t, err := b.Update(b.t.Context(), b.account, id, change)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// made lists the steps at the provider since the first one: what was done, with which key and stream.
func (b *bundle) steps() (list []string) {
	b.provider.mu.Lock()
	defer b.provider.mu.Unlock()
	for _, c := range b.provider.calls[1:] {
		list = append(list, fmt.Sprintf("%s %s %s %q", c.op, c.conn.Key.Reveal()[34:], c.conn.Stream, c.hook.Ref))
	}
	return list
}

func TestWebhookMoves(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct{ key, stream, register, unregister string }{
		"stream": {token, "letters", `register ab letters ""`, `unregister ab outbound "hook-1"`},
		"server": {anotherToken, "outbound", `register ff outbound ""`, `unregister ab outbound "hook-1"`},
		"both":   {anotherToken, "letters", `register ff letters ""`, `unregister ab outbound "hook-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.provider.servers = map[string]string{token: "1", anotherToken: "2"}
				made := b.create("outbound")
				old := made.Webhook
				b.provider.register = func(context.Context, int) (string, error) {
					// The provider calls our URL now: the new credentials are known, and the old ones are not forgotten.
					now := b.Directory.Current().AnyTPSP(made.ID)
					if now.Webhook.Username == old.Username || len(now.Past) != 1 || now.Past[0].Username != old.Username || !now.Past[0].Valid(time.Now()) {
						t.Errorf("while it registers: %+v", now)
					}
					if stored := b.now(made.ID); stored.Webhook.Username != now.Webhook.Username {
						t.Error("they are not stored")
					}
					return "hook-2", nil
				}
				<-time.After(time.Hour)
				moved := b.move(made.ID, to(change.key, change.stream))
				if got := b.steps(); !slices.Equal(got, []string{change.register, change.unregister}) {
					t.Errorf("%q", got)
				}
				now := time.Now().UTC()
				w := moved.Webhook
				if moved.Stream != change.stream || w.State != directory.WebhookRegistered || w.Ref != "hook-2" || w.Username == old.Username {
					t.Errorf("%+v", moved)
				}
				p := moved.Past[0]
				if !p.Removed.Equal(now) || !p.ValidUntil.Equal(now.Add(75*time.Minute)) || !p.Valid(now.Add(74*time.Minute)) || p.Valid(now.Add(76*time.Minute)) {
					t.Errorf("%+v", p)
				}
				if !moved.CatchUp.Equal(now.Add(-provider.WebhookRetries)) {
					t.Errorf("to be caught up with from %s", moved.CatchUp)
				}
				if conn, err := b.Connection(moved.As(&p)); err != nil || conn.Stream != "outbound" || conn.Key.Reveal() != token {
					t.Errorf("the old connection: %+v, %v", conn, err)
				}
			})
		})
	}
}

// Another token of the same server opens the same stream: its webhook stays, and what was refused before is tried again.
func TestRotatedTokenKeepsTheWebhook(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"it is known": true, "it was connected by an older version": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.provider.servers = map[string]string{token: "1", anotherToken: "1"}
				made := b.create("outbound")
				if !known {
					w := made.Webhook
					w.Server = ""
					if err := errors.Join(b.db.UpdateWebhook(t.Context(), made.ID, w), b.Directory.Reload(t.Context())); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.db.UpdateHealth(t.Context(), made.ID, directory.Health{Stopped: true, Reason: "bad token", Since: time.Now()}); err != nil {
					t.Fatal(err)
				}
				moved := b.move(made.ID, to(anotherToken, "outbound"))
				if got := b.steps(); !slices.Equal(got, []string{`register ff outbound "hook-1"`}) {
					t.Errorf("%q", got)
				}
				if moved.Webhook.Username != made.Webhook.Username || len(moved.Past) != 0 || !moved.CatchUp.IsZero() || moved.Health.Stopped {
					t.Errorf("%+v", moved)
				}
				if conn, err := b.Connection(moved); err != nil || conn.Key.Reveal() != anotherToken {
					t.Errorf("%+v, %v", conn, err)
				}
				// From the stream that it leaves then, the new token opens what the old one did.
				letters := b.move(made.ID, to(anotherToken, "letters"))
				if conn, err := b.Connection(letters.As(&letters.Past[0])); err != nil || conn.Key.Reveal() != anotherToken || conn.Stream != "outbound" {
					t.Errorf("%+v, %v", conn, err)
				}
			})
		})
	}
}

// The old webhook reports until the provider has the new one, whoever registers that, and however often the process is started anew.
func TestOldWebhookStandsUntilTheNewOneDoes(t *testing.T) {
	t.Parallel()
	unverified := &provider.SetupError{Code: provider.CodeHookUnverified, Message: "not verified", Retry: true}
	paused := &provider.SetupError{Code: provider.CodeHookPaused, Message: "paused", Retry: true}
	for name, c := range map[string]struct {
		ref     string
		err     error
		state   directory.WebhookState // after the first try
		removed int                    // in seconds after the move, when the fourth registration succeeds
	}{
		"unreachable": {"", away, directory.WebhookFailed, 35}, "refused": {"", revoked, directory.WebhookFailed, 35},
		"paused": {"hook-2", paused, directory.WebhookPaused, 35}, "unverified": {"hook-2", unverified, directory.WebhookUnverified, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				made := b.create("outbound")
				b.provider.register = func(_ context.Context, n int) (string, error) {
					if n < 5 { // the first is that of the old one
						return c.ref, c.err
					}
					return "hook-2", nil
				}
				moved := b.move(made.ID, to(token, "letters"))
				if p := moved.Past[0]; moved.Webhook.State != c.state || p.Removed.IsZero() != (c.removed > 0) || !p.Valid(time.Now().Add(time.Hour)) {
					t.Errorf("after the move: %+v", moved)
				}
				stop := run(t, b.Service)
				<-time.After(20 * time.Second)
				stop()
				stop = run(t, b.restart("https://one.example.com"))
				defer stop()
				<-time.After(time.Minute)
				synctest.Wait()
				calls := b.provider.made("unregister")
				if at := b.seconds(calls); !slices.Equal(at, []int{c.removed}) || calls[0].hook.Credentials.Username != made.Webhook.Username {
					t.Errorf("removed at %v: %+v", at, calls)
				}
				if now := b.now(made.ID); now.Webhook.State != directory.WebhookRegistered || now.Past[0].Removed.IsZero() {
					t.Errorf("%+v", now)
				}
			})
		})
	}
}

// Neither the time that passes nor a second move ends the old webhook; that a user has the new one registered does, and so does deletion.
func TestOldWebhooksWaitForTheirEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*bundle, int32) error{
		"registered": func(b *bundle, id int32) error {
			b.provider.register = nil
			_, err := b.RegisterWebhook(b.t.Context(), b.account, id)
			return err
		},
		"deleted": func(b *bundle, id int32) error {
			_, err := b.Delete(b.t.Context(), b.account, id, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				made := b.create("outbound")
				b.provider.register = func(context.Context, int) (string, error) { return "", revoked }
				b.move(made.ID, to(token, "letters"))
				b.move(made.ID, to(token, "broadcast"))
				stop := run(t, b.Service)
				defer stop()
				<-time.After(3 * time.Hour)
				synctest.Wait()
				if n := len(b.provider.made("unregister")); n != 0 {
					t.Errorf("%d removals", n)
				}
				if err := end(b, made.ID); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Minute)
				synctest.Wait()
				for _, p := range b.now(made.ID).Past {
					if p.Removed.IsZero() {
						t.Errorf("it stands: %+v", p)
					}
				}
			})
		})
	}
}

// The removal of the old webhook is tried again until it is done, whatever happens to the process; then the old credentials are good for a
// while, and what happened there is read back until late events are none.
func TestOldWebhookIsRemovedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.unregister = func(_ context.Context, n int) error {
			if n <= 4 {
				return away
			}
			return nil
		}
		made := b.create("outbound")
		moved := b.move(made.ID, to(token, "letters"))
		if p := moved.Past[0]; p.Error != "nobody there" || p.Tries != 1 || !p.Removed.IsZero() || !p.Valid(time.Now().AddDate(1, 0, 0)) {
			t.Errorf("%+v", p)
		}
		stop := run(t, b.Service)
		<-time.After(20 * time.Second)
		stop()
		s := b.restart("https://one.example.com")
		stop = run(t, s)
		defer func() { stop() }()
		<-time.After(10 * time.Minute)
		synctest.Wait()
		calls := b.provider.made("unregister")
		if at := b.seconds(calls); !slices.Equal(at, []int{0, 5, 15, 35, 75}) || calls[4].hook.Credentials.Username != made.Webhook.Username {
			t.Errorf("removed at %v: %+v", at, calls)
		}
		p := b.now(made.ID).Past[0]
		removed := b.began.Add(75 * time.Second)
		if !p.Removed.Equal(removed) || p.Error != "" || !p.ValidUntil.Equal(removed.Add(75*time.Minute)) {
			t.Errorf("%+v", p)
		}
		caughtUp := func() {
			t.Helper()
			if err := errors.Join(b.db.CaughtUp(t.Context(), made.ID, moved.CatchUp), s.Directory.Reload(t.Context())); err != nil {
				t.Fatal(err)
			}
			if got := b.now(made.ID); !got.CatchUp.IsZero() {
				t.Errorf("caught up, but for %s", got.CatchUp)
			}
		}
		caughtUp()
		// The process runs only when something is due: hourly checks for a week take long.
		for _, after := range []time.Duration{75 * time.Minute, 24 * time.Hour, 72 * time.Hour, 7 * 24 * time.Hour} {
			stop()
			due := removed.Add(after)
			<-time.After(time.Until(due) - time.Second)
			s = b.restart("https://one.example.com")
			stop = run(t, s)
			synctest.Wait()
			if got := b.now(made.ID); !got.CatchUp.IsZero() || !got.Past[0].NextTry.Equal(due) {
				t.Errorf("%s after, but for a second: %+v", after, got)
			}
			<-time.After(setback) // the webhook was just checked
			synctest.Wait()
			if got := b.now(made.ID); !got.CatchUp.Equal(p.Switched.Add(-provider.WebhookRetries)) {
				t.Errorf("%s after: not caught up with", after)
			}
			caughtUp()
		}
		stop()
		<-time.After(24 * time.Hour)
		stop = run(t, s)
		<-time.After(time.Minute)
		synctest.Wait()
		if got := b.now(made.ID); !got.CatchUp.IsZero() || !got.Past[0].NextTry.IsZero() {
			t.Errorf("it has no end: %+v", got)
		}
		if n := len(b.provider.made("unregister")); n != 5 {
			t.Errorf("%d removals", n)
		}
	})
}

// A process that dies when the move is stored leaves the rest to the next one, in the same order.
func TestMoveOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		d, err := b.draft(t.Context(), b.account, made.ID, to(token, "letters"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.commit(t.Context(), d, to(token, "letters"), "", false); err != nil {
			t.Fatal(err)
		}
		stop := run(t, b.restart("https://one.example.com"))
		defer stop()
		<-time.After(time.Minute)
		synctest.Wait()
		if got := b.steps(); !slices.Equal(got, []string{`register ab letters ""`, `unregister ab outbound "hook-1"`}) {
			t.Errorf("%q", got)
		}
		if now := b.now(made.ID); now.Webhook.State != directory.WebhookRegistered || now.Past[0].Removed.IsZero() {
			t.Errorf("%+v", now)
		}
	})
}

// A token that was revoked removes nothing: the old webhook is given up, and its credentials end.
func TestOldWebhookOfARevokedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.unregister = func(context.Context, int) error { return revoked }
		made := b.create("outbound")
		b.move(made.ID, to(anotherToken, "letters"))
		if _, err := b.Delete(t.Context(), b.account, made.ID, false); err != nil { // also that of a deleted TPSP is removed
			t.Fatal(err)
		}
		stop := run(t, b.Service)
		defer stop()
		<-time.After(24 * time.Hour)
		synctest.Wait()
		p := b.now(made.ID).Past[0]
		if p.Removed.IsZero() || !p.NextTry.IsZero() || p.Valid(time.Now()) || !strings.Contains(p.Error, "is no good") || strings.Contains(p.Error, token) {
			t.Errorf("%+v", p)
		}
	})
}

func TestMoveThatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.provider.servers = map[string]string{token: "1", anotherToken: "1", "third": "3"}
		made, second := b.create("outbound"), b.create("letters")
		before := *b.now(made.ID)
		unchanged := func(why string) {
			t.Helper()
			if now := b.now(made.ID); now.Stream != before.Stream || now.Name != before.Name || now.Webhook.Username != before.Webhook.Username || now.Past != nil {
				t.Errorf("%s, and it was changed: %+v", why, now)
			}
		}
		for name, key := range map[string]string{"the key of another": token, "another key of its server": anotherToken} {
			_, err := b.Update(t.Context(), b.account, made.ID, to(key, "letters"))
			if duplicate, ok := errors.AsType[*DuplicateError](err); !ok || duplicate.Name != second.Name || !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
			unchanged(name)
		}
		_, err := b.Update(t.Context(), b.account, made.ID, to(token, ""))
		if bad, ok := errors.AsType[*mail.FieldError](err); !ok || bad.Code != "missing_message_stream" {
			t.Error(err)
		}
		b.provider.check = func(context.Context) error { return revoked }
		_, err = b.Update(t.Context(), b.account, made.ID, func(p *directory.TPSP, conn *provider.Connection) error {
			p.Name = "Renamed"
			return to("third", "outbound")(p, conn)
		})
		if refused, ok := errors.AsType[*provider.SetupError](err); !ok || refused.Code != "invalid_token" {
			t.Error(err)
		}
		unchanged("the provider refuses the key")
		b.provider.check = nil

		// Somebody else works on the webhook.
		if held, err := b.db.Lease(t.Context(), leaseName(made.ID), "another/run", time.Hour); err != nil || !held {
			t.Fatal(held, err)
		}
		began := time.Now()
		if _, err := b.Update(t.Context(), b.account, made.ID, to("third", "outbound")); !errors.Is(err, ErrBusy) || time.Since(began) != setupTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		unchanged("another node works on it")
		if _, err := b.RegisterWebhook(t.Context(), b.account, made.ID); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	})
}

// A registration that began before the move ends after it: it says nothing of the new webhook.
func TestLateRegistrationTouchesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		moved := b.move(made.ID, to(token, "letters"))
		b.record(t.Context(), made.ID, made.Webhook)
		if now := b.now(made.ID); now.Webhook.Ref != moved.Webhook.Ref || now.Webhook.Username != moved.Webhook.Username {
			t.Errorf("%+v", now.Webhook)
		}
	})
}

// What the provider paused shows, is tried again, and is caught up with.
func TestPausedWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		probes := []provider.Probe{{Trigger: "Bounce", StatusCode: 502, Message: "bad gateway"}}
		b.provider.register = func(_ context.Context, n int) (string, error) {
			switch n {
			case 2:
				return "hook-1", &provider.SetupError{Code: provider.CodeHookPaused, Message: "paused", Paused: []string{"Bounce"}, Probes: probes, Retry: true}
			case 3:
				return "", away
			}
			return "hook-1", nil
		}
		stop := run(t, b.Service)
		defer stop()
		made := b.create("outbound")
		<-time.After(time.Hour + 6*time.Second) // the check, and the next try, which reaches nobody
		synctest.Wait()
		w := b.now(made.ID)
		if w.Webhook.State != directory.WebhookPaused || !slices.Equal(w.Webhook.Paused, []string{"Bounce"}) || !slices.Equal(w.Webhook.Probes, probes) || w.CatchUp.IsZero() {
			t.Errorf("%+v", w)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if now := b.now(made.ID); now.Webhook.State != directory.WebhookRegistered || now.Webhook.Paused != nil || now.Webhook.Probes != nil || !now.CatchUp.Equal(w.CatchUp) {
			t.Errorf("%+v", now)
		}
	})
}

func TestRegisteringAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		b.provider.changed = func(int) bool { return true }
		got, err := b.RegisterWebhook(t.Context(), b.account, made.ID)
		if err != nil || got.Webhook.State != directory.WebhookRegistered || got.CatchUp.IsZero() || len(b.provider.made("register")) != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		b.provider.register = func(context.Context, int) (string, error) { return "", revoked }
		if got, err = b.RegisterWebhook(t.Context(), b.account, made.ID); err != nil || got.Webhook.State != directory.WebhookFailed || got.Webhook.Error == "" {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := b.RegisterWebhook(t.Context(), b.account+1, made.ID); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// Whoever resumes a provider that is stopped has it tried at once; other changes leave it stopped.
func TestResumingTriesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		made := b.create("outbound")
		stopped := directory.Health{Stopped: true, Reason: "suspended", Since: time.Now(), ProbeAt: time.Now().Add(time.Hour), Wait: time.Hour}
		if err := errors.Join(b.db.UpdateHealth(t.Context(), made.ID, stopped), b.Directory.Reload(t.Context())); err != nil {
			t.Fatal(err)
		}
		paused := func(p bool) Change {
			return func(t *directory.TPSP, _ *provider.Connection) error { t.Paused = p; return nil }
		}
		for _, step := range []struct {
			change Change
			want   bool
		}{{paused(false), true}, {paused(true), true}, {paused(false), false}} {
			now, err := b.Update(t.Context(), b.account, made.ID, step.change)
			if err != nil || now.Health.Stopped != step.want {
				t.Fatalf("stopped: %t, want %t (%v)", now.Health.Stopped, step.want, err)
			}
		}
	})
}

// oneKey is a provider with one credential, whose key some clients give as the secret; it knows a key by its prefix.
type oneKey struct{ scripted }

func (*oneKey) Capabilities() provider.Capabilities { return provider.Capabilities{Silent: true} }

func (*oneKey) Normalize(conn provider.Connection) (provider.Connection, *mail.FieldError) {
	if word := strings.TrimSpace(conn.Secret.Reveal()); strings.HasPrefix(word, "SG.") {
		conn.Key = secret.NewString(word)
	}
	conn.Secret, conn.Stream = secret.String{}, ""
	return conn, nil
}

// A secret that came to nothing is refused: whoever gave it means to have changed the key.
func TestSecretsWithoutAUse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret, key string
		want        string // the key, "" when the change is refused
	}{
		"junk":                 {secret: "junk"},
		"a key":                {secret: " SG.new ", want: "SG.new"},
		"the key that is kept": {secret: "SG.old", want: "SG.old"},
		"nothing":              {secret: " ", want: "SG.old"},
		"beside a new key":     {secret: "junk", key: "SG.other", want: "SG.other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.Adapters[provider.SendGrid] = &oneKey{}
				made, _, err := b.Create(t.Context(), b.account, New{Name: "S", Type: provider.SendGrid, Key: secret.NewString("SG.old")})
				if err != nil {
					t.Fatal(err)
				}
				_, err = b.Update(t.Context(), b.account, made.ID, func(_ *directory.TPSP, conn *provider.Connection) error {
					conn.Secret = secret.NewString(c.secret)
					if c.key != "" {
						conn.Key = secret.NewString(c.key)
					}
					return nil
				})
				bad, refused := errors.AsType[*mail.FieldError](err)
				if refused != (c.want == "") || refused && bad.Field != "secret" || err != nil && !refused {
					t.Fatalf("%v", err)
				}
				conn, err := b.Connection(b.now(made.ID))
				if want := c.want; err != nil || conn.Key.Reveal() != want && !refused || refused && conn.Key.Reveal() != "SG.old" {
					t.Errorf("%q (%v)", conn.Key.Reveal(), err)
				}
			})
		})
	}
}
