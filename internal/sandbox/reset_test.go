package sandbox_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

func (b *bench) reset() {
	b.t.Helper()
	b.control(http.MethodPost, "/sandbox/reset", nil, 200)
}

// webhooks are the registered ones, as the API lists them.
func (b *bench) webhooks() []object {
	b.t.Helper()
	var list struct{ Webhooks []object }
	b.ok(http.MethodGet, "/webhooks", nil).into(b.t, &list)
	return list.Webhooks
}

func hookFor(r *receiver, stream string) object {
	return object{"Url": r.url, "MessageStream": stream, "HttpAuth": object{"Username": "u", "Password": "p"},
		"HttpHeaders": []object{{"Name": "X-Yard", "Value": "1"}}, "Triggers": object{"Delivery": object{"Enabled": true}}}
}

// onlyDelivery registers a receiver for deliveries on a stream and returns the id.
func (b *bench) onlyDelivery(r *receiver, stream string) int {
	b.t.Helper()
	a := b.ok(http.MethodPost, "/webhooks", hookFor(r, stream))
	r.drain(b.t, 1)
	return int(a.field(b.t, "ID").(float64))
}

// delivered sends a mail and waits for its webhook at the receiver.
func (b *bench) delivered(r *receiver, changes object) {
	b.t.Helper()
	id := b.send(changes)
	b.pass()
	got := r.next(b.t)
	if user, password, _ := (&http.Request{Header: got.header}).BasicAuth(); user != "u" || password != "p" || got.header.Get("X-Yard") != "1" {
		b.t.Errorf("credentials %q %q, headers %v", user, password, got.header)
	}
	if p := got.json(b.t); p["RecordType"] != "Delivery" || p["MessageID"] != id {
		b.t.Errorf("%v, want the delivery of %s", p, id)
	}
	b.settled(id)
}

// A reset goes back to the seed but keeps the webhooks: a gateway registered them and does not know of it.
func TestReset(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	r := listen(t, nil)
	b.onlyDelivery(r, "outbound")
	b.onlyDelivery(r, "broadcast")
	b.ok(http.MethodPost, "/webhooks?verify=false", object{"Url": r.url, "MessageStream": "outbound"})
	kept := b.webhooks()
	if len(kept) != 3 || kept[2]["Status"] != "unverified" {
		t.Fatalf("%v", kept)
	}
	b.ok(http.MethodPost, "/templates", object{"Name": "N", "Alias": "note", "Subject": "s", "TextBody": "t"})
	b.ok(http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"})
	b.onlyDelivery(r, "news")
	b.ok(http.MethodPost, "/message-streams/broadcast/archive", nil)
	b.suppress("outbound", "gone@example.net")
	b.send(nil)
	b.control(http.MethodPut, "/sandbox/settings", object{"degraded": true, "deliveryDelayMs": 7}, 200)
	b.fault(object{"kind": "status", "status": 500, "path": "/bounces"})
	a := b.control(http.MethodPost, "/sandbox/reset", nil, 200)
	if a.field(t, "webhooks") != 3.0 {
		t.Errorf("%s", a.body)
	}

	check := func(b *bench) {
		t.Helper()
		if n := b.stored(); n != 0 {
			t.Errorf("%d messages", n)
		}
		if diff := cmp.Diff(kept, b.webhooks()); diff != "" {
			t.Error(diff)
		}
		if got := b.streamIDs(""); len(got) != 3 {
			t.Errorf("%v", got)
		}
		b.api(http.MethodGet, "/templates/note", nil).want(t, 422, 1101, "")
		b.ok(http.MethodGet, "/bounces?count=1&offset=0", nil)
		settings := b.control(http.MethodGet, "/sandbox/settings", nil, 200)
		if settings.field(t, "degraded") != false || settings.field(t, "deliveryDelayMs") != 200.0 {
			t.Errorf("%s", settings.body)
		}
		b.delivered(r, object{"To": "gone@example.net"})
		b.delivered(r, object{"MessageStream": "broadcast"})
		if id := b.onlyDelivery(listen(t, nil), "outbound"); id != 4 {
			t.Errorf("the new webhook has the id %d", id)
		}
	}
	after := killed(t, dir, "")
	check(b)
	check(setup(t, in(after)))
	if len(r.events) != 0 {
		t.Errorf("%d events too many", len(r.events))
	}
}

// On demand the webhooks are forgotten as well, for good.
func TestResetForgetsWebhooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	r := listen(t, nil)
	b.onlyDelivery(r, "outbound")
	b.onlyDelivery(r, "outbound")
	b.control(http.MethodPost, "/sandbox/reset?webhooks=perhaps", nil, 400)
	if got := b.webhooks(); len(got) != 2 {
		t.Fatalf("a reset that was refused changed %v", got)
	}
	a := b.control(http.MethodPost, "/sandbox/reset?webhooks=true", nil, 200)
	if a.field(t, "webhooks") != 0.0 {
		t.Errorf("%s", a.body)
	}
	for _, b := range []*bench{b, setup(t, in(killed(t, dir, "")))} {
		if got := b.webhooks(); len(got) != 0 {
			t.Errorf("%v", got)
		}
		if id := b.onlyDelivery(r, "outbound"); id != 1 {
			t.Errorf("the first webhook has the id %d", id)
		}
		b.delivered(r, nil)
	}
}

// A registration that is on its way during a reset counts, under an id of its own.
func TestResetDuringRegistration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, in(dir))
	probed, release := make(chan struct{}, 1), make(chan struct{})
	r := listen(t, func(hit) int {
		select {
		case probed <- struct{}{}:
			<-release
		default:
		}
		return http.StatusOK
	})
	registered := make(chan answer, 1)
	go func() {
		a, err := b.try(http.MethodPost, "/webhooks", text(t, hookFor(r, "outbound")), "X-Postmark-Server-Token", sandbox.DemoServerToken,
			"Content-Type", "application/json")
		if err != nil {
			t.Error(err)
		}
		registered <- a
	}()
	<-probed
	b.reset()
	second := listen(t, nil)
	if id := b.onlyDelivery(second, "outbound"); id != 1 {
		t.Errorf("the webhook after the reset has the id %d", id)
	}
	close(release)
	if a := <-registered; a.status != 200 || a.field(t, "ID") != 2.0 {
		t.Errorf("the webhook that was on its way: %d %s", a.status, a.body)
	}
	r.drain(t, 1)
	for _, b := range []*bench{b, setup(t, in(killed(t, dir, "")))} {
		if got := b.webhooks(); len(got) != 2 {
			t.Errorf("%v", got)
		}
		b.delivered(r, nil)
		second.drain(t, 1)
	}
}

// Resets while mails come in: every mail that is there after the last one is delivered and reported.
func TestResetWhileSending(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sandbox.Config) { cfg.DeliveryDelay = -1 })
	b.onlyDelivery(listen(t, nil), "outbound")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 100 {
			a, err := b.try(http.MethodPost, "/email", text(t, mail(nil)), "X-Postmark-Server-Token", sandbox.DemoServerToken,
				"Content-Type", "application/json")
			if err != nil || a.status != 200 {
				t.Errorf("%v %d %s", err, a.status, a.body)
			}
		}
	}()
	for range 20 {
		b.reset()
	}
	<-sent
	var list struct{ Messages []struct{ ID string } }
	b.control(http.MethodGet, "/sandbox/messages?limit=2000", nil, 200).into(t, &list)
	for _, m := range list.Messages {
		b.settled(m.ID)
	}
}

// PM-sim 55.
func TestSeedRepeatsIDs(t *testing.T) {
	t.Parallel()
	seeded := func(cfg *sandbox.Config) { cfg.Seed = 42 }
	one, two, random := setup(t, seeded), setup(t, seeded), setup(t)
	a := one.send(nil)
	if b := two.send(nil); a != b {
		t.Errorf("%s and %s", a, b)
	}
	if b := random.send(nil); a == b {
		t.Errorf("not random: %s", b)
	}
	one.onlyDelivery(listen(t, nil), "outbound")
	for range 2 {
		one.send(nil)
		one.reset()
		if b := one.send(nil); a != b {
			t.Errorf("after a reset: %s and %s", a, b)
		}
		if id := one.onlyDelivery(listen(t, nil), "outbound"); id != 2 {
			t.Errorf("after a reset the webhook has the id %d", id)
		}
		one.ok(http.MethodDelete, "/webhooks/2", nil)
	}
}

// PM-sim 55: a seed repeats the ids of messages and bounces, the traces of webhooks, and the luck of faults, in another sandbox and after a
// reset; with the clock held at a time, it repeats the times too.
func TestSeedRepeatsEverything(t *testing.T) {
	t.Parallel()
	seeded := func(cfg *sandbox.Config) { cfg.Seed, cfg.Clock = 7, nil }
	run := func(b *bench, r *receiver) (seen []string) {
		b.control(http.MethodPut, "/sandbox/clock", object{"held": true, "now": "2100-01-01T00:00:00Z"}, 200)
		for _, to := range []string{"hardbounce@bounce.sandbox.test", "complaint@bounce.sandbox.test", "ana@example.net"} {
			id := b.send(object{"To": to})
			b.control(http.MethodPost, "/sandbox/clock/advance", object{"ms": 200}, 200)
			b.settled(id)
		}
		b.suppress("outbound", "gone@example.net")
		var hits []string
		for range 7 {
			h := r.next(t)
			hits = append(hits, h.header.Get("X-PM-Webhook-Trace-Id")+" "+string(h.body))
		}
		slices.Sort(hits) // they are posted at once
		b.fault(object{"kind": "status", "status": 500, "probability": 0.5})
		for range 30 {
			seen = append(seen, fmt.Sprint(b.api(http.MethodGet, "/server", nil).status))
		}
		b.control(http.MethodDelete, "/sandbox/faults", nil, 200)
		return append(seen, hits...)
	}
	hooked := func(b *bench) *receiver {
		r := listen(t, nil)
		b.hook(r, all())
		return r
	}
	one, two := setup(t, seeded), setup(t, seeded)
	r, s := hooked(one), hooked(two)
	first := run(one, r)
	if diff := cmp.Diff(first, run(two, s)); diff != "" {
		t.Errorf("another sandbox: %s", diff)
	}
	one.reset()
	if diff := cmp.Diff(first, run(one, r)); diff != "" {
		t.Errorf("after a reset: %s", diff)
	}
	other := setup(t, func(cfg *sandbox.Config) { cfg.Seed, cfg.Clock = 8, nil })
	if cmp.Equal(first, run(other, hooked(other))) {
		t.Error("another seed does the same")
	}
}

// A seed never gives an id again to a mail that is still there: not after a restart.
func TestSeedGoesOnAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seeded := func(cfg *sandbox.Config) { cfg.Seed = 7 }
	b := setup(t, in(dir), seeded)
	first := b.send(nil)
	b.pass()
	b.await(first, "delivery")
	one, two := setup(t, in(killed(t, dir, "")), seeded), setup(t, in(killed(t, dir, "")), seeded)
	second := one.send(nil)
	if second == first || second != two.send(nil) {
		t.Errorf("%s after %s, elsewhere another", second, first)
	}
}
