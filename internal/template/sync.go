package template

import (
	"context"
	"errors"
	"maps"
	"time"

	"postyard/internal/directory"
	"postyard/internal/store"
	"postyard/internal/upkeep"
)

// Result is what came of reading the templates of one TPSP.
type Result struct {
	TPSP      *directory.TPSP
	Templates int // how many it has, layouts included
	Unusable  int // how many of them cannot be rendered here
	store.MirrorChange
	Err error
}

// Sync reads the templates of one TPSP of the account, or of all in use whose kind has templates when tpspID is 0, and returns
// what came of each. It fails with ErrNotFound or ErrNoSource, and with ErrRunning when the one that was named is being read.
func (s *Service) Sync(ctx context.Context, accountID, tpspID int32) ([]Result, error) {
	able := func(t *directory.TPSP) bool { return s.source(t) != nil }
	chosen, err := upkeep.Choose(s.Directory.Current().TPSPs(accountID), tpspID, able, ErrNotFound, ErrNoSource)
	if err != nil {
		return nil, err
	}
	results := upkeep.Each(s.keeper, chosen, atOnce, func(t *directory.TPSP) Result { return s.sync(ctx, t, true, time.Time{}) },
		func(t *directory.TPSP, err error) Result { return Result{TPSP: t, Err: err} })
	if tpspID != 0 && (errors.Is(results[0].Err, ErrRunning) || errors.Is(results[0].Err, ErrStopped)) {
		return nil, results[0].Err
	}
	return results, nil
}

// sync reads the templates of a TPSP that was taken. Unless a user waits for it, it is not done when another node has just done
// it: when the templates were read at another time than the last one that this node knew.
func (s *Service) sync(ctx context.Context, t *directory.TPSP, manual bool, last time.Time) Result {
	result := Result{TPSP: t}
	if err := s.keeper.Hold(ctx, t.ID, func(ctx context.Context) {
		if err := s.refresh(ctx); err == nil && (manual || s.index.Load().synced[t.ID].Equal(last)) {
			s.copy(ctx, t, &result)
		} else {
			result.Err = err
		}
	}); err != nil {
		result.Err = err
		return result
	}
	log := s.Log.With("tpsp", t.ID, "templates", result.Templates, "unusable", result.Unusable, "added", result.Added,
		"changed", result.Changed, "removed", result.Removed)
	if result.Err != nil {
		log.Warn("templates could not be read", "error", result.Err)
	} else if result.MirrorChange != (store.MirrorChange{}) {
		log.Info("templates were read")
	}
	return result
}

// copy reads the templates of a TPSP and saves them.
func (s *Service) copy(ctx context.Context, t *directory.TPSP, result *Result) {
	conn, err := s.Connections.Connection(t)
	if err != nil {
		result.Err = err
		return
	}
	read, err := s.source(t).Templates(ctx, conn)
	if err != nil {
		result.Err = err
		return
	}
	list := mirror(read)
	result.Templates = len(list)
	for i := range list {
		if list[i].Fault != "" {
			result.Unusable++
		}
	}
	if result.MirrorChange, err = s.Store.SaveTemplates(ctx, t.ID, list, s.Now()); err == nil {
		err = s.reload(ctx)
	}
	result.Err = err
}

// start begins a sync for each TPSP that is due, a few at a time.
func (s *Service) start(ctx context.Context) {
	now, x := s.Now(), s.index.Load()
	for _, t := range s.Directory.Current().EveryTPSP() {
		switch {
		case !t.Deleted.IsZero():
			s.drop(ctx, x, t, now)
		case s.source(t) == nil || !s.due(x, t, now):
		default:
			s.startOne(ctx, t, now, x.synced[t.ID])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for account, aliases := range s.asked {
		maps.DeleteFunc(aliases, func(_ string, at time.Time) bool { return !now.Before(at.Add(s.Gap)) })
		if len(aliases) == 0 {
			delete(s.asked, account)
		}
	}
}

// due tells whether a TPSP's templates are to be read, unasked.
func (s *Service) due(x *index, t *directory.TPSP, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.states[t.ID]
	if now.Before(state.next) || now.Before(state.last.Add(s.Gap)) {
		return false
	}
	synced, read := x.synced[t.ID]
	return !read || state.wanted || !now.Before(synced.Add(syncEvery))
}

func (s *Service) startOne(ctx context.Context, t *directory.TPSP, now, last time.Time) {
	if s.keeper.Begin(t.ID, atOnce) != nil {
		return
	}
	s.change(t.ID, func(st *state) { st.last, st.wanted = now, false })
	go func() {
		defer s.keeper.Hint()
		defer s.keeper.End(t.ID)
		result := s.sync(ctx, t, false, last)
		s.change(t.ID, func(st *state) {
			if result.Err == nil || errors.Is(result.Err, ErrRunning) {
				st.tries, st.next = 0, time.Time{}
				return
			}
			st.tries++
			st.next = s.Now().Add(min(firstRetry<<min(st.tries-1, 16), mostRetry))
		})
	}()
}

func (s *Service) change(id int32, how func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.states[id]
	how(&st)
	s.states[id] = st
}

// drop forgets the templates of a TPSP that was deleted long ago.
func (s *Service) drop(ctx context.Context, x *index, t *directory.TPSP, now time.Time) {
	if _, dropped := s.gone[t.ID]; dropped || now.Before(t.Deleted.Add(keepDeleted)) {
		return
	}
	if _, read := x.synced[t.ID]; read {
		if err := s.Store.DropTemplates(ctx, t.ID); err != nil {
			s.Log.Warn("templates of a deleted provider could not be dropped; trying again", "tpsp", t.ID, "error", err)
			return
		}
	}
	s.gone[t.ID] = struct{}{}
}
