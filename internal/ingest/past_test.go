package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
)

// names gives each connection of a TPSP the credential that it was registered with.
type names struct{}

func (names) Hook(t *directory.TPSP) (provider.Hook, error) {
	return provider.Hook{Credentials: provider.Credentials{Username: t.Webhook.Username}}, nil
}

func (names) Connection(*directory.TPSP) (provider.Connection, error) {
	return provider.Connection{}, nil
}

// attributed is an adapter whose reports name a TPSP.
type attributed struct {
	listener
	tpsp int32
}

func (a attributed) Parse(h http.Header, body []byte) ([]provider.Report, error) {
	reports, err := a.listener.Parse(h, body)
	for i := range reports {
		reports[i].TPSPID = a.tpsp
	}
	return reports, err
}

// with runs a test with a Service over its own configuration.
func with(t *testing.T, c directory.Contents, adapter provider.Adapter, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for i := range c.TPSPs { // the bubble's clock begins with the bubble
			for k := range c.TPSPs[i].Past {
				if p := &c.TPSPs[i].Past[k]; !p.Removed.IsZero() {
					p.Removed, p.ValidUntil = time.Now(), time.Now().Add(provider.WebhookRetries)
				}
			}
		}
		d, err := directory.Open(t.Context(), contents(c))
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, inbox: &inbox{due: map[int64]time.Time{}}}
		b.Service = New(Config{Store: b.inbox, Directory: d, Hooks: names{}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
			Providers: provider.Registry{provider.Postmark: adapter}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		defer func() { cancel(); running.Wait() }()
		synctest.Wait()
		test(b)
	})
}

func (b *bench) receive(auth string) error {
	return b.Receive(b.t.Context(), 1, provider.Postmark, http.Header{"Authorization": {auth}}, []byte("delivered"))
}

// Old credentials are good until their webhook is removed, and 75 minutes longer: what Postmark was not answered it repeats for so long.
func TestOldCredentials(t *testing.T) {
	t.Parallel()
	moved := directory.TPSP{ID: 101, AccountID: 1, Type: provider.Postmark, Webhook: directory.Webhook{Username: "new"}, Past: []directory.PastHook{
		{Username: "removed", Removed: time.Unix(1, 0)}, {Username: "still there"}}}
	with(t, directory.Contents{TPSPs: []directory.TPSP{moved}}, listener{}, func(b *bench) {
		for _, at := range []time.Duration{0, 74 * time.Minute, 76 * time.Minute, 48 * time.Hour} {
			<-time.After(time.Until(b.began().Add(at)))
			for auth, good := range map[string]bool{"new": true, "still there": true, "removed": at < 75*time.Minute, "": false} {
				if err := b.receive(auth); (err == nil) != good || err != nil && !errors.Is(err, ErrUnauthorized) {
					b.t.Errorf("%q after %s: %v", auth, at, err)
				}
			}
		}
		for _, p := range b.inbox.done {
			if p.Receipt.TPSPID != 101 {
				b.t.Errorf("%+v", p.Receipt)
			}
		}
	})
}

// began is when the bubble's clock began.
func (*bench) began() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// A report counts for the TPSP that it names if the account has that, or had it; else for the one by whose webhook it came.
func TestReportsNameTheirProvider(t *testing.T) {
	t.Parallel()
	c := directory.Contents{TPSPs: []directory.TPSP{
		{ID: 101, AccountID: 1, Type: provider.Postmark, Webhook: directory.Webhook{Username: "own"}},
		{ID: 103, AccountID: 1, Type: provider.Postmark, Deleted: time.Unix(1, 0), Webhook: directory.Webhook{Username: "deleted"}},
		{ID: 201, AccountID: 2, Type: provider.Postmark, Webhook: directory.Webhook{Username: "foreign"}}}}
	for named, want := range map[int32]int32{0: 0, 101: 101, 103: 103, 201: 0, 999: 0} {
		with(t, c, attributed{tpsp: named}, func(b *bench) {
			if err := b.receive("own"); err != nil {
				b.t.Fatal(err)
			}
			if got := b.inbox.done[0].Reports[0].TPSPID; got != want {
				b.t.Errorf("a report of %d counts for %d, want %d", named, got, want)
			}
		})
	}
}
