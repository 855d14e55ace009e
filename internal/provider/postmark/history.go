package postmark

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

const (
	keptDays = 45 // of messages and what became of them; accounts may have paid for more
	atOnce   = 4  // questions about the past at a time: they must not slow down sending
	perYield = 250

	// largeAtOnce bounds the memory that large answers take, whatever is read at the same time.
	largeAtOnce = 2
	maxDetail   = 32 << 20 // details hold the source of a message, which may have 10 MB of attachments
)

// reading is one History or Fates under way.
type reading struct {
	adapter *Adapter
	conn    provider.Connection
	past    provider.Past

	mu      sync.Mutex // held while yielding
	missing []string
	silent  []string // messages that Postmark would not tell of
	inARow  int      // how many of them since it told of one

	suppressed map[string]suppression // addresses of which no bounce was read so far
}

// History implements provider.Adapter. It reads, in this order:
//
//   - the suppression list, which names addresses and no messages;
//   - the outbound search, for the messages whose end is not known and for those with copies, and then each one's details: only
//     these tell of a delivery;
//   - bounces of all types, complaints included;
//   - first opens, and clicks;
//   - for addresses that were suppressed since then and of which no bounce was read, what put them there: a bounce, or the
//     message that was answered by an unsubscription.
//
// The order matters: a message in doubt becomes known by its details, which carry our id; bounces, opens and clicks do not.
//
// Postmark shows 10,000 entries of a list. The search and the bounces are then read in shorter spans of time. Opens and
// clicks cannot be narrowed so; those that are out of reach are asked for message by message, as far as the search goes.
func (a *Adapter) History(ctx context.Context, conn provider.Connection, past provider.Past) (missing []string, err error) {
	if isTrial(conn) {
		return nil, nil // nothing happens
	}
	r := &reading{adapter: a, conn: conn, past: past}
	if kept := a.now().AddDate(0, 0, -keptDays); past.Since.Before(kept) {
		r.miss("what happened before %s, unless this account's retention was extended: Postmark keeps %d days",
			kept.UTC().Format(time.DateOnly), keptDays)
	}
	faults := []error{
		r.suppressions(ctx),
		r.search(ctx, r.askDetails),
		r.read(ctx, bouncesList, r.listed),
	}
	var outOfReach []listing
	for _, l := range []listing{opensList, clicksList} {
		whole, err := r.readReachable(ctx, l)
		faults = append(faults, err)
		if !whole && err == nil {
			outOfReach = append(outOfReach, l)
			r.miss("%s of messages that were sent before %s, beyond the newest %d", l.name, past.Since.UTC().Format(time.RFC3339), a.reach)
		}
	}
	if len(outOfReach) > 0 {
		faults = append(faults, r.search(ctx, func(ctx context.Context, m record) error { return r.askEngagements(ctx, m, outOfReach) }))
	}
	if err := errors.Join(faults...); err != nil {
		return r.allMissing(), fmt.Errorf("read Postmark's history: %w", err)
	}
	if err := r.unexplained(ctx); err != nil { // only now is it known what is left
		return r.allMissing(), fmt.Errorf("read Postmark's history: %w", err)
	}
	return r.allMissing(), nil
}

// Fates implements provider.Adapter.
func (a *Adapter) Fates(ctx context.Context, conn provider.Connection, sent []provider.Sent, yield func([]provider.Report) error) (missing []string, err error) {
	if isTrial(conn) {
		return nil, nil
	}
	r := &reading{adapter: a, conn: conn, past: provider.Past{Yield: yield}}
	err = inParallel(ctx, sent, func(ctx context.Context, m provider.Sent) error {
		name := cmp.Or(m.ProviderMessageID, m.ID.String())
		return r.about(ctx, "what became of the message "+name, func() error {
			id, err := r.providerID(ctx, m)
			if err != nil {
				return err
			}
			return r.details(ctx, id)
		})
	})
	if err != nil {
		return r.allMissing(), fmt.Errorf("ask Postmark about %d messages: %w", len(sent), err)
	}
	return r.allMissing(), nil
}

// providerID returns Postmark's id of a message; "" when it has none.
func (r *reading) providerID(ctx context.Context, m provider.Sent) (string, error) {
	if m.ProviderMessageID != "" {
		return m.ProviderMessageID, nil
	}
	query := url.Values{"count": {"1"}, "offset": {"0"}, "metadata_" + messageIDKey: {m.ID.String()}}
	_, entries, err := r.page(ctx, messagesList, query)
	if err != nil || len(entries) == 0 {
		return "", err
	}
	return entries[0].text("MessageID", maxID), nil
}

// After so many messages in a row that Postmark does not tell of, or so many in all, the fault is taken to be Postmark's: it
// has to be asked again.
const (
	silentInARow = 5
	mostSilent   = 50
)

// about asks about one message or address. One that Postmark would not tell of must not keep back those that come after it,
// for ever: it is remembered, and named at the end.
func (r *reading) about(ctx context.Context, what string, ask func() error) error {
	err := ask()
	if err != nil && (ctx.Err() != nil || !concernsOne(err)) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.inARow = 0
		return nil
	}
	r.inARow++
	if r.inARow >= silentInARow || len(r.silent) == mostSilent {
		return err
	}
	r.silent = append(r.silent, fmt.Sprintf("%s: %v", provider.Clean(what, maxField), err))
	return nil
}

// concernsOne tells whether an error may be about the one message that was asked about: what others would meet as well is
// not, nor is what the store says to a report.
func concernsOne(err error) bool {
	if _, ok := errors.AsType[*httpcall.Unreadable](err); ok {
		return true
	}
	if c, ok := errors.AsType[*httpcall.Failure](err); ok {
		return errors.Is(c, httpcall.ErrAnswerTooLong) || errors.Is(c, context.DeadlineExceeded)
	}
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status != http.StatusUnauthorized && r.status != http.StatusForbidden && r.status != http.StatusTooManyRequests &&
		r.code != codeForbiddenIP && r.code != codeUnknownStream
}

// allMissing is what could not be read, in words.
func (r *reading) allMissing() []string {
	return append(r.missing, r.silent...)
}

// search visits our messages of the span.
func (r *reading) search(ctx context.Context, visit func(context.Context, record) error) error {
	return r.pages(ctx, messagesList, func(ctx context.Context, entries []record) error {
		return inParallel(ctx, entries, visit)
	})
}

// askDetails asks what became of a message of the search, when there may be something to learn.
func (r *reading) askDetails(ctx context.Context, m record) error {
	if wanted, err := r.wants(ctx, m); err != nil || !wanted {
		return err
	}
	id := m.text("MessageID", maxID)
	return r.about(ctx, "what became of the message "+id, func() error { return r.details(ctx, id) })
}

func (r *reading) wants(ctx context.Context, m record) (bool, error) {
	id := m.object("Metadata").messageID()
	if id == (mail.ID{}) {
		return false, nil
	}
	if len(m.list("Recipients"))+len(m.list("Cc"))+len(m.list("Bcc")) > 1 {
		return true, nil // whether each copy was delivered is not asked of us
	}
	return r.past.Open(ctx, id)
}

// details reads what became of one message. One that Postmark does not show, or not any more, tells nothing.
func (r *reading) details(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	m, err := r.detailsOf(ctx, id)
	if err != nil {
		return err
	}
	reports, fault := r.fates(ctx, id, m)
	if err := r.yield(reports); err != nil { // what is known counts, whatever the fault is
		return err
	}
	return fault
}

// fates reads the events in a message's details, and its bounces. With an error there may be reports, too.
func (r *reading) fates(ctx context.Context, id string, m record) (reports []provider.Report, fault error) {
	delayed := false
	for _, e := range m.list("MessageEvents") {
		switch e.text("Type", maxID) {
		case "Delivered":
			reports = r.adapter.delivered(reports, m, e)
		case "Bounced":
			bounce, err := r.bounce(ctx, e.object("Details").integer("BounceID"))
			if err != nil {
				fault = err
				continue
			}
			reports = r.adapter.bounced(reports, bounce.of(m))
		case "Transient":
			delayed = true // without the id of a bounce
		}
	}
	if !delayed || fault != nil {
		return reports, fault
	}
	_, bounces, err := r.page(ctx, bouncesList, url.Values{"count": {strconv.Itoa(pageSize)}, "offset": {"0"}, "messageID": {id}})
	for _, bounce := range bounces {
		if strings.EqualFold(bounce.text("MessageID", maxID), m.text("MessageID", maxID)) {
			reports = r.adapter.bounced(reports, bounce.of(m))
		}
	}
	return reports, unlessUnknown(err)
}

// detailsOf returns the details of a message; nil when Postmark does not show it, or when they are too long.
func (r *reading) detailsOf(ctx context.Context, id string) (m record, err error) {
	err = r.ask(ctx, call{method: http.MethodGet, path: "/messages/outbound/" + url.PathEscape(id) + "/details", limit: r.adapter.maxDetail}, &m)
	if errors.Is(err, httpcall.ErrAnswerTooLong) {
		r.miss("details of the message %s, which are too long", provider.Clean(id, maxID))
		return nil, nil
	}
	if err != nil {
		return nil, unlessUnknown(err)
	}
	return m.without("Body", "HtmlBody", "TextBody", "Attachments"), nil // not to be held while more is asked
}

// of gives a bounce the metadata of its message. Bounces that are read carry none, so that those of a message whose id at
// Postmark we do not know yet could not be attributed.
func (r record) of(message record) record {
	if metadata := message.raw("Metadata"); r != nil && metadata != "" {
		r = append(r, field{"Metadata", metadata})
	}
	return r
}

// bounce reads one bounce: details of a message do not tell of which type it is.
func (r *reading) bounce(ctx context.Context, id int64) (b record, err error) {
	if id == 0 {
		return nil, nil
	}
	err = r.ask(ctx, call{method: http.MethodGet, path: "/bounces/" + strconv.FormatInt(id, 10), limit: r.adapter.maxDetail}, &b)
	return b.without("Content"), unlessUnknown(err)
}

// askEngagements reads the opens or clicks of one message.
func (r *reading) askEngagements(ctx context.Context, m record, lists []listing) error {
	id := m.text("MessageID", maxID)
	if id == "" || m.object("Metadata").messageID() == (mail.ID{}) {
		return nil
	}
	return r.about(ctx, "opens or clicks of the message "+id, func() error {
		for _, l := range lists {
			l.path += "/" + url.PathEscape(id)
			if err := r.engagements(ctx, l, id); err != nil {
				return unlessUnknown(err)
			}
		}
		return nil
	})
}

// engagements reads the list of one message, whatever was before the time that is asked for included.
func (r *reading) engagements(ctx context.Context, l listing, id string) error {
	for offset := 0; offset < r.adapter.reach; offset += pageSize {
		query := url.Values{"count": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)}}
		_, entries, err := r.page(ctx, l, query)
		if err != nil {
			return err
		}
		var reports []provider.Report
		for _, e := range entries {
			reports = l.parse(r.adapter, reports, e)
		}
		if err := r.yield(reports); err != nil {
			return err
		}
		if len(entries) < pageSize {
			return nil
		}
	}
	r.miss("%s of the message %s, beyond %d", l.name, provider.Clean(id, maxID), r.adapter.reach)
	return nil
}

// unlessUnknown drops the error of a message or bounce that Postmark does not have.
func unlessUnknown(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok && (r.code == codeNoSuchMessage || r.code == codeNoSuchBounce || r.status == http.StatusNotFound) {
		return nil
	}
	return err
}

// yield hands reports on, one goroutine at a time.
func (r *reading) yield(reports []provider.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(reports) > 0 {
		n := min(perYield, len(reports))
		if err := r.past.Yield(reports[:n:n]); err != nil {
			return err
		}
		reports = reports[n:]
	}
	return nil
}

func (r *reading) miss(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.missing) < maxMissing {
		r.missing = append(r.missing, fmt.Sprintf(format, args...))
	}
}

// maxMissing is the most that is said about what cannot be read.
const maxMissing = 20

// tries is how often a question about the past is asked when Postmark is busy or out of order.
const tries = 6

// patience is how long one try may take, its answer included. Nobody waits for it, but the questions that come after.
const patience = time.Minute

// ask makes a call and waits between tries: Postmark gives no limits, only 429 when they are exceeded.
func (r *reading) ask(ctx context.Context, c call, into any) error {
	for n := 1; ; n++ {
		err := r.try(ctx, c, into)
		if err == nil || n == tries || !passing(err) {
			return err
		}
		if r.adapter.pause(ctx, n) != nil {
			return err
		}
	}
}

// try makes a call once. Without a limit of its own, a connection that stands still would hold up all that comes after it.
func (r *reading) try(ctx context.Context, c call, into any) error {
	if c.limit > 0 {
		select {
		case r.adapter.large <- struct{}{}:
			defer func() { <-r.adapter.large }()
		case <-ctx.Done():
			return &httpcall.Failure{Text: "no time was left to ask Postmark", Cause: ctx.Err()}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.adapter.patience)
	defer cancel()
	return r.adapter.ask(ctx, r.conn, c, into)
}

// passing tells whether an error may be gone after a while.
func passing(err error) bool {
	if errors.Is(err, httpcall.ErrAnswerTooLong) {
		return false
	}
	if _, ok := errors.AsType[*httpcall.Failure](err); ok {
		return true
	}
	r, ok := errors.AsType[*refusal](err)
	return ok && (r.status == http.StatusTooManyRequests || r.status >= 500)
}

// inParallel does something with each item, a few at a time, until one fails.
func inParallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan T, len(items))
	for _, item := range items {
		next <- item
	}
	close(next)
	var working sync.WaitGroup
	for range min(atOnce, len(items)) {
		working.Go(func() {
			for item := range next {
				if ctx.Err() != nil {
					return
				}
				if err := guarded(func() error { return do(ctx, item) }); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// guarded makes an error of a panic: in a goroutine of its own it would end the process.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading failed: %v", p)
		}
	}()
	return do()
}
