package catchup

import (
	"context"
	"errors"
	"sync"
	"time"

	"postyard/internal/directory"
)

// ErrNotFound means that the account has no such TPSP.
var ErrNotFound = errors.New("the account has no such provider")

// Result is what came of catching up with one TPSP.
type Result struct {
	TPSP       *directory.TPSP
	Since      time.Time
	Asked      int64    // messages that were asked for one by one
	Reports    int64    // what the provider told, somebody else's mail and repetitions included
	Recorded   int64    // events that were not known
	Duplicates int64    // events that were known
	Missing    []string // what the provider does not let be read
	Err        error
}

// Words is what a user is told of Err, which must not be nil.
func (r *Result) Words() string { return plain(r.Err) }

// CatchUp catches up with one TPSP of the account, which may be a deleted one, or with all in use when tpspID is 0, from since or from when
// events may be missing, whichever is earlier, and returns what came of each. It fails with ErrNotFound, and with ErrRunning when the one that was named is at it already.
func (s *Service) CatchUp(ctx context.Context, accountID, tpspID int32, since time.Time) ([]Result, error) {
	list := s.Directory.Current().TPSPs(accountID)
	if tpspID != 0 {
		t := s.Directory.Current().AnyTPSP(tpspID)
		if t == nil || t.AccountID != accountID {
			return nil, ErrNotFound
		}
		list = []*directory.TPSP{t}
	}
	results := make([]Result, len(list))
	var working sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, t := range list {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			results[i] = s.catchUp(ctx, t, since)
		})
	}
	working.Wait()
	if tpspID != 0 && (errors.Is(results[0].Err, ErrRunning) || errors.Is(results[0].Err, ErrStopped)) {
		return nil, results[0].Err
	}
	return results, nil
}

// catchUp makes one pass that a user asked for.
func (s *Service) catchUp(ctx context.Context, t *directory.TPSP, since time.Time) Result {
	if !t.CatchUp.IsZero() && t.CatchUp.Before(since) {
		since = t.CatchUp
	}
	p, err := s.begin(t, since, time.Time{}, 0)
	if err != nil {
		return Result{TPSP: t, Since: since, Err: err}
	}
	defer s.end(p)
	p.manual = true
	held, err := s.hold(ctx, p)
	switch {
	case err == nil && !held:
		err = ErrRunning
	case err == nil:
		err = s.run(ctx, p)
		s.settle(ctx, p, err)
	}
	return Result{TPSP: t, Since: p.since, Asked: p.asked.Load(), Reports: p.reports.Load(), Recorded: p.recorded.Load(),
		Duplicates: p.duplicates.Load(), Missing: p.missing, Err: err}
}
