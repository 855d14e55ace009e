package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// worker makes requests and reads their answers, for one connection. Both slices are valid until the next call.
type worker interface {
	request() []byte // a whole request as it goes over the wire
	answer(status int, body []byte) error
}

// problems are what went wrong with requests. They are safe for concurrent use.
type problems struct {
	mu     sync.Mutex
	failed int
	texts  []string
}

// Limits of problems.
const (
	maxTexts  = 5
	maxFailed = 100 // it goes on like that; the load ends
)

// failure counts a request that failed.
func (p *problems) failure(text string) {
	p.mu.Lock()
	p.failed++
	p.mu.Unlock()
	p.note(text)
}

func (p *problems) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.texts) < maxTexts {
		p.texts = append(p.texts, text)
	}
}

func (p *problems) all() (failed int, texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed, p.texts
}

func (p *problems) tooMany() bool {
	failed, _ := p.all()
	return failed >= maxFailed
}

// driver sends requests over connections that stay open, each as soon as the last one was answered.
type driver struct {
	address  string // host:port
	until    time.Time
	problems *problems
}

// run returns how long the requests that succeeded took.
func (d *driver) run(ctx context.Context, connections int, hire func() worker) []time.Duration {
	took := make([][]time.Duration, connections)
	var running sync.WaitGroup
	for i := range connections {
		w := hire()
		running.Go(func() { took[i] = d.work(ctx, w) })
	}
	running.Wait()
	var all []time.Duration
	for _, part := range took {
		all = append(all, part...)
	}
	return all
}

func (d *driver) work(ctx context.Context, w worker) (took []time.Duration) {
	var c *connection
	defer func() { c.close() }()
	for ctx.Err() == nil && time.Now().Before(d.until) && !d.problems.tooMany() {
		var err error
		if c == nil {
			if c, err = dial(ctx, d.address); err != nil {
				d.problems.failure(err.Error())
				return took
			}
		}
		began := time.Now()
		status, body, err := c.do(w.request())
		lasted := time.Since(began)
		if err == nil {
			err = w.answer(status, body)
		}
		if ctx.Err() != nil {
			return took
		}
		if err != nil {
			d.problems.failure(err.Error())
			c.close()
			c = nil
			continue
		}
		took = append(took, lasted)
	}
	return took
}

// connection is one to the server, for one request at a time.
type connection struct {
	net.Conn
	in   *bufio.Reader
	body bytes.Buffer
	stop func() bool
}

const (
	requestTimeout = time.Minute
	maxAnswer      = 1 << 20
)

// dial connects; the connection is cut when ctx ends.
func dial(ctx context.Context, address string) (*connection, error) {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &connection{Conn: raw, in: bufio.NewReader(raw)}
	c.stop = context.AfterFunc(ctx, func() { _ = raw.Close() }) // the request on it fails, and nobody counts it
	return c, nil
}

func (c *connection) close() {
	if c == nil {
		return
	}
	c.stop()
	_ = c.Close() // what came over it is known
}

var post = &http.Request{Method: http.MethodPost}

// do sends a request and reads the answer, whose body is valid until the next call.
func (c *connection) do(request []byte) (status int, body []byte, err error) {
	if err := c.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, nil, fmt.Errorf("set deadline: %w", err)
	}
	if _, err := c.Write(request); err != nil {
		return 0, nil, fmt.Errorf("send request: %w", err)
	}
	res, err := http.ReadResponse(c.in, post)
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	c.body.Reset()
	_, err = c.body.ReadFrom(io.LimitReader(res.Body, maxAnswer))
	if ended := res.Body.Close(); err == nil {
		err = ended
	}
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("read answer: %w", err)
	case res.Close:
		return 0, nil, fmt.Errorf("status %d: the server ends the connection: %.200s", res.StatusCode, c.body.Bytes())
	}
	return res.StatusCode, c.body.Bytes(), nil
}
