package track

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// books takes reports, or refuses to.
type books struct {
	mu      sync.Mutex
	reports []provider.Report
	failure error         // of everything
	hang    chan struct{} // not nil: until it is closed nothing is answered
	none    bool          // there is no message
	held    store.Suppressed
}

func (b *books) ready() error {
	b.mu.Lock()
	hang, failure := b.hang, b.failure
	b.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return failure
}

func (b *books) set(hang chan struct{}, failure error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hang, b.failure = hang, failure
}

func (b *books) Ingest(_ context.Context, batch []store.Parsed) (store.IngestResult, error) {
	if err := b.ready(); err != nil {
		return store.IngestResult{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range batch {
		b.reports = append(b.reports, batch[i].Reports...)
	}
	return store.IngestResult{}, nil
}

// count tells how many reports there are.
func (b *books) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.reports)
}

func (b *books) Events(_ context.Context, f store.EventFilter) ([]store.Event, error) {
	if err := b.ready(); err != nil || b.none {
		return nil, err
	}
	return []store.Event{{SubAccountID: 8, Recipient: "Ana@example.net", From: mail.Address{Email: "shop@example.com"}, MessageID: f.MessageID}}, nil
}

func (b *books) Suppressed(context.Context, []store.SuppressionKey) (store.Suppressed, error) {
	return b.held, b.ready()
}

// log remembers what was logged.
type log struct {
	strings.Builder
	mu sync.Mutex
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

// bubble runs a test with a Service on a clock of its own.
func bubble(t *testing.T, test func(t *testing.T, s *Service, b *books, l *log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, l := &books{}, &log{}
		s := New(Config{Key: []byte("key"), Store: b, Log: slog.New(slog.NewTextHandler(l, nil)), Now: time.Now})
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		test(t, s, b, l)
		stop()
		running.Wait()
	})
}

// token signs the sample for an action.
func token(s *Service, a action) string {
	c := sample
	c.action = a
	if a != click {
		c.url = ""
	}
	return s.sign(&c)
}

var thunderbird = &Visit{UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.6.0", IP: "192.0.2.7"}

func TestVisitsBecomeReports(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *Service, b *books, _ *log) {
		ctx := t.Context()
		if err := s.Opened(ctx, token(s, open), thunderbird); err != nil {
			t.Error(err)
		}
		target, err := s.Clicked(ctx, token(s, click), thunderbird)
		if err != nil || target != sample.url {
			t.Errorf("leads to %q (%v)", target, err)
		}
		sub, err := s.Unsubscribed(ctx, token(s, unsubscribe), thunderbird)
		if want := (Subscription{From: "shop@example.com", To: "Ana@example.net", Ended: true}); err != nil || sub != want {
			t.Errorf("%+v (%v)", sub, err)
		}
		base := provider.Report{MessageID: sample.message, TPSPID: 3, OccurredAt: time.Now(), Tracked: true, Detail: event.Detail{
			UserAgent: &event.UserAgent{Family: "Thunderbird", Major: "115", Minor: "6", Patch: "0"}, OS: &event.OperatingSystem{Family: "Windows", Major: "10", Minor: "0"},
			Device: &event.Device{Family: "Desktop"}, TrackedIP: "192.0.2.7", RawUserAgent: thunderbird.UserAgent}}
		opened, clicked, left := base, base, base
		opened.Kind, opened.Type = event.Opened, 65
		clicked.Kind, clicked.Type, clicked.Detail.ClickedURL = event.Clicked, 66, sample.url
		left.Kind, left.Type, left.Suppresses, left.Reason = event.Unsubscribed, 68, true, provider.Unsubscribed
		identities := map[string]bool{}
		for i := range b.reports {
			identities[b.reports[i].Identity] = true
			b.reports[i].Identity = ""
		}
		if diff := cmp.Diff([]provider.Report{opened, clicked, left}, b.reports); diff != "" || len(identities) != 3 {
			t.Errorf("%v %s", identities, diff)
		}

		// Nobody looked, or nobody whom we sent anything.
		b.reports = nil
		if err := s.Opened(ctx, token(s, open), nil); err != nil {
			t.Error(err)
		}
		if target, err := s.Clicked(ctx, token(s, click), nil); err != nil || target != sample.url {
			t.Errorf("leads to %q (%v)", target, err)
		}
		if sub, err := s.Subscription(ctx, token(s, unsubscribe)); err != nil || sub.Ended {
			t.Errorf("%+v (%v)", sub, err)
		}
		forged := signer("another key")
		for name, err := range map[string]error{
			"open": s.Opened(ctx, token(forged, open), thunderbird), "click as open": s.Opened(ctx, token(s, click), thunderbird),
			"click": second(s.Clicked(ctx, token(forged, click), thunderbird)), "open as click": second(s.Clicked(ctx, token(s, open), thunderbird)),
			"page": second(s.Subscription(ctx, token(forged, unsubscribe))), "unsubscribe": second(s.Unsubscribed(ctx, token(forged, unsubscribe), thunderbird)),
			"open as unsubscribe": second(s.Unsubscribed(ctx, token(s, open), thunderbird)), "nothing": s.Opened(ctx, "", thunderbird),
		} {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.none = true
		if _, err := s.Unsubscribed(ctx, token(s, unsubscribe), thunderbird); !errors.Is(err, ErrUnknown) {
			t.Errorf("a message that is gone: %v", err)
		}
		if len(b.reports) != 0 {
			t.Errorf("recorded: %+v", b.reports)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestIdentity(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 5)
	base := identity(event.Clicked, at, "a", "b")
	if again := identity(event.Clicked, at.Add(900*time.Millisecond), "a", "b"); again != base {
		t.Error("the same in the same second is another one")
	}
	for _, other := range []string{identity(event.Opened, at, "a", "b"), identity(event.Clicked, at.Add(time.Second), "a", "b"), identity(event.Clicked, at, "a", "c"),
		identity(event.Clicked, at, "c", "b"), identity(event.Clicked, at, "a\nb", "")} {
		if other == base {
			t.Error("two events have one identity")
		}
	}
}

// TestStoreIsAway: pictures and links work without the store, unsubscribing does not seem to.
func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	for name, breakDown := range map[string]func(*books) (repair func()){
		"down": func(b *books) func() {
			b.set(nil, fmt.Errorf("disk: %w", store.ErrUnavailable))
			return func() { b.set(nil, nil) }
		},
		"hanging": func(b *books) func() {
			hang := make(chan struct{})
			b.set(hang, nil)
			return func() { b.set(nil, nil); close(hang) }
		},
		"broken": func(b *books) func() {
			b.set(nil, errors.New("bug"))
			return func() { b.set(nil, nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, s *Service, b *books, l *log) {
				repair := breakDown(b)
				began := time.Now()
				var visitors sync.WaitGroup
				for range maxWaiting + 10 {
					visitors.Go(func() {
						if err := s.Opened(t.Context(), token(s, open), thunderbird); err != nil {
							t.Error(err)
						}
					})
				}
				if target, err := s.Clicked(t.Context(), token(s, click), thunderbird); err != nil || target != sample.url {
					t.Errorf("leads to %q (%v)", target, err)
				}
				visitors.Wait()
				if took := time.Since(began); took > recordFor {
					t.Errorf("took %s", took)
				}
				if n := s.lost.Load(); n != perMinute {
					t.Errorf("%d were lost", n)
				}
				if n := strings.Count(l.String(), "could not be recorded"); n != 1 {
					t.Errorf("told %d times:\n%s", n, l)
				}
				if name != "hanging" {
					if sub, err := s.Unsubscribed(t.Context(), token(s, unsubscribe), thunderbird); err == nil || sub.Ended {
						t.Errorf("%+v (%v)", sub, err)
					}
				}
				repair()
				synctest.Wait()
				before := b.count()
				if sub, err := s.Unsubscribed(t.Context(), token(s, unsubscribe), thunderbird); err != nil || !sub.Ended || b.count() != before+1 {
					t.Errorf("%+v (%v)", sub, err)
				}
			})
		})
	}
}

func TestUnsubscribedAlready(t *testing.T) {
	t.Parallel()
	for reason, again := range map[provider.Reason]bool{provider.Unsubscribed: false, provider.SpamComplaint: false, provider.HardBounce: true, provider.Manual: true} {
		bubble(t, func(t *testing.T, s *Service, b *books, _ *log) {
			b.held = store.Suppressed{{SubAccountID: 8, Email: "ana@example.net"}: {Reason: reason}}
			sub, err := s.Unsubscribed(t.Context(), token(s, unsubscribe), thunderbird)
			if err != nil || !sub.Ended || b.count() == 1 != again {
				t.Errorf("%s: %+v (%v), %d reports", reason, sub, err, b.count())
			}
		})
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Unix(600, 0)
	for i := range perMinute + 5 {
		if got := p.take(mail.ID{1}, now.Add(time.Duration(i)*time.Second)); got != (i < perMinute) {
			t.Errorf("%d: %t", i, got)
		}
	}
	if !p.take(mail.ID{2}, now) {
		t.Error("one message uses up another's")
	}
	if !p.take(mail.ID{1}, now.Add(time.Minute)) {
		t.Error("the next minute does not begin anew")
	}
	for i := range maxMessages + 1000 {
		if !p.take(mail.ID{9, byte(i), byte(i >> 8), byte(i >> 16)}, now.Add(time.Minute)) {
			t.Fatalf("message %d has no room", i)
		}
	}
	if len(p.taken) > maxMessages {
		t.Errorf("%d are remembered", len(p.taken))
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string][3]string{ // program, system, device
		"Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)":                                               {"Google Image Proxy", "", "WebMail"},
		"YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html":                                                                {"Yahoo Mail Proxy", "", "WebMail"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1": {"Safari", "iOS", "Mobile"},
		"Mozilla/5.0 (iPad; CPU OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/604.1":                        {"Safari", "iOS", "Tablet"},
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36":                   {"Chrome", "Android", "Mobile"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0":     {"Edge", "macOS", "Desktop"},
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                {"Googlebot", "", ""},
		strings.Repeat("x", 2000): {strings.Repeat("x", maxName), "", ""},
	} {
		d := detailOf(provider.Clean(agent, maxAgent), "", "")
		got := [3]string{d.UserAgent.Family, "", ""}
		if d.OS != nil {
			got[1] = d.OS.Family
		}
		if d.Device != nil {
			got[2] = d.Device.Family
		}
		if got != want {
			t.Errorf("%s: %q, want %q", agent, got, want)
		}
		if len(d.RawUserAgent) > maxAgent {
			t.Errorf("%d bytes are kept", len(d.RawUserAgent))
		}
	}
	if d := detailOf("", "192.0.2.1", ""); d.UserAgent != nil || d.OS != nil || d.Device != nil || d.TrackedIP != "192.0.2.1" {
		t.Errorf("nothing known: %+v", d)
	}
}

func FuzzAgent(f *testing.F) {
	f.Add(thunderbird.UserAgent)
	f.Add("Mozilla/5.0 (Linux; Android; Tablet) Instagram 1 (CrOS x86_64 1)")
	f.Fuzz(func(_ *testing.T, agent string) { detailOf(provider.Clean(agent, maxAgent), "", "") })
}
