package catchup

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// streams is a provider that is asked stream by stream.
type streams struct {
	scripted
	fault map[string]error // of History and Fates
	check map[string]error

	mu    sync.Mutex
	asked []string
}

func (s *streams) note(what string, conn provider.Connection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what+" "+conn.Stream)
	return s.fault[conn.Stream]
}

func (s *streams) History(_ context.Context, conn provider.Connection, past provider.Past) ([]string, error) {
	if err := s.note("history", conn); err != nil {
		return nil, err
	}
	return nil, past.Yield([]provider.Report{{Identity: conn.Stream, TPSPID: 99}})
}

func (s *streams) Fates(_ context.Context, conn provider.Connection, _ []provider.Sent, _ func([]provider.Report) error) ([]string, error) {
	return nil, s.note("fates", conn)
}

func (s *streams) Check(_ context.Context, conn provider.Connection) error {
	return s.check[conn.Stream]
}

type byStream struct{}

func (byStream) Connection(t *directory.TPSP) (provider.Connection, error) {
	return provider.Connection{AccountID: t.AccountID, TPSPID: t.ID, Stream: t.Stream}, nil
}

// A TPSP that was moved is asked about at the connections that it had in the span. What they refuse for good keeps nothing back; what may
// be tried again is.
func TestPastConnectionsAreCaughtUpWith(t *testing.T) {
	revoked := &provider.SetupError{Code: "invalid_token", Message: "the token is no good"}
	for name, c := range map[string]struct {
		fault, check error
		missing      string
		failed       bool
	}{
		"readable": {}, "revoked": {errors.New("HTTP 401"), revoked, "at the connection that was replaced: the token is no good", false},
		"away": {errors.New("HTTP 503"), nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				s := &streams{fault: map[string]error{"old": c.fault}, check: map[string]error{"old": c.check}}
				b.Providers[provider.Postmark], b.Connections = s, byStream{}
				b.store.awaiting = []store.Awaited{{ID: uuid.New(), ProviderID: "pm-1"}}
				b.change(func(p *directory.TPSP) {
					p.Stream = "new"
					p.Past = []directory.PastHook{{Stream: "older", Switched: b.began.Add(-100 * time.Hour)}, {Stream: "old", Switched: b.began.Add(-time.Hour)}}
				})
				results, err := b.CatchUp(t.Context(), account, tpspID, b.began.Add(-24*time.Hour))
				if err != nil || len(results) != 1 {
					t.Fatal(results, err)
				}
				res := results[0]
				if missing := strings.Join(res.Missing, "; "); (res.Err != nil) != c.failed || !strings.HasSuffix(missing, c.missing) || c.missing == "" && missing != "" {
					t.Errorf("%+v", res)
				}
				if want := []string{"history new", "fates new", "history old", "fates old"}; !slices.Equal(s.asked, want) {
					t.Errorf("asked %q", s.asked)
				}
				for _, p := range b.store.parsed {
					if p.Receipt.TPSPID != tpspID || p.Reports[0].TPSPID != 0 { // the account has no 99
						t.Errorf("%+v", p)
					}
				}
				if read := len(b.store.parsed) == 2; read != (c.fault == nil) {
					t.Errorf("%d read", len(b.store.parsed))
				}
			})
		})
	}
}

// While a past connection is still to be read again, every pass reads it, however short its span: late events have no other way to us.
func TestPastConnectionIsReadAgain(t *testing.T) {
	for name, again := range map[string]bool{"still": true, "no more": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				s := &streams{}
				b.Providers[provider.Postmark], b.Connections = s, byStream{}
				b.change(func(p *directory.TPSP) {
					old := directory.PastHook{Stream: "old", Switched: b.began.Add(-100 * time.Hour), Removed: b.began.Add(-99 * time.Hour)}
					if again {
						old.NextTry = b.began.Add(time.Hour)
					}
					p.Stream, p.Past = "new", []directory.PastHook{{Stream: "older", Switched: b.began.Add(-200 * time.Hour)}, old}
				})
				if _, err := b.CatchUp(t.Context(), account, tpspID, b.began.Add(-time.Hour)); err != nil {
					t.Fatal(err)
				}
				if read := slices.Contains(s.asked, "history old"); read != again || slices.Contains(s.asked, "history older") {
					t.Errorf("asked %q", s.asked)
				}
			})
		})
	}
}

// What cannot be reached any more a week after it was replaced keeps nothing open for ever, nor the day after a change what is only away.
func TestPastConnectionIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		changed time.Duration // ago
		tries   int           // to remove its webhook
		passes  int           // until the debt is paid; 0 is never
	}{
		"long ago, and its webhook could not be removed": {8 * 24 * time.Hour, 600, 1},
		"long ago, and reached until now":                {8 * 24 * time.Hour, 0, goneTries + 1},
		"of late":                                        {24 * time.Hour, 600, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				away := errors.Join(errors.New("read the list: connection refused"), errors.New("connection refused"))
				s := &streams{fault: map[string]error{"old": away}, check: map[string]error{"old": &provider.SetupError{Message: "no answer", Retry: true}}}
				b.Providers[provider.Postmark], b.Connections = s, byStream{}
				b.change(func(p *directory.TPSP) {
					p.Stream, p.Created = "new", b.began.Add(-1000*time.Hour)
					p.Past = []directory.PastHook{{Stream: "old", Switched: b.began.Add(-c.changed), Tries: c.tries, NextTry: b.began.Add(time.Minute)}}
					p.CatchUp = b.began.Add(-c.changed)
				})
				stop := b.run()
				defer stop()
				elapse(24 * time.Hour)
				passes := 0
				s.mu.Lock()
				for _, what := range s.asked {
					if what == "history old" {
						passes++
					}
				}
				s.mu.Unlock()
				if paid := b.debt().IsZero(); paid != (c.passes > 0) || paid && passes != c.passes {
					t.Errorf("%d passes; still to do: %s", passes, b.debt())
				}
				if state := b.State(tpspID); c.passes == 0 && state.Error != "at the connection that was replaced: read the list: connection refused" {
					t.Errorf("%+v", state)
				}
				if c.passes > 0 && !strings.Contains(b.log.String(), "which cannot be reached any more: read the list: connection refused") {
					t.Errorf("log:\n%s", b.log)
				}
			})
		})
	}
}
