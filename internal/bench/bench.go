// Package bench measures a server as its users meet it. It starts two processes of its own binary on loopback, a server and
// the sandbox that plays its provider, connects them as a user would, drives load over HTTP, and then looks for the id of
// everything that was acknowledged: what is missing is lost, what is there more than once is doubled.
//
// The generator runs beside the two on the same processors, so it spends little: requests are prepared, connections stay open,
// and of a message it keeps its id alone, some fifty bytes.
package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/client"
	"postyard/internal/secret"
)

// Options says how to measure.
type Options struct {
	Duration         time.Duration // of the load, see MaxDuration
	Connections      int           // that carry it, see MaxConnections
	Database         secret.String // URL of an empty PostgreSQL database; zero: SQLite in a temporary directory
	ProviderLatency  time.Duration // of a call to the provider, at most a minute
	MailboxProviders int           // that the recipients are spread over, see MaxMailboxProviders
	Webhooks         int           // of life, that get every event; see MaxWebhooks
	Environ          []string      // of the processes that are started; options of Postyard in it are left out
}

// Limits of Options.
const (
	MaxDuration    = 5 * time.Minute // the sandbox keeps every mail in memory
	MaxConnections = 4096
	MaxWebhooks    = 10
)

// MaxMailboxProviders is how many different mailbox providers recipients can be spread over.
var MaxMailboxProviders = len(domains)

func (o *Options) check() error {
	switch {
	case o.Duration <= 0 || o.Duration > MaxDuration:
		return fmt.Errorf("the duration must be above 0 and at most %s", MaxDuration)
	case o.Connections < 1 || o.Connections > MaxConnections:
		return fmt.Errorf("connections must be from 1 to %d", MaxConnections)
	case o.ProviderLatency < 0 || o.ProviderLatency > time.Minute:
		return errors.New("the provider's latency must be from 0 to 1m")
	case o.Webhooks < 0 || o.Webhooks > MaxWebhooks:
		return fmt.Errorf("webhooks must be from 0 to %d", MaxWebhooks)
	case o.MailboxProviders < 1 || o.MailboxProviders > MaxMailboxProviders:
		return fmt.Errorf("mailbox providers must be from 1 to %d", MaxMailboxProviders)
	}
	return nil
}

// Result is what was measured. A unit is an event for ingest, and a message for the others.
type Result struct {
	Name                string  `json:"name"`
	RatePerSecond       float64 `json:"ratePerSecond"` // units
	P50Ms               float64 `json:"p50Ms"`         // of the requests; for dispatch, from the release to the arrival
	P99Ms               float64 `json:"p99Ms"`
	CPUMicrosPerMessage float64 `json:"cpuMicrosPerMessage"` // user and system time of the server, by unit
	PeakRSSMb           float64 `json:"peakRssMb"`           // of the server, from its start to its end, in MiB
	Lost                int     `json:"lost"`                // messages and events
	Doubled             int     `json:"doubled"`             // copies of them beyond the first
	Failed              int     `json:"failed"`              // requests
	BooksDiffer         int64   `json:"booksDiffer"`         // places in which the server's books do not balance
	Messages            int     `json:"messages"`            // acknowledged
	Events              int     `json:"events"`              // acknowledged, or expected of the provider
	Webhooks            int     `json:"webhooks"`            // calls that the account's webhooks got, with a signature that fits
	WebhooksAgain       int     `json:"webhooksAgain"`       // of them, those for an event that had come
	Seconds             float64 `json:"seconds"`             // of the measured part
	Connections         int     `json:"connections"`
	MailboxProviders    int     `json:"mailboxProviders"`
	ProviderLatencyMs   float64 `json:"providerLatencyMs"`
	Database            string  `json:"database"` // sqlite or postgres

	Problems []string `json:"problems,omitempty"` // the first ones, in words
}

// Err is an error when a promise was broken or a request failed, so that scripts notice.
func (r *Result) Err() error {
	var broken []string
	for _, n := range []struct {
		count int64
		what  string
	}{{int64(r.Lost), "lost"}, {int64(r.Doubled), "doubled"}, {int64(r.Failed), "failed"}, {r.BooksDiffer, "differences in the books"}} {
		if n.count > 0 {
			broken = append(broken, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	if len(broken) == 0 && len(r.Problems) > 0 {
		broken = append(broken, "something went wrong")
	}
	if len(broken) == 0 {
		return nil
	}
	return errors.New(strings.Join(append([]string{strings.Join(broken, ", ")}, r.Problems...), "\n  "))
}

// benchmarks by name.
var benchmarks = map[string]func(*run) error{"accept": (*run).accept, "dispatch": (*run).dispatch, "ingest": (*run).ingest, "life": (*run).life}

// Names lists the benchmarks.
func Names() []string { return []string{"accept", "dispatch", "ingest", "life"} }

// Run measures one benchmark. The error is about the measuring; what the server did wrong is in the Result. The processes that
// it starts have ended when it returns, also when ctx ends.
func Run(ctx context.Context, name string, o Options) (_ *Result, err error) {
	measure := benchmarks[name]
	if measure == nil {
		return nil, fmt.Errorf("there is no benchmark %q: it is one of %s", name, strings.Join(Names(), ", "))
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &run{Options: o, ctx: ctx, ledger: newLedger(), problems: &problems{},
		result: Result{Name: name, Connections: o.Connections, MailboxProviders: o.MailboxProviders,
			ProviderLatencyMs: milliseconds(o.ProviderLatency), Database: "sqlite"}}
	if !o.Database.IsZero() {
		r.result.Database = "postgres"
	}
	if r.stage, err = newStage(ctx, &o); err == nil {
		err = measure(r)
	}
	if err == nil {
		err = r.conclude()
	}
	if ended := r.stage.close(); err == nil {
		err = ended
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted") // whatever else went wrong came of it
	}
	if err != nil {
		return nil, err
	}
	if r.result.PeakRSSMb == 0 {
		r.result.PeakRSSMb = mebibytes(peakAfter(r.stage.server.state()))
	}
	if r.cpuUnknown && r.units > 0 {
		r.result.CPUMicrosPerMessage = microseconds(r.stage.server.cpu()) / float64(r.units) // with what was not measured
	}
	return &r.result, nil
}

// run is one benchmark that runs.
type run struct {
	Options
	ctx      context.Context // of the whole; a run is one call
	stage    *stage
	ledger   *ledger
	problems *problems
	result   Result

	units      int
	cpuUnknown bool // where there is no /proc
}

// accept measures how fast requests are taken and answered. The provider is held meanwhile, so that nothing else is measured;
// then it is let go, and everything must arrive.
func (r *run) accept() error {
	if err := r.stage.hold(r.ctx); err != nil {
		return err
	}
	began := r.now()
	latencies := r.sendMail()
	r.measured(r.ledger.len(), began, r.now())
	r.percentiles(latencies)
	if err := r.stage.release(r.ctx); err != nil {
		return err
	}
	_, err := r.arrive()
	return err
}

// dispatch measures how fast a backlog leaves. It is collected while the provider is held.
func (r *run) dispatch() error {
	if err := r.stage.hold(r.ctx); err != nil {
		return err
	}
	r.sendMail()
	began := r.now()
	if err := r.stage.release(r.ctx); err != nil {
		return err
	}
	end, err := r.arrive()
	if err != nil {
		return err
	}
	// The server comes back to the provider within five seconds: what is measured begins with its first call.
	began.at = r.ledger.firstArrival.Add(-r.ProviderLatency)
	r.measured(r.ledger.len(), began, end)
	r.percentiles(r.ledger.delays(began.at))
	return nil
}

// ingest measures how fast a provider's reports become events. The messages that they are about were sent before.
func (r *run) ingest() error {
	r.sendMail()
	if _, err := r.arrive(); err != nil {
		return err
	}
	if r.ledger.len() == 0 {
		return nil // nothing was accepted, and why is among the problems
	}
	reports, err := r.stage.reports(r.ctx, r.ledger)
	if err != nil {
		return err
	}
	began := r.now()
	latencies := r.drive(func() worker { return reports.worker() })
	end, err := r.await(map[string]int64{"events": int64(reports.acknowledged())})
	if err != nil {
		return err
	}
	r.measured(reports.acknowledged(), began, end)
	r.percentiles(latencies)
	return r.checkEvents(reports)
}

// life measures messages from the request to the provider's reports: each is accepted, sent, delivered and opened, and webhooks get every event.
func (r *run) life() (err error) {
	if err := r.stage.report(r.ctx); err != nil {
		return err
	}
	hooks, err := r.stage.hook(r.ctx, r.Webhooks, r.problems)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hooks.close()) }()
	began := r.now()
	latencies := r.sendMail()
	n := int64(r.ledger.len())
	end, err := r.await(map[string]int64{"sent": n, "delivered": n, "opened": n})
	if err != nil {
		return err
	}
	if r.Webhooks > 0 {
		const each = 4 // processed, sent, delivered, opened
		if end, err = r.awaitHooks(hooks, each*r.ledger.len()); err != nil {
			return err
		}
	}
	r.measured(r.ledger.len(), began, end)
	r.percentiles(latencies)
	if _, err := r.arrive(); err != nil {
		return err
	}
	if err := r.checkHooks(hooks); err != nil {
		return err
	}
	return r.checkEvents(lifeEvents{r.ledger})
}

// conclude has the server check its books, and takes the last figures of it.
func (r *run) conclude() error {
	books, err := r.stage.api.Verify(r.ctx, 24*time.Hour)
	if err != nil {
		return fmt.Errorf("verify the books: %w", err)
	}
	r.result.BooksDiffer = books.DifferenceCount
	for _, d := range books.Differences[:min(len(books.Differences), 3)] {
		r.problems.note(fmt.Sprintf("the books differ: %s %s%s: %s stored, %s recomputed", d.Kind, d.MessageID, d.Day, d.Stored, d.Recomputed))
	}
	// Once more, at the very end: a second copy may have come late.
	if err := r.stage.arrivals(r.ctx, r.ledger); err != nil {
		return err
	}
	if peak, err := peakOf(r.stage.server.pid()); err == nil {
		r.result.PeakRSSMb = mebibytes(peak)
	}
	r.result.Messages = r.ledger.len()
	lost, doubled := r.ledger.losses()
	r.result.Lost += lost
	r.result.Doubled += doubled
	r.result.Failed, r.result.Problems = r.problems.all()
	return nil
}

// moment is when something was, and what the server had used of the processors by then.
type moment struct {
	at  time.Time
	cpu time.Duration
}

func (r *run) now() moment {
	cpu, err := cpuOf(r.stage.server.pid())
	r.cpuUnknown = err != nil
	return moment{time.Now(), cpu}
}

// measured notes the measured part.
func (r *run) measured(units int, began, end moment) {
	r.units = units
	r.result.Seconds = end.at.Sub(began.at).Seconds()
	if units == 0 || r.result.Seconds <= 0 {
		return
	}
	r.result.RatePerSecond = float64(units) / r.result.Seconds
	r.result.CPUMicrosPerMessage = microseconds(end.cpu-began.cpu) / float64(units)
}

func (r *run) percentiles(took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	r.result.P50Ms, r.result.P99Ms = milliseconds(took[len(took)/2]), milliseconds(took[len(took)*99/100])
}

// sendMail sends for as long as the load is to last, one message a request.
func (r *run) sendMail() []time.Duration {
	mails := newMails(r.stage, r.MailboxProviders)
	var workers []*mailer
	latencies := r.drive(func() worker {
		w := mails.worker()
		workers = append(workers, w)
		return w
	})
	for _, w := range workers {
		r.ledger.add(w.acknowledged)
	}
	r.ledger.inOrder()
	return latencies
}

// drive has every connection carry the requests of a worker of its own for as long as the load is to last.
func (r *run) drive(hire func() worker) []time.Duration {
	d := driver{address: r.stage.address, until: time.Now().Add(r.Duration), problems: r.problems}
	return d.run(r.ctx, r.Connections, hire)
}

// arrive waits until the server has sent everything, and counts what the provider got.
func (r *run) arrive() (moment, error) {
	settled, err := r.await(map[string]int64{"sent": int64(r.ledger.len())})
	if err != nil {
		return settled, err
	}
	return settled, r.stage.arrivals(r.ctx, r.ledger)
}

// Waiting for the server's counters.
const (
	lookEvery = 50 * time.Millisecond // costs the server little, and the rate at most as much
	patience  = time.Minute           // without any progress: the rest will not come any more
)

// await waits until the server's counters have reached what is wanted, or stand still, and returns when that was. What is
// missing then is found by its id.
func (r *run) await(wanted map[string]int64) (moment, error) {
	var last client.Totals
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for moved := time.Now(); ; {
		totals, err := r.stage.api.Totals(r.ctx, r.stage.began.AddDate(0, 0, -1), r.stage.began.AddDate(0, 0, 2))
		if err != nil {
			return moment{}, fmt.Errorf("read statistics: %w", err)
		}
		now := r.now()
		if reached(totals, wanted) || now.at.Sub(moved) > patience {
			return now, nil
		}
		if totals != last {
			last, moved = totals, now.at
		}
		select {
		case <-ticker.C:
		case <-r.ctx.Done():
			return moment{}, r.ctx.Err()
		}
	}
}

func reached(t client.Totals, wanted map[string]int64) bool {
	have := map[string]int64{"sent": t.Sent, "delivered": t.Delivered, "opened": t.Opened, "events": t.Delivered + t.Opened + t.Clicked}
	for name, n := range wanted {
		if have[name] < n {
			return false
		}
	}
	return true
}

// expected is a set of events that must be in the log once each, by a number from 0.
type expected interface {
	types() string // that are listed, as the API takes them
	size() int
	wanted(n int) bool
	numberOf(e *client.Event) (n int, ok bool)
}

// checkEvents reads the log and looks for every event in it.
func (r *run) checkEvents(want expected) error {
	times := make([]uint8, want.size())
	err := r.stage.api.EachEvent(r.ctx, want.types(), func(e *client.Event) {
		n, ok := want.numberOf(e)
		switch {
		case !ok:
			r.result.Doubled++
			r.problems.note(fmt.Sprintf("an event nobody reported: type %d of %s", e.Type, e.MessageID))
		case times[n] < 255:
			times[n]++
		}
	})
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	for n, count := range times {
		if !want.wanted(n) {
			continue // nobody answered for it, so it may be there or not
		}
		r.result.Events++
		if count == 0 {
			r.result.Lost++
		}
		r.result.Doubled += max(int(count)-1, 0)
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
func mebibytes(n int64) float64            { return float64(n) / (1 << 20) }
