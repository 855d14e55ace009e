package provider

import (
	"context"
	"errors"
	"time"

	"postyard/internal/mail"
)

// Forgetful answers for an adapter whose provider has neither CanLookup nor Recalls, and no streams. Such an adapter embeds it.
type Forgetful struct {
	NotAsked string // what Lookup says: "SendGrid cannot be asked whether it has a message"
	Missing  string // what cannot be read back, as History has it
}

// Lookup implements Adapter.
func (f Forgetful) Lookup(context.Context, Connection, []mail.ID, time.Time) ([]Found, error) {
	return nil, errors.New(f.NotAsked)
}

// History implements Adapter.
func (f Forgetful) History(context.Context, Connection, Past) (missing []string, err error) {
	return []string{f.Missing}, nil
}

// Fates implements Adapter.
func (f Forgetful) Fates(context.Context, Connection, []Sent, func([]Report) error) (missing []string, err error) {
	return []string{f.Missing}, nil
}

// Streams implements Adapter.
func (Forgetful) Streams(context.Context, Connection) ([]Stream, error) { return nil, nil }
