package mx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"postyard/internal/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a DNS that a test changes.
type world struct {
	mu     sync.Mutex
	hosts  map[string]string // one host for a domain; with none there is no such domain
	err    error             // what every question fails with
	asked  []string
	gate   chan struct{} // when set, answers wait for it
	at     []time.Time
	active int
	most   int // questions at once
}

func (w *world) LookupMX(ctx context.Context, domain string) ([]*net.MX, error) {
	w.mu.Lock()
	w.asked, w.at = append(w.asked, domain), append(w.at, time.Now())
	w.active++
	w.most = max(w.most, w.active)
	gate, err, host := w.gate, w.err, w.hosts[domain]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.active--
		w.mu.Unlock()
	}()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case err != nil:
		return nil, err
	case host == "":
		return nil, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
	}
	return []*net.MX{{Host: host, Pref: 10}}, nil
}

func (w *world) set(domain, host string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[domain], w.err = host, err
}

func (w *world) questions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

const (
	google    = "aspmx.l.google.com."
	microsoft = "contoso-com.mail.protection.outlook.com."
)

var away = &net.DNSError{Err: "server misbehaving", IsTemporary: true}

// bubble runs a test in a synctest bubble, with a Classifier at work.
func bubble(t *testing.T, test func(*testing.T, *world, *Classifier)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{hosts: map[string]string{}}
		c := New(Config{Resolver: w, Now: time.Now, Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.Run(ctx) })
		test(t, w, c)
		stop()
		running.Wait()
	})
}

// is fails unless the class is this one; then it waits until nothing moves.
func is(t *testing.T, c *Classifier, domain string, want mailbox.Class) {
	t.Helper()
	if got := c.Class(domain); got != want {
		t.Errorf("%s is %s, want %s", domain, got, want)
	}
	synctest.Wait()
}

// wants fails unless so many questions were asked since the beginning.
func (w *world) wants(t *testing.T, questions int) {
	t.Helper()
	if got := w.questions(); got != questions {
		t.Errorf("%d questions, want %d: %v", got, questions, w.asked)
	}
}

func TestAnswersAtOnceAndLearns(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		w.set("contoso.com.", google, nil)
		is(t, c, "contoso.com", mailbox.Default)
		is(t, c, "contoso.com", mailbox.GoogleWorkspace)
		is(t, c, "Contoso.COM.", mailbox.GoogleWorkspace)
		w.wants(t, 1)
		is(t, c, "contoso.org", mailbox.Default) // no such domain
		is(t, c, "contoso.org", mailbox.Default)
		w.wants(t, 2)
		if w.asked[0] != "contoso.com." {
			t.Errorf("asked for %q: a search list would apply", w.asked[0])
		}
	})
}

func TestNamesThatTellAreNotAskedFor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		for domain, want := range map[string]mailbox.Class{
			"gmail.com": mailbox.Gmail, "HOTMAIL.co.uk": mailbox.Microsoft, "contoso.onmicrosoft.com": mailbox.Office365,
			"yahoo.co.jp": mailbox.Default, "example.com": mailbox.Default, "a.example": mailbox.Default, "localhost": mailbox.Default,
			"[127.0.0.1]": mailbox.Default, "": mailbox.Default, "a.test": mailbox.Default,
		} {
			is(t, c, domain, want)
		}
		w.wants(t, 0)
	})
}

func TestWithoutResolver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		is(t, c, "gmail.com", mailbox.Gmail)
		is(t, c, "contoso.com", mailbox.Default)
		select {
		case <-done:
			t.Error("Run returned before its context ended")
		default:
		}
		stop()
		<-done
	})
}

func TestAnswersAge(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		w.set("contoso.com.", google, nil)
		is(t, c, "contoso.com", mailbox.Default)
		is(t, c, "contoso.org", mailbox.Default)
		w.wants(t, 2)
		w.set("contoso.com.", microsoft, nil)
		w.set("contoso.org.", microsoft, nil)

		time.Sleep(noneFor - time.Second)
		is(t, c, "contoso.org", mailbox.Default)
		w.wants(t, 2)
		time.Sleep(2 * time.Second)
		is(t, c, "contoso.org", mailbox.Default) // asks
		is(t, c, "contoso.org", mailbox.Office365)
		w.wants(t, 3)

		time.Sleep(goodFor - noneFor - 2*time.Second)
		is(t, c, "contoso.com", mailbox.GoogleWorkspace)
		w.wants(t, 3)
		time.Sleep(2 * time.Second)
		is(t, c, "contoso.com", mailbox.GoogleWorkspace) // what was known, while it asks
		is(t, c, "contoso.com", mailbox.Office365)
		w.wants(t, 4)

		w.set("contoso.com.", "", nil) // the domain is given up
		time.Sleep(2 * goodFor)
		is(t, c, "contoso.com", mailbox.Office365)
		is(t, c, "contoso.com", mailbox.Default)
	})
}

func TestAnswersAgeApart(t *testing.T) {
	t.Parallel()
	c := New(Config{Now: func() time.Time { return time.Time{} }})
	for jitter, want := range map[float64]time.Duration{0: 21 * time.Hour, 0.5: 24 * time.Hour, 1: 27 * time.Hour} {
		c.Jitter = func() float64 { return jitter }
		if got := c.in(goodFor).Sub(time.Time{}); got != want {
			t.Errorf("jitter %g: %s, want %s", jitter, got, want)
		}
	}
}

// A DNS that fails is asked after 1, 2, 4 ... minutes and then every hour, and what was known stays known.
func TestFailuresBackOff(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"misbehaving": away, "time-out": context.DeadlineExceeded, "unknown": errors.New("broken")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world, c *Classifier) {
				w.set("contoso.com.", google, nil)
				is(t, c, "contoso.com", mailbox.Default)
				time.Sleep(goodFor + time.Second)
				w.set("contoso.com.", microsoft, failure)
				begin := w.questions()
				for range 5 * 60 * 12 { // five hours, a message every 5 s
					is(t, c, "contoso.com", mailbox.GoogleWorkspace)
					time.Sleep(5 * time.Second)
				}
				asked := w.at[begin:]
				for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
					if got := asked[i+1].Sub(asked[i]).Round(time.Minute) / time.Minute; got != want {
						t.Errorf("question %d came after %d min, want %d", i+2, got, want)
					}
				}
				w.set("contoso.com.", microsoft, nil)
				time.Sleep(time.Hour)
				is(t, c, "contoso.com", mailbox.GoogleWorkspace)
				is(t, c, "contoso.com", mailbox.Office365)
				w.set("contoso.com.", microsoft, failure)
				time.Sleep(goodFor + time.Second)
				begin = w.questions()
				is(t, c, "contoso.com", mailbox.Office365)
				time.Sleep(61 * time.Second) // it has worked meanwhile, so the pause is short again
				is(t, c, "contoso.com", mailbox.Office365)
				w.wants(t, begin+2)
			})
		})
	}
}

// The resolver may return records and an error about others.
func TestPartialAnswer(t *testing.T) {
	t.Parallel()
	c := New(Config{Resolver: partial{}, Now: time.Now, Jitter: func() float64 { return 0 }})
	c.lookUp(t.Context(), "contoso.com")
	if got := c.Class("contoso.com"); got != mailbox.GoogleWorkspace {
		t.Errorf("contoso.com is %s", got)
	}
}

type partial struct{}

func (partial) LookupMX(context.Context, string) ([]*net.MX, error) {
	return []*net.MX{{Host: google, Pref: 10}}, &net.DNSError{Err: "DNS response contained records which contain invalid names"}
}

func TestQuestionsAreJoined(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		w.gate = make(chan struct{})
		w.set("contoso.com.", google, nil)
		for range 3 * workers {
			is(t, c, "contoso.com", mailbox.Default)
		}
		w.wants(t, 1)
		if len(c.queue) != 0 {
			t.Errorf("%d questions wait", len(c.queue))
		}
		close(w.gate)
		synctest.Wait()
		is(t, c, "contoso.com", mailbox.GoogleWorkspace)
		w.wants(t, 1)
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		w.gate = make(chan struct{})
		name := func(i int) string { return fmt.Sprintf("d%d.contoso.com", i) }
		all := workers + waiting
		for i := range workers {
			is(t, c, name(i), mailbox.Default) // each reaches a worker
		}
		for i := range all + 1000 {
			if got := c.Class(name(i)); got != mailbox.Default {
				t.Fatalf("%s is %s", name(i), got)
			}
		}
		synctest.Wait()
		w.wants(t, workers)
		close(w.gate)
		synctest.Wait()
		w.wants(t, all)
		if w.most != workers {
			t.Errorf("%d questions at once, want %d", w.most, workers)
		}
		is(t, c, name(all), mailbox.Default) // was turned away, and comes again
		w.wants(t, all+1)
		if len(c.asked) != 0 {
			t.Errorf("%d domains are still thought to be on their way", len(c.asked))
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		c.limit = 10
		for i := range 50 {
			domain := fmt.Sprintf("d%d.contoso.com", i)
			w.set(domain+".", google, nil)
			is(t, c, domain, mailbox.Default)
			is(t, c, domain, mailbox.GoogleWorkspace) // the newest is there
			if want := min(i+1, 10); len(c.known) != want {
				t.Fatalf("%d domains are known after %d, want %d", len(c.known), i+1, want)
			}
		}
		w.wants(t, 50)
		time.Sleep(2 * goodFor)
		for domain := range c.known { // refreshing a known domain pushes nobody out
			is(t, c, domain, mailbox.GoogleWorkspace)
		}
		w.wants(t, 60)
	})
}

func TestStopEndsLookups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{hosts: map[string]string{}, gate: make(chan struct{})}
		var log bytes.Buffer
		c := New(Config{Resolver: w, Now: time.Now, Jitter: func() float64 { return 0 }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.Run(ctx) })
		for i := range 2 * workers {
			is(t, c, fmt.Sprintf("d%d.contoso.com", i), mailbox.Default)
		}
		begin := time.Now()
		stop()
		running.Wait()
		if took := time.Since(begin); took != 0 || log.Len() != 0 {
			t.Errorf("the stop took %s and logged %q", took, log.String())
		}
		is(t, c, "fabrikam.com", mailbox.Default) // still answers
	})
}

func TestSlowAnswersAreCut(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		w.gate = make(chan struct{})
		is(t, c, "contoso.com", mailbox.Default)
		time.Sleep(timeout + time.Second)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.active != 0 {
			t.Error("the question still waits for its answer")
		}
	})
}

func TestTellsWhenDNSGoesAndComes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world, c *Classifier) {
		var log bytes.Buffer
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		lookUp := func(n int, err error) (lines int) {
			w.set("", "", err)
			for i := range n {
				is(t, c, fmt.Sprintf("d%d-%d.contoso.com", w.questions(), i), mailbox.Default)
			}
			return strings.Count(log.String(), "\n")
		}
		for i, step := range []struct {
			n     int
			err   error
			lines int
		}{{alarm - 1, away, 0}, {1, nil, 0}, {alarm - 1, away, 0}, {1, away, 1}, {3 * alarm, away, 1}, {1, nil, 2}, {5, nil, 2}} {
			if lines := lookUp(step.n, step.err); lines != step.lines {
				t.Errorf("step %d: %d lines, want %d:\n%s", i, lines, step.lines, log.String())
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	w := &world{hosts: map[string]string{}}
	c := New(Config{Resolver: w, Now: time.Now, Jitter: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler)})
	c.limit = 20
	ctx, stop := context.WithCancel(t.Context())
	var running, asking sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	for i := range 8 {
		asking.Go(func() {
			for j := range 2000 {
				c.Class(fmt.Sprintf("d%d.contoso.com", (i+j)%50))
			}
		})
	}
	asking.Wait()
	stop()
	running.Wait()
	if len(c.known) > 20 {
		t.Errorf("%d domains are known", len(c.known))
	}
}

func BenchmarkClass(b *testing.B) {
	c := New(Config{Resolver: &world{}, Now: time.Now, Jitter: func() float64 { return 0 }})
	var names []string
	for i := range domains {
		names = append(names, fmt.Sprintf("mail%d.contoso.com", i))
		c.learn(names[i], []*net.MX{{Host: google, Pref: 10}}, nil)
	}
	for _, n := range []int{1000, domains} { // with all of them in turn, the processor's cache is of no use
		b.Run(fmt.Sprintf("known/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if c.Class(names[i%n]) != mailbox.GoogleWorkspace {
					b.Fatal("not known")
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				c.Class(names[i%len(names)])
			}
		})
	})
	b.Run("name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Class("gmail.com")
		}
	})
	b.Run("full queue", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.Class("x" + names[i%len(names)])
		}
	})
}
