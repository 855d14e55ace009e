package app

import (
	"context"
	"time"

	"postyard/internal/mail"
	"postyard/internal/store"
)

// told tells those who wait for events that there may be some.
func (s *storage) told(err error) error {
	if err == nil && s.recorded != nil {
		s.recorded()
	}
	return err
}

// Accept implements store.Queue.
func (s *storage) Accept(ctx context.Context, batch []store.Submission) error {
	return s.told(s.Store.Accept(ctx, batch))
}

// Settle implements store.Queue.
func (s *storage) Settle(ctx context.Context, batch []store.Settlement) error {
	return s.told(s.Store.Settle(ctx, batch))
}

// Rearrange implements store.Queue.
func (s *storage) Rearrange(ctx context.Context, batch []store.Move, now time.Time) (int, error) {
	n, err := s.Store.Rearrange(ctx, batch, now)
	return n, s.told(err)
}

// Expire implements store.Queue.
func (s *storage) Expire(ctx context.Context, e store.Expiry) (n int, last mail.ID, err error) {
	n, last, err = s.Store.Expire(ctx, e)
	return n, last, s.told(err)
}

// Ingest implements store.Inbox.
func (s *storage) Ingest(ctx context.Context, batch []store.Parsed) (store.IngestResult, error) {
	result, err := s.dispatcher.Ingest(ctx, s.Store, batch)
	return result, s.told(err)
}

// hookPoll is how often is looked for events that nobody told of: within one process there are none.
func (s *storage) hookPoll() time.Duration {
	if s.Shared() {
		return 0
	}
	return time.Second
}
