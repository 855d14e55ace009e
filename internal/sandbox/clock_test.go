package sandbox_test

import (
	"net/http"
	"testing"
	"time"

	"postyard/internal/sandbox"
	"postyard/internal/sandbox/hook"
)

// ownClock leaves the clock to the sandbox, as the command does.
func ownClock(cfg *sandbox.Config) { cfg.Clock = nil }

type clockState struct {
	Now      time.Time
	Held     bool
	OffsetMS int64 `json:"offsetMs"`
	NextDue  *time.Time
}

func (b *bench) steer(method, path string, body any) (c clockState) {
	b.t.Helper()
	b.control(method, path, body, 200).into(b.t, &c)
	return c
}

// PM-sim 40: over HTTP the clock is held, advanced over deliveries and hours of retries, and released.
func TestClockOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t, ownClock)
	running := b.steer(http.MethodGet, "/sandbox/clock", nil)
	if running.Held || running.OffsetMS != 0 || running.NextDue != nil || time.Since(running.Now).Abs() > time.Minute {
		t.Fatalf("%+v", running)
	}
	answers := make(chan int, 20)
	r := listen(t, func(hit) int { return <-answers })
	answers <- 200
	b.hook(r, object{"Delivery": object{"Enabled": true}})
	b.control(http.MethodPut, "/sandbox/settings", object{"retryLadder": "six"}, 200)
	begin := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	if c := b.steer(http.MethodPut, "/sandbox/clock", object{"held": true, "now": begin}); !c.Held || !c.Now.Equal(begin) || c.OffsetMS < 1e12 {
		t.Fatalf("%+v", c)
	}
	id := b.send(nil)
	c := b.steer(http.MethodGet, "/sandbox/clock", nil)
	if !c.Now.Equal(begin) || c.NextDue == nil || !c.NextDue.Equal(begin.Add(200*time.Millisecond)) {
		t.Fatalf("%+v", c)
	}
	b.steer(http.MethodPost, "/sandbox/clock/advance", object{"ms": 199})
	if n := len(b.message(id).Events); n != 0 {
		t.Errorf("%d events before their time", n)
	}
	answers <- 503
	b.steer(http.MethodPost, "/sandbox/clock/advance", object{"ms": 1})
	first := r.next(t)
	if got := first.json(t)["DeliveredAt"]; got != "2100-01-01T00:00:00.2000000Z" {
		t.Errorf("%v", got)
	}
	at := begin.Add(200 * time.Millisecond)
	for _, minutes := range []time.Duration{1, 5, 10, 10, 10, 15} {
		at = at.Add(minutes * time.Minute)
		b.due(at)
		answers <- 503
		b.steer(http.MethodPost, "/sandbox/clock/advance", object{"ms": (minutes * time.Minute).Milliseconds()})
		r.next(t)
	}
	b.settled(id)
	attempts := b.attempts(id)
	if len(attempts) != 7 || attempts[0].Verdict != hook.GivenUp || !attempts[0].At.Equal(at) || !attempts[0].NextTry.IsZero() ||
		!attempts[1].NextTry.Equal(at) {
		t.Errorf("%+v", attempts)
	}
	released := b.steer(http.MethodPut, "/sandbox/clock", object{"held": false})
	if released.Held || released.Now.Before(at) || released.Now.After(at.Add(time.Minute)) {
		t.Errorf("%+v", released)
	}
	late := b.send(nil) // runs on by itself
	answers <- 200
	r.next(t)
	b.settled(late)
	b.reset()
	if c := b.steer(http.MethodGet, "/sandbox/clock", nil); c.Held || c.OffsetMS != 0 || time.Since(c.Now).Abs() > time.Minute {
		t.Errorf("after a reset: %+v", c)
	}
}

// due waits until the sandbox waits for exactly a time.
func (b *bench) due(at time.Time) {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		c := b.steer(http.MethodGet, "/sandbox/clock", nil)
		if c.NextDue != nil && c.NextDue.Equal(at) {
			return
		}
		select {
		case <-time.After(time.Millisecond): // the sandbox needs the processor more
		case <-deadline:
			b.t.Fatalf("nothing waits for %v: %+v", at, c)
		}
	}
}

func TestClockIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, ownClock)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPut, "/sandbox/clock", `{"held":"yes"}`},
		{http.MethodPut, "/sandbox/clock", `{"now":"2001-01-01T00:00:00Z"}`}, // does not go back
		{http.MethodPut, "/sandbox/clock", `{"now":"9000-01-01T00:00:00Z"}`},
		{http.MethodPut, "/sandbox/clock", `{"now":"noon"}`},
		{http.MethodPost, "/sandbox/clock/advance", `{"ms":0}`},
		{http.MethodPost, "/sandbox/clock/advance", `{"ms":-5}`},
		{http.MethodPost, "/sandbox/clock/advance", `{"ms":99999999999999}`},
		{http.MethodPost, "/sandbox/clock/advance", ``},
	} {
		b.control(c.method, c.path, c.body, 400)
	}
	owned := setup(t) // with a clock of the test's
	if c := owned.steer(http.MethodGet, "/sandbox/clock", nil); !c.Now.Equal(start) {
		t.Errorf("%+v", c)
	}
	owned.control(http.MethodPut, "/sandbox/clock", object{"held": true}, 409)
	owned.control(http.MethodPost, "/sandbox/clock/advance", object{"ms": 1}, 409)
}

// The end of the clock is as far from the machine's time whatever the steps that lead there, running or held.
func TestClockHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{false, true} {
		b := setup(t, ownClock)
		b.steer(http.MethodPut, "/sandbox/clock", object{"held": held})
		before := b.steer(http.MethodPut, "/sandbox/clock", object{"now": "2120-01-01T00:00:00Z"})
		for _, now := range []string{"2215-01-01T00:00:00Z", "2310-01-01T00:00:00Z", "2400-01-01T00:00:00Z"} {
			b.control(http.MethodPut, "/sandbox/clock", object{"now": now, "held": true}, 400)
		}
		year := (366 * 24 * time.Hour).Milliseconds()
		for ahead := before.OffsetMS + year; ahead < 100*year; ahead += year {
			before = b.steer(http.MethodPost, "/sandbox/clock/advance", object{"ms": year})
		}
		b.control(http.MethodPost, "/sandbox/clock/advance", object{"ms": year}, 400)
		after := b.steer(http.MethodGet, "/sandbox/clock", nil)
		if after.Held != held || after.Now.Before(before.Now) || after.OffsetMS < 99*year-time.Hour.Milliseconds() || after.OffsetMS > 100*year {
			t.Errorf("%+v, before it was refused %+v", after, before)
		}
	}
}

// A reset lets a send go that waits for its latency on a clock that is held.
func TestResetEndsLatency(t *testing.T) {
	t.Parallel()
	b := setup(t, ownClock)
	b.control(http.MethodPut, "/sandbox/settings", object{"sendLatencyMs": 20}, 200)
	b.steer(http.MethodPut, "/sandbox/clock", object{"held": true})
	body := text(t, mail(nil))
	answered := make(chan error, 1)
	go func() {
		_, err := b.try(http.MethodPost, "/email", body, serverToken, sandbox.DemoServerToken, "Content-Type", "application/json")
		answered <- err
	}()
	b.reset()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the send still waits")
	}
}
