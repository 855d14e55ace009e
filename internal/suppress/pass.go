package suppress

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/upkeep"
)

// Result is what came of keeping one TPSP's list in step.
type Result struct {
	TPSP        *directory.TPSP
	Read        int // entries of the provider's list
	Suppressed  int // suppressions that followed
	Reactivated int
	Doubted     int // entries that are gone, which is believed when they are so the next time
	Pushed      int // addresses that were put on the list or taken off
	Local       int // addresses that were not put there, because other sub-accounts mail them through the TPSP
	Refused     []store.Push
	Err         error
}

// Sync keeps the list of one TPSP of the account in step now, or of all that have one when tpspID is 0. It fails with ErrNotFound or
// ErrNoList, and with ErrRunning when the one that was named is being worked on.
func (s *Service) Sync(ctx context.Context, accountID, tpspID int32) ([]Result, error) {
	able := func(t *directory.TPSP) bool { return s.list(t) != nil }
	chosen, err := upkeep.Choose(s.Directory.Current().TPSPs(accountID), tpspID, able, ErrNotFound, ErrNoList)
	if err != nil {
		return nil, err
	}
	results := upkeep.Each(s.keeper, chosen, atOnce, func(t *directory.TPSP) Result { return s.hold(ctx, t, true) },
		func(t *directory.TPSP, err error) Result { return Result{TPSP: t, Err: err} })
	if tpspID != 0 && (errors.Is(results[0].Err, ErrRunning) || errors.Is(results[0].Err, ErrStopped)) {
		return nil, results[0].Err
	}
	return results, nil
}

// hold makes a pass of a TPSP that was taken, under its lease.
func (s *Service) hold(ctx context.Context, t *directory.TPSP, read bool) Result {
	var result Result
	if err := s.keeper.Hold(ctx, t.ID, func(ctx context.Context) { result = s.pass(ctx, t, read) }); err != nil {
		return Result{TPSP: t, Err: err}
	}
	log := s.Log.With("tpsp", t.ID, "read", result.Read, "suppressed", result.Suppressed, "reactivated", result.Reactivated, "pushed", result.Pushed,
		"refused", len(result.Refused))
	switch {
	case result.Err != nil:
		log.Warn("a suppression list could not be kept in step", "error", result.Err)
	case result.Doubted > 0:
		log.Warn("much of a suppression list is gone at once; that is believed when it is so the next time", "gone", result.Doubted)
	case result.Suppressed+result.Reactivated+result.Pushed > 0:
		log.Info("a suppression list was brought in step")
	}
	return result
}

// pass pushes what users did, then reads the list.
func (s *Service) pass(ctx context.Context, t *directory.TPSP, read bool) (result Result) {
	result.TPSP = t
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("the adapter failed with a suppression list", "tpsp", t.ID, "cause", cause, "stack", string(debug.Stack()))
			result.Err = fmt.Errorf("the adapter failed: %v", cause)
		}
	}()
	conn, err := s.Connections.Connection(t)
	if err != nil {
		result.Err = err
		return result
	}
	if result.Err = s.Store.ConnectSuppressions(ctx, t.ID, identity(t)); result.Err != nil {
		return result
	}
	w := work{Service: s, tpsp: t, conn: conn, adapter: s.list(t), result: &result}
	if t.SuppressionSync == directory.SyncBoth {
		result.Err = w.push(ctx)
	}
	if read {
		result.Err = errors.Join(result.Err, w.read(ctx))
	}
	refused, err := s.Store.RefusedPushes(ctx, t.ID, mostRefused)
	result.Refused, result.Err = refused, errors.Join(result.Err, err)
	return result
}

// work is a pass under way.
type work struct {
	*Service
	tpsp    *directory.TPSP
	conn    provider.Connection
	adapter provider.Suppressor
	result  *Result
}

// push pushes what is due, until there is no more or the provider fails.
func (w *work) push(ctx context.Context) error {
	for range mostRounds {
		due, err := w.Store.Pushes(ctx, w.tpsp.ID, w.Now(), provider.MostSuppressions)
		if err != nil || len(due) == 0 {
			return err
		}
		var suppress, release []store.Push
		var outcomes []store.PushOutcome
		for _, p := range due {
			switch {
			case p.Release:
				release = append(release, p)
			case p.Shared:
				w.result.Local++
				outcomes = append(outcomes, store.PushOutcome{Push: p, Done: true, At: w.Now()})
			default:
				suppress = append(suppress, p)
			}
		}
		put, putErr := w.change(ctx, suppress, w.adapter.SuppressAddresses)
		off, offErr := w.change(ctx, release, w.adapter.ReleaseAddresses)
		if err := w.explain(ctx, off); err != nil {
			return errors.Join(putErr, offErr, err)
		}
		outcomes = slices.Concat(outcomes, put, off)
		if err := w.Store.Pushed(context.WithoutCancel(ctx), outcomes); err != nil {
			return errors.Join(putErr, offErr, err)
		}
		if err := errors.Join(putErr, offErr); err != nil {
			return err
		}
	}
	return nil
}

// change makes one call about pushes of a kind, and returns what came of each.
func (w *work) change(ctx context.Context, list []store.Push, call func(context.Context, provider.Connection, []string) (map[string]string, error)) ([]store.PushOutcome, error) {
	if len(list) == 0 {
		return nil, nil
	}
	emails := make([]string, len(list))
	for i := range list {
		emails[i] = list[i].Email
	}
	refused, err := call(ctx, w.conn, emails)
	now := w.Now()
	outcomes := make([]store.PushOutcome, len(list))
	for i, p := range list {
		o := store.PushOutcome{Push: p, At: now}
		switch words, no := refused[p.Email]; {
		case err != nil:
			o.Failure, o.Next = provider.Clean(err.Error(), provider.MaxText), now.Add(w.retry(p.Tries))
		case no:
			o.Refused, o.Kept = words, p.Release
		default:
			o.Done, o.Mirror = true, true
			w.result.Pushed++
		}
		outcomes[i] = o
	}
	return outcomes, err
}

// explain says of addresses that the provider would not take off its list why they stand there. Where that is not known the recipient
// complained: that is what providers do not let be taken back.
func (w *work) explain(ctx context.Context, outcomes []store.PushOutcome) error {
	if !slices.ContainsFunc(outcomes, func(o store.PushOutcome) bool { return o.Kept }) {
		return nil
	}
	mirror, err := w.Store.SuppressionMirror(context.WithoutCancel(ctx), w.tpsp.ID)
	if err != nil {
		return err
	}
	for i := range outcomes {
		o := &outcomes[i]
		m, known := mirror[o.Email]
		if o.Reason = provider.SpamComplaint; known && m.Released.IsZero() && m.Reason != provider.Manual {
			o.Reason = m.Reason
		}
	}
	return nil
}

// retry is how long a push waits that has failed so often before.
func (s *Service) retry(tries int) time.Duration {
	wait := min(firstRetry<<min(tries, 16), mostRetry)
	return time.Duration(float64(wait) * (0.8 + 0.4*s.Jitter()))
}

// read compares the list with the mirror. That it was read, or why not, is recorded in any case.
func (w *work) read(ctx context.Context) error {
	began := w.Now()
	err := w.compare(ctx, began)
	if ctx.Err() != nil && err != nil {
		return err // we were stopped, and the provider is not to blame
	}
	words := ""
	if err != nil {
		words = provider.Clean(err.Error(), provider.MaxText)
	}
	return errors.Join(err, w.Store.SuppressionsRead(ctx, w.tpsp.ID, began, words))
}

func (w *work) compare(ctx context.Context, began time.Time) error {
	list, err := w.adapter.SuppressionList(ctx, w.conn)
	if err != nil {
		return err
	}
	mirror, err := w.Store.SuppressionMirror(ctx, w.tpsp.ID)
	if err != nil {
		return err
	}
	w.result.Read = len(list)
	fresh, gone, settled := diff(list, mirror, began)
	if !w.believe(len(gone), len(mirror)) {
		w.result.Doubted, gone = len(gone), nil
	}
	gone = append(gone, settled...)
	change := store.ListChange{AccountID: w.tpsp.AccountID, TPSPID: w.tpsp.ID, ReadAt: began}
	for _, sub := range w.Directory.Current().SubAccounts(w.tpsp.AccountID) {
		if sub.Default {
			change.DefaultSubAccount = sub.ID
		}
	}
	for part := range slices.Chunk(fresh, chunk) {
		change.Listed, change.Gone, change.Now = part, nil, w.Now()
		if err := w.record(ctx, change); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(gone, chunk) {
		change.Listed, change.Gone, change.Now = nil, part, w.Now()
		if err := w.record(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) record(ctx context.Context, change store.ListChange) error {
	effect, err := w.Store.MirrorSuppressions(ctx, change)
	w.result.Suppressed += effect.Suppressed
	w.result.Reactivated += effect.Reactivated
	return err
}

// identity names whose list a TPSP's is: that of a stream of the provider's account, or of whatever its key opens as long as the account
// is not known.
func identity(t *directory.TPSP) string {
	return t.Endpoint + " " + cmp.Or(t.Webhook.Server, hex.EncodeToString(t.KeyHash[:])) + " " + t.Stream
}

// diff returns the entries that the mirror does not have, or with another reason, the addresses that are gone, and those that we took
// off the list and that do not show any more. Of an address that is listed twice the graver reason counts.
func diff(list []provider.Listed, mirror map[string]store.MirroredSuppression, now time.Time) (fresh []provider.Listed, gone, settled []string) {
	listed := make(map[string]provider.Listed, len(list))
	for _, l := range list {
		if known, twice := listed[l.Email]; !twice || l.Reason > known.Reason {
			listed[l.Email] = l
		}
	}
	for email, l := range listed {
		m, known := mirror[email]
		echo := now.Before(m.Released.Add(store.EchoTime)) && !l.At.After(m.Released)
		if !known || m.Reason != l.Reason && !echo || !m.Released.IsZero() && !echo {
			fresh = append(fresh, l)
		}
	}
	for email, m := range mirror {
		if _, there := listed[email]; there || now.Before(m.Pushed.Add(store.EchoTime)) || now.Before(m.Released.Add(store.EchoTime)) {
			continue
		}
		if m.Released.IsZero() {
			gone = append(gone, email)
		} else {
			settled = append(settled, email)
		}
	}
	slices.SortFunc(fresh, func(a, b provider.Listed) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Email, b.Email)) })
	slices.Sort(gone)
	slices.Sort(settled)
	return fresh, gone, settled
}

// suspicious is how many entries may be gone at once without a doubt, if they are not more than half.
const suspicious = 20

// believe tells whether so many of the entries of a list may be gone.
func (w *work) believe(gone, of int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubtful := gone > suspicious && 2*gone > of
	if doubtful && !w.doubts[w.tpsp.ID] {
		w.doubts[w.tpsp.ID] = true
		return false
	}
	delete(w.doubts, w.tpsp.ID)
	return true
}
