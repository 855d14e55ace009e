// Package audit keeps who changed what, from where, and what came of it.
//
// An entry is written before the change is made and completed after it, so nothing is changed without a trace: what cannot be written is not
// done, and an entry without a status tells of a change that began. What was refused to somebody who did not prove who they are is noted only, and
// written behind the answer ([Log.Note]).
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

const (
	endsWithin = 5 * time.Second // an entry may take this long to be completed, whatever became of the request
	mostNotes  = 256             // that wait to be written; further ones are lost
)

// Config is what a Log works with. All fields are required.
type Config struct {
	Store store.Audit
	Now   func() time.Time // the store's clock
	Log   *slog.Logger
}

// Log writes and reads entries. It is safe for concurrent use.
type Log struct {
	Config
	notes chan note
}

// note is an entry that is to be written, with its status.
type note struct {
	entry  store.AuditEntry
	status int
}

// New returns a Log. What is noted is written while Run runs.
func New(c Config) *Log { return &Log{c, make(chan note, mostNotes)} }

// Note has an entry written that tells of no change: of a refusal, with its status. It does not wait for that, as the time would tell whoever was
// refused whether there is an account to tell of it. What is of no account is told to the program's log, without who they said to be.
func (l *Log) Note(e store.AuditEntry, status int) {
	if e.AccountID == 0 {
		l.Log.Info("refused", "operation", e.Operation, "address", e.Address, "status", status)
		return
	}
	e.At = l.Now().UTC()
	select {
	case l.notes <- note{e, status}:
	default:
		l.Log.Warn("too much was refused at once: an entry of the audit log is lost", "operation", e.Operation, "address", e.Address, "status", status)
	}
}

// Run writes what is noted until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) {
	for {
		select {
		case n := <-l.notes:
			l.write(ctx, n)
		case <-ctx.Done():
			for {
				select {
				case n := <-l.notes:
					l.write(ctx, n)
				default:
					return
				}
			}
		}
	}
}

func (l *Log) write(ctx context.Context, n note) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), endsWithin)
	defer cancel()
	pending, err := l.begin(limited, n.entry)
	if err != nil {
		l.Log.WarnContext(ctx, "an entry of the audit log is lost", "operation", n.entry.Operation, "address", n.entry.Address, "status", n.status, "error", err)
		return
	}
	pending.End(ctx, n.status)
}

// Begin writes an entry, whose time it sets. Unless it succeeds the change must not be made.
func (l *Log) Begin(ctx context.Context, e store.AuditEntry) (*Pending, error) {
	e.At = l.Now().UTC()
	return l.begin(ctx, e)
}

func (l *Log) begin(ctx context.Context, e store.AuditEntry) (*Pending, error) {
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
