package domain

import (
	"context"
	"sync"
	"time"

	"postyard/internal/store"
)

const (
	lookEvery = 15 * time.Second // how often is looked for domains that are due
	passFor   = 50 * time.Second // one pass; so long nobody else begins one
	passMost  = 50               // domains of a pass
	atOnce    = 8                // of them that are looked at at the same time
	lease     = "domains"
)

func (s *Service) hint() {
	select {
	case s.hints <- struct{}{}:
	default:
	}
}

// Run asks DNS about domains when they are due, until ctx ends. Of servers that share a database, one does.
func (s *Service) Run(ctx context.Context) {
	looking := time.NewTicker(lookEvery)
	defer looking.Stop()
	for {
		err := s.giveKeys(ctx)
		if err == nil && s.Resolver != nil {
			err = s.pass(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error("domains could not be looked at; trying again", "error", err)
		}
		select {
		case <-looking.C:
		case <-s.hints:
		case <-ctx.Done():
			return
		}
	}
}

// giveKeys gives domains from before there were keys one.
func (s *Service) giveKeys(ctx context.Context) error {
	for _, d := range s.Directory.Current().UsedDomains() {
		if _, err := s.keyed(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// pass looks at domains that are due.
func (s *Service) pass(ctx context.Context) (err error) {
	due, err := s.Store.DueDomains(ctx, s.Now(), passMost)
	if err != nil || len(due) == 0 {
		return err
	}
	held, err := s.Store.Lease(ctx, lease, s.Holder, passFor+10*time.Second)
	if err != nil || !held {
		return err
	}
	if due, err = s.Store.DueDomains(ctx, s.Now(), passMost); err == nil { // whoever had the lease may have done it
		err = s.checkAll(ctx, due)
	}
	if len(due) == passMost && err == nil {
		s.hint() // there may be more
	}
	if failed := s.Store.Release(context.WithoutCancel(ctx), lease, s.Holder); failed != nil {
		s.Log.Warn("a lease could not be given back and ends by itself", "lease", lease, "error", failed)
	}
	return err
}

// checkAll looks at domains, some at once. What it did not get to stays due.
func (s *Service) checkAll(ctx context.Context, due []store.DueDomain) error {
	limited, cancel := context.WithTimeout(ctx, passFor)
	defer cancel()
	var (
		checking sync.WaitGroup
		mu       sync.Mutex
		failure  error
		changed  bool
	)
	slots := make(chan struct{}, atOnce)
	for _, one := range due {
		slots <- struct{}{}
		checking.Go(func() {
			defer func() { <-slots }()
			differs, err := s.checkDue(limited, one)
			mu.Lock()
			defer mu.Unlock()
			changed = changed || differs
			if err != nil && failure == nil && limited.Err() == nil {
				failure = err
			}
		})
	}
	checking.Wait()
	if changed {
		if err := s.Directory.Reload(ctx); err != nil {
			return err
		}
	}
	return failure
}

func (s *Service) checkDue(ctx context.Context, due store.DueDomain) (changed bool, err error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	d := s.Directory.Current().UsedDomain(due.ID)
	if d == nil { // another node has made it just now
		if err := s.Directory.Refresh(ctx); err != nil {
			return false, err
		}
		if d = s.Directory.Current().UsedDomain(due.ID); d == nil {
			return false, nil
		}
	}
	if d, err = s.keyed(ctx, d); err != nil {
		return false, err
	}
	return s.check(ctx, d, due.Tries)
}
