package tpsp

import (
	"bytes"
	"errors"
	"fmt"
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

// silent is a provider that reports nothing and has settings of its own.
type silent struct{ scripted }

func (*silent) Capabilities() provider.Capabilities { return provider.Capabilities{Silent: true} }

func (*silent) Distinguish(conn provider.Connection) string {
	return fmt.Sprintf("%s %d %q %q", conn.Endpoint, conn.Port, conn.Domain, conn.Key.Reveal())
}

func (*silent) Normalize(conn provider.Connection) (provider.Connection, *mail.FieldError) {
	if conn.Endpoint == "" {
		return conn, mail.Invalid("missing_endpoint", "endpoint", "no server")
	}
	conn.Endpoint, conn.Port = "smtp://"+strings.TrimPrefix(conn.Endpoint, "smtp://"), max(conn.Port, 587)
	return conn, nil
}

// A provider without webhooks has none to register, to check or to remove, and no debt for what it does not report.
func TestSilentProvider(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		server := &silent{}
		b.Adapters[provider.CustomSMTP] = server
		stop := run(t, b.Service)
		defer stop()
		made, pool, err := b.Create(t.Context(), b.account, New{Name: "Relay", Type: provider.CustomSMTP, Endpoint: "mail.example.com", Key: secret.NewString("user"),
			Secret: secret.NewString("pass word"), Domain: "mx.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if made.Webhook.State != "" || made.Endpoint != "smtp://mail.example.com" || made.Port != 587 || made.Domain != "mx.example.com" || pool.Name != "relay-pool" ||
			bytes.Contains(made.Secret, []byte("pass word")) {
			t.Errorf("%+v", made)
		}
		conn, err := b.restart("https://one.example.com").Connection(b.now(made.ID))
		if err != nil || conn.Key.Reveal() != "user" || conn.Secret.Reveal() != "pass word" || conn.Port != 587 || conn.Domain != "mx.example.com" {
			t.Errorf("%+v (%v)", conn, err)
		}
		<-time.After(3 * time.Hour)
		synctest.Wait()
		if _, err := b.Delete(t.Context(), b.account, made.ID, false); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if len(server.made("register"))+len(server.made("unregister")) != 0 || !b.now(made.ID).CatchUp.IsZero() {
			t.Errorf("steps for a webhook that there is not: %+v", server.calls)
		}
	})
}

// Mail servers are told apart by server, name and user; other providers by their key and stream.
func TestSameMailServerTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.Adapters[provider.CustomSMTP] = &silent{}
		create := func(n New) error {
			n.Name, n.Type = "Relay", provider.CustomSMTP
			_, _, err := b.Create(t.Context(), b.account, n)
			return err
		}
		user := secret.NewString("user")
		for _, n := range []New{{Endpoint: "a.example"}, {Endpoint: "b.example"}, {Endpoint: "a.example", Key: user}, {Endpoint: "a.example", Key: user, Port: 2525},
			{Endpoint: "a.example", Key: user, Domain: "mx.example"}} {
			if err := create(n); err != nil {
				t.Errorf("%+v: %v", n, err)
			}
		}
		err := create(New{Endpoint: "a.example", Key: user, Secret: secret.NewString("another")})
		if twice, ok := errors.AsType[*DuplicateError](err); !ok || twice.Name != "Relay" || !twice.Silent || !errors.Is(err, store.ErrConflict) {
			t.Errorf("%v", err)
		}
		for field, n := range map[string]New{"endpoint": {}, "key": {Endpoint: "c.example", Key: secret.NewString("****user")},
			"secret": {Endpoint: "c.example", Secret: secret.NewString("****word")}} {
			if bad, ok := errors.AsType[*mail.FieldError](create(n)); !ok || bad.Field != field {
				t.Errorf("%s: %v", field, bad)
			}
		}
		// What other providers have no use for is not kept.
		made, _, err := b.Create(t.Context(), b.account, New{Name: "Postmark", Type: provider.Postmark, Key: secret.NewString(token), Stream: "outbound",
			Secret: secret.NewString("x"), Port: 25, Domain: "x.example"})
		if err != nil || len(made.Secret) != 0 || made.Port != 0 || made.Domain != "" || made.Webhook.State != directory.WebhookRegistered {
			t.Errorf("%+v (%v)", made, err)
		}
	})
}

// A mail server's address, user and password can change. There is no webhook to move, and nothing to read back.
func TestSilentProviderMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		server := &silent{}
		b.Adapters[provider.CustomSMTP] = server
		create := func(name, user string) *directory.TPSP {
			made, _, err := b.Create(t.Context(), b.account, New{Name: name, Type: provider.CustomSMTP, Endpoint: "mail.example.com", Key: secret.NewString(user),
				Secret: secret.NewString("pass word")})
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		made := create("Relay", "user")
		create("Other", "other")
		moved := b.move(made.ID, func(_ *directory.TPSP, conn *provider.Connection) error {
			conn.Endpoint, conn.Port, conn.Key, conn.Secret = "relay.example.com", 2525, secret.NewString("user 2"), secret.NewString("pass 2")
			return nil
		})
		conn, err := b.Connection(moved)
		if err != nil || conn.Endpoint != "smtp://relay.example.com" || conn.Port != 2525 || conn.Key.Reveal() != "user 2" || conn.Secret.Reveal() != "pass 2" {
			t.Errorf("%+v (%v)", conn, err)
		}
		if moved.Past != nil || moved.Webhook.State != "" || !moved.CatchUp.IsZero() || len(server.calls) != 0 {
			t.Errorf("%+v, steps %+v", moved, server.calls)
		}
		_, err = b.Update(t.Context(), b.account, made.ID, func(_ *directory.TPSP, conn *provider.Connection) error {
			conn.Endpoint, conn.Port, conn.Key = "mail.example.com", 587, secret.NewString("other")
			return nil
		})
		if duplicate, ok := errors.AsType[*DuplicateError](err); !ok || duplicate.Name != "Other" {
			t.Errorf("the server and user of another: %v", err)
		}
		if _, err := b.RegisterWebhook(t.Context(), b.account, made.ID); !errors.Is(err, ErrNoWebhook) {
			t.Error(err)
		}
	})
}
