package hook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
)

var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// policy tries twice, a minute apart, and takes 200 only.
var policy = &hook.Policy{Ladder: []time.Duration{time.Minute}, Judge: func(status int) hook.Verdict {
	if status == http.StatusOK {
		return hook.Delivered
	}
	return hook.Retry
}}

// PM-sim 39.
func TestLocal(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"http://127.0.0.1:80/": true, "http://127.9.9.9": true, "http://[::1]:8080/x": true, "http://localhost": true,
		"https://LOCALHOST.:1/": true, "http://a.localhost/": true, "http://[::ffff:127.0.0.1]/": true,
		"http://example.com": false, "http://localhost.example.com": false, "http://10.0.0.1": false, "http://0.0.0.0": false,
		"http://127.0.0.1.example.com": false, "http://notlocalhost": false, "http://169.254.169.254/": false, "http://": false,
		"http://2130706433/": false, "http://127.0.0.1@example.com/": false,
	} {
		target, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := hook.Local(target); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// The engine ends when its context ends, also while a receiver hangs, and leaves no goroutine behind.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	engine := hook.New(clock.NewManual(start))
	arrived := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { engine.Run(ctx); close(ended) }()
	engine.Queue(&hook.Delivery{Policy: policy, URL: server.URL, Done: func() { t.Error("a delivery that was cut off counts as done") }})
	<-arrived
	stop()
	<-ended
}

// What is queued before Run, and for many URLs, is delivered once each.
func TestEveryDeliveryOnce(t *testing.T) {
	t.Parallel()
	engine := hook.New(clock.NewManual(start))
	var mu sync.Mutex
	seen := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path+r.Header.Get("Trace")]++
	}))
	defer server.Close()
	const total = 2000
	var done atomic.Int64
	finished := make(chan struct{})
	queue := func(from, to int) {
		for i := from; i < to; i++ {
			engine.Queue(&hook.Delivery{Policy: policy, URL: fmt.Sprintf("%s/%d", server.URL, i%7), Header: http.Header{"Trace": {fmt.Sprint("-", i)}}, Done: func() {
				if done.Add(1) == total {
					close(finished)
				}
			}})
		}
	}
	queue(0, total/2)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { engine.Run(ctx); close(ended) }()
	queue(total/2, total)
	<-finished
	stop()
	<-ended
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s: %d times", key, n)
		}
	}
	if len(seen) != total || len(engine.Attempts()) != 1000 {
		t.Errorf("%d deliveries, %d attempts remembered", len(seen), len(engine.Attempts()))
	}
}

// A reset drops what waits for a retry.
func TestResetDropsRetries(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(start)
	engine := hook.New(manual)
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { engine.Run(ctx); close(ended) }()
	first := make(chan struct{})
	engine.Queue(&hook.Delivery{Policy: policy, URL: server.URL, FirstTry: first})
	<-first
	if !manual.AwaitSleeper(t.Context().Done(), start.Add(time.Minute)) {
		t.Fatal("no retry is planned")
	}
	engine.Reset()
	manual.Advance(time.Hour)
	stop()
	<-ended
	if hits.Load() != 1 || len(engine.Attempts()) != 0 {
		t.Errorf("%d hits, %d attempts", hits.Load(), len(engine.Attempts()))
	}
}

func TestPostRefusesOtherHosts(t *testing.T) {
	t.Parallel()
	engine := hook.New(clock.System{})
	if _, err := engine.Post(t.Context(), "http://example.com/", nil, nil); !errors.Is(err, hook.ErrNotLoopback) {
		t.Errorf("%v", err)
	}
	if _, err := engine.Post(t.Context(), "http://user:secret@[::1", nil, nil); err == nil || err.Error() != "the URL cannot be parsed" {
		t.Errorf("%v", err)
	}
}

// PM-sim 40, 46: a delivery that is to be late waits on the clock; Tried hears of each try, with the time of the next.
func TestLateDelivery(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(start)
	engine := hook.New(manual)
	status := make(chan int, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-status) }))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { engine.Run(ctx); close(ended) }()
	tried := make(chan hook.Attempt, 2)
	engine.Queue(&hook.Delivery{Policy: policy, URL: server.URL, Server: "s", Hook: 3, Delay: time.Hour, Tried: func(a hook.Attempt) { tried <- a }})
	if due, ok := engine.Next(); !ok || !due.Equal(start.Add(time.Hour)) || !manual.AwaitSleeper(t.Context().Done(), due) {
		t.Errorf("due %v", due)
	}
	status <- http.StatusBadGateway
	manual.Advance(time.Hour)
	first := <-tried
	if first.Server != "s" || first.Hook != 3 || first.Try != 1 || !first.NextTry.Equal(start.Add(61*time.Minute)) {
		t.Errorf("%+v", first)
	}
	if !manual.AwaitSleeper(t.Context().Done(), first.NextTry) {
		t.Fatal("no retry is planned")
	}
	status <- http.StatusOK
	manual.Advance(time.Minute)
	if second := <-tried; second.Try != 2 || !second.NextTry.IsZero() || second.Verdict != hook.Delivered {
		t.Errorf("%+v", second)
	}
	stop()
	<-ended
}
