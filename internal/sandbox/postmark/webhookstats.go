package postmark

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"postyard/internal/sandbox/hook"
)

const (
	statsSpan = 24 * time.Hour
	// slow and verySlow are ours: Postmark does not document its own.
	slow     = 2 * time.Second
	verySlow = 10 * time.Second
)

// webhookStats counts the tries of a server's webhooks, by webhook and trigger. Tries of one minute are counted together, so that a
// span is exact to the minute. They are of this process and are not kept across restarts. The zero value is ready.
type webhookStats struct {
	mu sync.Mutex
	of map[statsKey]*triggerStats
}

type statsKey struct {
	hook    int
	trigger string
}

type triggerStats struct {
	minutes []minuteStats // ascending
	failing int           // tries in a row that failed, up to now
}

type minuteStats struct {
	minute int64 // since 1970
	tally
}

// tally is what tries came to: a try ends its event, well or not, or is to be repeated.
type tally struct {
	success, failure, retry int
	slow, verySlow          int
	terminalMS, retryMS     float64
}

// add counts a try and returns how many of its trigger have failed in a row.
func (w *webhookStats) add(a hook.Attempt) (failing int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := statsKey{a.Hook, a.Type}
	t := w.of[key]
	if t == nil {
		if w.of == nil {
			w.of = map[statsKey]*triggerStats{}
		}
		t = &triggerStats{}
		w.of[key] = t
	}
	t.at(a.At).count(a)
	if t.failing++; a.Verdict == hook.Delivered {
		t.failing = 0
	}
	return t.failing
}

// at returns the tally of a time, which is now or a little earlier, and forgets those that have become too old.
func (t *triggerStats) at(when time.Time) *tally {
	minute := when.Unix() / 60
	i := len(t.minutes)
	for i > 0 && t.minutes[i-1].minute > minute {
		i--
	}
	if i > 0 && t.minutes[i-1].minute == minute {
		return &t.minutes[i-1].tally
	}
	old := 0
	for old < i && t.minutes[old].minute <= minute-int64(statsSpan/time.Minute) {
		old++
	}
	t.minutes = slices.Insert(t.minutes[old:], i-old, minuteStats{minute: minute})
	return &t.minutes[i-old].tally
}

func (y *tally) count(a hook.Attempt) {
	switch a.Verdict {
	case hook.Delivered:
		y.success++
		y.terminalMS += a.DurationMS
	case hook.Retry:
		y.retry++
		y.retryMS += a.DurationMS
	default:
		y.failure++
		y.terminalMS += a.DurationMS
	}
	switch took := time.Duration(a.DurationMS * float64(time.Millisecond)); {
	case took >= verySlow:
		y.verySlow++
	case took >= slow:
		y.slow++
	}
}

func (y *tally) add(other tally) {
	y.success += other.success
	y.failure += other.failure
	y.retry += other.retry
	y.slow += other.slow
	y.verySlow += other.verySlow
	y.terminalMS += other.terminalMS
	y.retryMS += other.retryMS
}

// last returns what a webhook's triggers came to in the 24 h before now.
func (w *webhookStats) last(id int, now time.Time) map[string]tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	after := now.Unix()/60 - int64(statsSpan/time.Minute)
	sums := map[string]tally{}
	for key, t := range w.of {
		if key.hook != id {
			continue
		}
		var sum tally
		for _, m := range t.minutes {
			if m.minute > after {
				sum.add(m.tally)
			}
		}
		sums[key.trigger] = sum
	}
	return sums
}

// calm forgets what failed in a row, of one webhook: it has been verified again.
func (w *webhookStats) calm(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, t := range w.of {
		if key.hook == id {
			t.failing = 0
		}
	}
}

// forget drops what was counted of a webhook.
func (w *webhookStats) forget(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.of {
		if key.hook == id {
			delete(w.of, key)
		}
	}
}

// metrics are a tally as the API words it. The success rate is in percent of all requests.
type metrics struct {
	TotalRequests                 int
	SuccessCount                  int
	FailureCount                  int
	RetryCount                    int
	SuccessRate                   float64
	SlowCount                     int
	VerySlowCount                 int
	AverageTerminalResponseTimeMS float64  `json:"AverageTerminalResponseTimeMs"`
	AverageRetryResponseTimeMS    *float64 `json:"AverageRetryResponseTimeMs"`
}

func (y tally) metrics() metrics {
	total := y.success + y.failure + y.retry
	m := metrics{TotalRequests: total, SuccessCount: y.success, FailureCount: y.failure, RetryCount: y.retry,
		SuccessRate: average(100*float64(y.success), total), SlowCount: y.slow, VerySlowCount: y.verySlow,
		AverageTerminalResponseTimeMS: average(y.terminalMS, y.success+y.failure)}
	if y.retry > 0 {
		m.AverageRetryResponseTimeMS = new(average(y.retryMS, y.retry))
	}
	return m
}

// average is rounded to hundredths; of nothing it is 0.
func average(sum float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return math.Round(100*sum/float64(n)) / 100
}

type webhookStatistics struct {
	WebhookID       int    `json:"WebhookId"`
	ServerID        int    `json:"ServerId"`
	MessageStreamID string `json:"MessageStreamId"`
	URL             string `json:"Url"`
	Statuses        map[string]string
	TimeRange       struct {
		StartTime string
		EndTime   string
		Hours     int
	}
	Metrics          metrics
	MetricsByTrigger map[string]metrics
}

// webhookStatistics tells how a webhook did in the last 24 h, and which of its triggers are paused (PM-sim 36).
func (s *Simulator) webhookStatistics(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, err := c.server.findWebhook(c.args[0])
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	out := webhookStatistics{WebhookID: h.ID, ServerID: c.server.id, MessageStreamID: h.MessageStream, URL: h.URL,
		Statuses: c.server.statuses(h), MetricsByTrigger: map[string]metrics{}}
	out.TimeRange.StartTime, out.TimeRange.EndTime, out.TimeRange.Hours = stamp(now.Add(-statsSpan)), stamp(now), int(statsSpan/time.Hour)
	for trigger := range out.Statuses {
		out.MetricsByTrigger[trigger] = tally{}.metrics()
	}
	var all tally
	for trigger, sum := range c.server.stats.last(h.ID, now) {
		all.add(sum)
		out.MetricsByTrigger[trigger] = sum.metrics()
	}
	out.Metrics = all.metrics()
	return out, nil
}

// statuses are the enabled triggers of a webhook, each verified or not.
func (v *server) statuses(h *webhook) map[string]string {
	out := map[string]string{}
	for _, trigger := range h.enabled() {
		out[trigger] = h.Status
		if slices.Contains(v.paused[h.ID], trigger) {
			out[trigger] = statusUnverified
		}
	}
	return out
}

// tried counts a try of a webhook's, and pauses the trigger when too many have failed in a row. The others go on: a webhook stays
// verified when one of its triggers is not.
func (s *Simulator) tried(v *server, a hook.Attempt) {
	failing := v.stats.add(a)
	if failing == 0 {
		return
	}
	if limit := s.settings.Of(v.name).PauseAfterFailures; limit == 0 || failing < limit {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.webhook(a.Hook) == nil || slices.Contains(v.paused[a.Hook], a.Type) {
		return
	}
	if err := s.setPaused(v, a.Hook, append(slices.Clone(v.paused[a.Hook]), a.Type)); err != nil {
		s.log.Error("a webhook's trigger cannot be paused", "webhook", a.Hook, "trigger", a.Type, "err", err)
	}
}

// setPaused keeps which triggers of a webhook are paused. The caller holds mu.
func (s *Simulator) setPaused(v *server, id int, triggers []string) error {
	if len(triggers) == 0 && len(v.paused[id]) == 0 {
		return nil
	}
	var value any
	if len(triggers) > 0 {
		value = triggers
	}
	if err := s.keep(v, kindPaused, strconv.Itoa(id), value); err != nil {
		return fmt.Errorf("postmark: %w", err)
	}
	v.pause(id, triggers)
	return nil
}

// pause puts in force which triggers of a webhook are paused.
func (v *server) pause(id int, triggers []string) {
	if v.paused == nil {
		v.paused = map[int][]string{}
	}
	v.paused[id] = triggers
	if len(triggers) == 0 {
		delete(v.paused, id)
	}
}
