package sandbox_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// statistics are those of a webhook of the demo's server.
type statistics struct {
	WebhookID       int    `json:"WebhookId"`
	ServerID        int    `json:"ServerId"`
	MessageStreamID string `json:"MessageStreamId"`
	URL             string `json:"Url"`
	Statuses        map[string]string
	TimeRange       struct {
		StartTime, EndTime string
		Hours              int
	}
	Metrics          counts
	MetricsByTrigger map[string]counts
}

type counts struct {
	TotalRequests, SuccessCount, FailureCount, RetryCount int
	SuccessRate                                           float64
}

func (b *bench) statistics(id int) (s statistics) {
	b.t.Helper()
	b.ok(http.MethodGet, fmt.Sprintf("/webhooks/%d/statistics", id), nil).into(b.t, &s)
	return s
}

// PM-sim 36: what was posted in the last 24 h is counted, by trigger, with exactly the documented keys. Other servers' webhooks, which have
// the same numbers, and probes are not.
func TestWebhookStatistics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var status atomic.Int64
	status.Store(200)
	r := listen(t, func(hit) int { return int(status.Load()) })
	id := b.hook(r, object{"Delivery": object{"Enabled": true}, "Open": object{"Enabled": true}})
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second-token"}, 200)
	other := listen(t, nil)
	second := []string{serverToken, "second-token", "Content-Type", "application/json"}
	b.raw(http.MethodPost, "/webhooks", text(t, object{"Url": other.url, "Triggers": object{"Delivery": object{"Enabled": true}}}), second...)
	other.drain(t, 1)
	b.raw(http.MethodPost, "/email", text(t, mail(nil)), second...)

	first := b.send(nil)
	b.pass()
	r.next(t)
	b.settled(first)
	status.Store(503)
	delayed := b.send(nil)
	b.pass()
	r.next(t)
	b.sleeper(b.clock.Now().Add(time.Minute))
	status.Store(404)
	b.clock.Advance(time.Minute)
	r.next(t)
	b.settled(delayed)
	status.Store(200)
	b.control(http.MethodPost, "/sandbox/messages/"+first+"/events", object{"kind": "open"}, 200)
	r.next(t)
	b.settled(first)

	got := b.statistics(id)
	want := statistics{WebhookID: id, ServerID: 1, MessageStreamID: "outbound", URL: r.url,
		Statuses:         map[string]string{"Delivery": "verified", "Open": "verified"},
		Metrics:          counts{4, 2, 1, 1, 50},
		MetricsByTrigger: map[string]counts{"Delivery": {3, 1, 1, 1, 33.33}, "Open": {1, 1, 0, 0, 100}}}
	want.TimeRange.StartTime, want.TimeRange.EndTime, want.TimeRange.Hours = "2026-03-01T10:01:00.4000000Z", "2026-03-02T10:01:00.4000000Z", 24
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	raw := b.ok(http.MethodGet, fmt.Sprintf("/webhooks/%d/statistics/", id), nil)
	var all object
	raw.into(t, &all)
	if diff := cmp.Diff(fields("WebhookId ServerId MessageStreamId Url Statuses TimeRange Metrics MetricsByTrigger"), keysOf(all)); diff != "" {
		t.Error(diff)
	}
	keys := fields("TotalRequests SuccessCount FailureCount RetryCount SuccessRate SlowCount VerySlowCount AverageTerminalResponseTimeMs " +
		"AverageRetryResponseTimeMs")
	opens := all["MetricsByTrigger"].(object)["Open"].(object)
	if diff := cmp.Diff(keys, keysOf(opens)); diff != "" || opens["AverageRetryResponseTimeMs"] != nil ||
		all["Metrics"].(object)["AverageRetryResponseTimeMs"].(float64) <= 0 {
		t.Errorf("%s%s", diff, raw.body)
	}

	b.clock.Advance(24*time.Hour - 2*time.Minute)
	if got := b.statistics(id).Metrics; got.TotalRequests != 4 {
		t.Errorf("after less than a day: %+v", got)
	}
	b.clock.Advance(time.Minute)
	if got := b.statistics(id); got.Metrics.TotalRequests != 2 || got.MetricsByTrigger["Delivery"].FailureCount != 1 {
		t.Errorf("a day after the first minute: %+v", got)
	}
	b.clock.Advance(time.Minute)
	if got := b.statistics(id); got.Metrics != (counts{}) || got.MetricsByTrigger["Open"] != (counts{}) {
		t.Errorf("after more than a day: %+v", got)
	}
	last := b.send(nil)
	b.pass()
	r.next(t)
	b.settled(last)
	if got := b.statistics(id).Metrics; got != (counts{1, 1, 0, 0, 100}) {
		t.Errorf("%+v", got)
	}
	b.api(http.MethodGet, "/webhooks/99/statistics", nil).want(t, 422, 1352, "The webhook for the provided 'ID' was not found.")
	unverified := b.ok(http.MethodPost, "/webhooks?verify=false", object{"Url": r.url, "Triggers": object{"Click": object{"Enabled": true}}})
	if got := b.statistics(int(unverified.field(t, "ID").(float64))).Statuses; !cmp.Equal(got, map[string]string{"Click": "unverified"}) {
		t.Errorf("%v", got)
	}
}

// PM-sim 36, 35: a trigger that keeps failing is paused alone, also over a restart, until the webhook is verified again.
func TestTriggerIsPausedAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	var down atomic.Bool
	r := listen(t, func(h hit) int {
		if down.Load() && h.header.Get("X-PM-Webhook-Trace-Id") != "" {
			return http.StatusNotFound
		}
		return http.StatusOK
	})
	id := b.hook(r, object{"Delivery": object{"Enabled": true}, "Open": object{"Enabled": true}})
	b.control(http.MethodPut, "/sandbox/settings", object{"pauseAfterFailures": 2}, 200)
	lost := func(b *bench) string {
		down.Store(true)
		id := b.send(nil)
		b.pass()
		r.next(t)
		b.settled(id)
		return id
	}
	lost(b)
	down.Store(false)
	b.delivery(r) // not in a row
	lost(b)
	if got := b.statistics(id).Statuses["Delivery"]; got != "verified" {
		t.Fatalf("paused after one failure in a row: %s", got)
	}
	lost(b)
	check := func(b *bench) {
		t.Helper()
		if got := b.statistics(id).Statuses; !cmp.Equal(got, map[string]string{"Delivery": "unverified", "Open": "verified"}) {
			t.Fatalf("%v", got)
		}
		if got := b.ok(http.MethodGet, fmt.Sprintf("/webhooks/%d", id), nil).field(t, "Status"); got != "verified" {
			t.Errorf("the webhook as a whole is %v", got)
		}
		down.Store(false)
		mail := b.send(nil)
		b.pass()
		b.await(mail, "delivery")
		b.control(http.MethodPost, "/sandbox/messages/"+mail+"/events", object{"kind": "open"}, 200)
		if got := r.next(t).json(t); got["RecordType"] != "Open" || got["MessageID"] != mail {
			t.Errorf("%v: want the open alone, the delivery is paused", got)
		}
		b.settled(mail)
	}
	check(b)
	after := setup(t, in(killed(t, dir, "")))
	check(after)
	b.reset()
	if got := b.statistics(id).Statuses["Delivery"]; got != "verified" {
		t.Errorf("after a reset: %s", got)
	}
	if got := after.ok(http.MethodPost, fmt.Sprintf("/webhooks/%d/verify", id), nil).field(t, "Success"); got != true {
		t.Fatal("not verified")
	}
	r.drain(t, 2)
	for _, b := range []*bench{after, setup(t, in(killed(t, after.dir, "")))} {
		if got := b.statistics(id).Statuses["Delivery"]; got != "verified" {
			t.Errorf("after the verification: %s", got)
		}
		b.delivery(r)
	}
}

// delivery sends a mail and takes its Delivery.
func (b *bench) delivery(r *receiver) {
	b.t.Helper()
	id := b.send(nil)
	b.pass()
	if got := r.next(b.t).json(b.t); got["RecordType"] != "Delivery" || got["MessageID"] != id {
		b.t.Errorf("%v, want the delivery of %s", got, id)
	}
	b.settled(id)
}
