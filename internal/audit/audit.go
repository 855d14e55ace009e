// Package audit keeps who changed what, from where, and what came of it.
//
// An entry is written before the change is made and completed after it, so nothing is changed without a trace: what cannot be written is not
// done, and an entry without a status tells of a change that began.
//
// The package must not import an engine of the store.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"postyard/internal/secret"
	"postyard/internal/store"
)

// endsWithin is how long an entry may take to be completed, whatever became of the request.
const endsWithin = 5 * time.Second

// Config is what a Log works with. All fields are required.
type Config struct {
	Store store.Audit
	Now   func() time.Time // the store's clock
	Log   *slog.Logger
}

// Log writes and reads entries. It is safe for concurrent use.
type Log struct{ Config }

// New returns a Log.
func New(c Config) *Log { return &Log{c} }

// Begin writes an entry, whose time it sets. Unless it succeeds the change must not be made.
func (l *Log) Begin(ctx context.Context, e store.AuditEntry) (*Pending, error) {
	e.At = l.Now().UTC()
	e.Path, e.Target, e.Actor.Name = short(e.Path), short(e.Target), short(e.Actor.Name)
	if err := l.Store.BeginAudit(ctx, &e); err != nil {
		return nil, fmt.Errorf("write to the audit log: %w", err)
	}
	return &Pending{l, e.ID}, nil
}

// Entries returns entries of an account, the newest first.
func (l *Log) Entries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	return l.Store.AuditEntries(ctx, f)
}

// Pending is an entry whose change is being made.
type Pending struct {
	log *Log
	id  int64
}

// End completes the entry with the status of the answer. The change is made already, so that it fails is only logged.
func (p *Pending) End(ctx context.Context, status int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endsWithin)
	defer cancel()
	if err := p.log.Store.EndAudit(ctx, p.id, status); err != nil {
		p.log.Log.WarnContext(ctx, "an entry of the audit log could not be completed", "id", p.id, "status", status, "error", err)
	}
}

// MemberActor is a member as an actor.
func MemberActor(m *store.Member) store.Actor {
	return store.Actor{Kind: store.ByMember, ID: m.ID, Name: m.Email, Role: m.Role.String()}
}

// PathOf is a request's path with its query, without secrets.
func PathOf(r *http.Request) string {
	q := r.URL.Query()
	if len(q) == 0 {
		return r.URL.Path
	}
	for name := range q {
		if secretName(name) {
			q.Set(name, secret.Hidden)
		}
	}
	return r.URL.Path + "?" + q.Encode()
}
