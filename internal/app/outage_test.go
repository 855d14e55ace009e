package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"postyard/internal/config"
	"postyard/internal/dispatch"
	"postyard/internal/store"
)

// flaky is a store that is away for a number of settlements, or takes them and fails to say so.
type flaky struct {
	dispatch.Store
	refusals, silences atomic.Int32
}

func (f *flaky) Settle(ctx context.Context, batch []store.Settlement) error {
	if f.refusals.Add(-1) >= 0 {
		return fmt.Errorf("settle: %w", store.ErrUnavailable)
	}
	err := f.Store.Settle(ctx, batch)
	if err == nil && f.silences.Add(-1) >= 0 {
		return fmt.Errorf("commit: %w", store.ErrUnavailable)
	}
	return err
}

// TestTheDatabaseFails while outcomes are recorded: they are recorded later, and once.
func TestTheDatabaseFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ refusals, silences int32 }{"refused": {3, 0}, "taken without a word": {0, 3}, "both": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken *flaky
			s := newStage(t, func(_ *config.Config, s *Server) {
				if s != nil {
					broken = &flaky{Store: s.store}
					s.dispatcher.Store = broken
				}
			})
			s.faults(fault{"kind": "status", "status": 503, "path": "/email", "count": 1}, fault{"kind": "reset_after", "path": "/email", "count": 1})
			broken.refusals.Store(test.refusals)
			broken.silences.Store(test.silences)
			ids := s.send("a@gmail.com", "b@gmail.com", "c@yahoo.com")
			s.want("[69 70 71]", 1, ids...)
			sum := map[int]int64{}
			for day, ok := int64(0), true; ok; day++ {
				day, ok = s.nextDay(day)
				counters, _, err := s.server.store.Counted(t.Context(), s.AccountID, day)
				if err != nil {
					t.Fatal(err)
				}
				for c, n := range counters {
					sum[int(c.Type)] += n
				}
			}
			if sum[69] != 3 || sum[70] != 3 || sum[71] != 3 {
				t.Errorf("counters %v", sum)
			}
		})
	}
}

func (s *stage) nextDay(from int64) (int64, bool) {
	s.t.Helper()
	day, ok, err := s.server.store.NextDay(s.t.Context(), s.AccountID, from)
	if err != nil {
		s.t.Fatal(err)
	}
	return day, ok
}
