package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/audit"
	"postyard/internal/store"
)

// watched is an office with an audit log.
type watched struct {
	*office
	trail *audit.Log
	log   bytes.Buffer
}

// newWatched has the office's service write to an audit log, of a server with that one account, or with others (alone is 0).
func newWatched(t *testing.T, of store.Audit, alone int32) *watched {
	t.Helper()
	w := &watched{office: newOffice(t, "http://127.0.0.1:8025")}
	if of == nil {
		of = w.db
	}
	w.trail = audit.New(audit.Config{Store: of, Now: w.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	w.Audit, w.Alone = w.trail, func() int32 { return alone }
	return w
}

// told are the entries that were added, the oldest first.
func (w *watched) told() (list []string) {
	w.Helper()
	over, end := context.WithCancel(w.Context())
	end()
	w.trail.Run(over)
	entries, err := w.trail.Entries(w.Context(), store.AuditFilter{AccountID: 1, Limit: 1000})
	w.must(err)
	for i := range entries {
		e := &entries[len(entries)-1-i]
		list = append(list, fmt.Sprintf("%s %s %s: %s, %d", e.Actor.Kind, e.Actor.Name, e.Address, e.Operation, e.Status))
	}
	return list
}

func (w *watched) tries(address, email, password string) error {
	_, err := w.SignIn(w.Context(), w.from(address), email, password)
	return err
}

func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	w := newWatched(t, nil, 1)
	_, err := w.SetUp(t.Context(), w.from("198.51.100.9"), "AAAAAAAAAAAAAAAAAAAA", "Richard", "richard@example.com", goodPassword)
	w.want("a wrong key", err, ErrAccountKey)
	w.setUp()
	w.want("a wrong password", w.tries("198.51.100.9", "Richard@example.com", "wrong password"), ErrCredentials)
	w.want("nobody", w.tries("198.51.100.9", "nobody@example.com", goodPassword), ErrCredentials)
	w.want("a password for an email", w.tries("198.51.100.9", goodPassword, "x"), ErrCredentials)
	_, err = w.Join(t.Context(), w.from("198.51.100.9"), "made up", goodPassword)
	w.want("no invitation", err, ErrInvitation)
	_, invitation, err := w.Invite(t.Context(), 1, "monica@example.com", "Monica", "viewer")
	w.must(err)
	w.at = w.at.Add(Invitation)
	_, err = w.Join(t.Context(), w.from("198.51.100.9"), tokenOf(invitation), goodPassword)
	w.want("an invitation that has expired", err, ErrInvitation)
	if diff := cmp.Diff([]string{
		"account-key Pied Piper 198.51.100.1: set the dashboard up, 200",
		"system richard@example.com 198.51.100.9: set the dashboard up, 401",
		"system richard@example.com 198.51.100.9: sign in to the dashboard, 401",
		"system nobody@example.com 198.51.100.9: sign in to the dashboard, 401",
		"system (not an email) 198.51.100.9: sign in to the dashboard, 401",
		"system (an invitation that is not good) 198.51.100.9: join with an invitation, 404",
		"system monica@example.com 198.51.100.9: join with an invitation, 404",
	}, w.told()); diff != "" {
		t.Error(diff)
	}
}

// That a limit was reached is told once in a while of the address or the email.
func TestLimitsAreTold(t *testing.T) {
	t.Parallel()
	w := newWatched(t, nil, 1)
	w.setUp()
	for i := range 3 * triesPerEmail {
		_ = w.tries(fmt.Sprintf("198.51.100.%d", i), "richard@example.com", "wrong password")
	}
	if got := ending(w.told(), "sign in to the dashboard, 429"); len(got) != 1 || got[0] != "system richard@example.com 198.51.100.10: sign in to the dashboard, 429" {
		t.Errorf("the limit of an email: %q", got)
	}
	for i := range 3 * triesPerAddress {
		_ = w.tries("203.0.113.7", fmt.Sprintf("u%d@example.com", i), "wrong password")
		_, _ = w.Join(t.Context(), w.from("203.0.113.7"), "made up", goodPassword)
		_, _ = w.SetUp(t.Context(), w.from("203.0.113.7"), "made up", "x", "x@example.com", goodPassword)
	}
	if got := ending(w.told(), ", 429"); len(got) != 2 || !strings.Contains(got[1], " 203.0.113.7: ") {
		t.Errorf("the limit of an address: %q", got)
	}
	w.at = w.at.Add(toldEvery)
	for range 2 * triesPerEmail {
		_ = w.tries("198.51.100.77", "richard@example.com", "wrong password")
	}
	if got := ending(w.told(), ", 429"); len(got) != 3 || !strings.Contains(got[2], "richard@example.com 198.51.100.77: sign in") {
		t.Errorf("a while later: %q", got)
	}
}

func ending(list []string, end string) (found []string) {
	for _, one := range list {
		if strings.HasSuffix(one, end) {
			found = append(found, one)
		}
	}
	return found
}

// However many addresses and emails somebody comes with, the audit log does not fill, and what is tried with a member's own email is told still.
func TestTheAuditLogIsNotFlooded(t *testing.T) {
	t.Parallel()
	w := newWatched(t, nil, 1)
	w.setUp()
	for i := range 600 {
		from := fmt.Sprintf("[2001:db8:%x::1]", i)
		_ = w.tries(from, fmt.Sprintf("u%d@example.com", i), "wrong password")
		_, _ = w.Join(t.Context(), w.from(from), "made up", goodPassword)
		if i%100 == 0 {
			w.told() // or the queue would be full
		}
	}
	before := w.told()
	if len(before) != unprovenAtOnce+1 {
		t.Errorf("%d entries, want %d", len(before), unprovenAtOnce+1)
	}
	w.want("a wrong password", w.tries("203.0.113.7", "richard@example.com", "wrong password"), ErrCredentials)
	if got := w.told(); len(got) != len(before)+1 {
		t.Errorf("an attempt with a member's email is not told: %d entries", len(got))
	}
}

// Where there are several accounts, what nobody's email is tried with is none's: it is told to the program's log, without the email.
func TestNobodyOfSeveralAccounts(t *testing.T) {
	t.Parallel()
	w := newWatched(t, nil, 0)
	w.setUp()
	w.want("nobody", w.tries("203.0.113.7", "nobody@example.com", "wrong password"), ErrCredentials)
	w.want("a wrong password", w.tries("203.0.113.7", "richard@example.com", "wrong password"), ErrCredentials)
	if got := ending(w.told(), ", 401"); len(got) != 1 || !strings.Contains(got[0], "richard@") {
		t.Errorf("%q", got)
	}
	if log := w.log.String(); !strings.Contains(log, "203.0.113.7") || strings.Contains(log, "nobody@") || strings.Contains(log, "password") {
		t.Errorf("log: %s", log)
	}
}

// stuck is a store that takes for ever to write.
type stuck struct{ store.Audit }

func (stuck) BeginAudit(ctx context.Context, _ *store.AuditEntry) error {
	<-ctx.Done()
	return ctx.Err()
}

// An answer to a wrong password does not wait for the audit log: that would tell that somebody has the email. When more is refused than can be
// written, answers do not wait either.
func TestRefusalsDoNotWait(t *testing.T) {
	t.Parallel()
	w := newWatched(t, stuck{}, 0)
	o := w.Audit
	w.Audit = nil
	w.setUp()
	w.Audit = o
	ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	for i := range 1000 {
		if i%triesPerEmail == 0 {
			w.at = w.at.Add(time.Hour)
		}
		if _, err := w.SignIn(ctx, w.from("203.0.113.7"), "richard@example.com", "wrong password"); !errors.Is(err, ErrCredentials) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if !strings.Contains(w.log.String(), "an entry of the audit log is lost") {
		t.Errorf("what is lost is not logged: %.300s", w.log.String())
	}
}
