package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

// maxHook caps what is read of one webhook, maxArrivals what is kept of all.
const (
	maxHook     = 256 << 10
	maxArrivals = 500
)

type credentials struct{ username, password string }

func newCredentials() credentials {
	return credentials{username: "record-" + strings.ToLower(secret.APIKey()), password: secret.Password()}
}

// arrival is one request to a webhook of ours.
type arrival struct {
	hook     string
	at       time.Time
	header   http.Header // without credentials
	body     []byte      // nil when it is not known to be ours
	shape    any         // what it is made of, when it cannot be read
	probe    bool        // it came while its webhook was being registered, before any event can
	about    string      // "sample", "ours", "another mail", "no event"; of a probe, "sample" or "no sample"
	carried  string      // whose credentials it had: "HttpAuth", "URL", "none", "others"
	answered int         // 0: the other side hung up
	held     time.Duration
}

// hook is one webhook of ours.
type hook struct {
	name   string
	auth   credentials // of HttpAuth
	inURL  credentials // of the URL; empty for none
	answer func(a *arrival) (status int, hold bool)

	probing atomic.Bool // it is being registered
}

// listener takes webhooks in.
type listener struct {
	adapter  provider.Adapter
	now      func() time.Time
	patience time.Duration // how long a webhook is held
	base     string        // the path of all hooks, with a slash at its end
	nonce    string        // in the metadata of our mails

	mu       sync.Mutex
	hooks    map[string]*hook
	ours     map[string]bool // provider's ids of mails of ours, in lower case
	arrivals []*arrival
	lost     int           // arrivals beyond maxArrivals
	changed  chan struct{} // closed at the next arrival
}

func newListener(adapter provider.Adapter, now func() time.Time, patience time.Duration, base, nonce string) *listener {
	return &listener{adapter: adapter, now: now, patience: patience, base: base, nonce: nonce, hooks: map[string]*hook{}, ours: map[string]bool{},
		changed: make(chan struct{})}
}

// serve listens until the returned function is called, which waits for the requests under way.
func (l *listener) serve(ctx context.Context, address string) (stop func() error, err error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return base }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	return func() error {
		cancel() // lets go of what is held
		shutdown, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		err := server.Shutdown(shutdown)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// open puts a webhook into use.
func (l *listener) open(h *hook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hooks[h.name] = h
}

// expect has the events of a mail counted as ours.
func (l *listener) expect(messageID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ours[strings.ToLower(messageID)] = true
}

// ServeHTTP implements http.Handler.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, l.base)
	l.mu.Lock()
	h := l.hooks[name]
	l.mu.Unlock()
	if !ok || h == nil || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	a := &arrival{hook: h.name, at: l.now(), probe: h.probing.Load(), header: r.Header.Clone(), carried: h.whose(r.Context(), l.adapter, r.Header)}
	a.header.Del("Authorization")
	l.identify(a, body)
	status, hold := h.answer(a)
	if a.about == "another mail" {
		status, hold = http.StatusOK, false // it must not be delivered late for our sake
	}
	if hold {
		timer := time.NewTimer(l.patience)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			status = 0
		}
		a.held = l.now().Sub(a.at)
	}
	a.answered = status
	l.keep(a)
	if status != 0 {
		w.WriteHeader(status)
	}
}

// whose tells which credentials a request carries.
func (h *hook) whose(ctx context.Context, adapter provider.Adapter, header http.Header) string {
	is := func(c credentials) bool {
		hook := provider.Hook{Credentials: provider.Credentials{Username: c.username, Password: secret.NewString(c.password)}}
		authentic, err := adapter.Authentic(ctx, provider.Connection{}, hook, provider.Delivery{Header: header})
		return authentic && err == nil
	}
	switch {
	case is(h.auth):
		return "HttpAuth"
	case is(h.inURL):
		return "URL"
	case header.Get("Authorization") == "":
		return "none"
	}
	return "others"
}

// identify tells what a body is about, as our code reads it. The stream may be in use: what is about other mail is not kept.
func (l *listener) identify(a *arrival, body []byte) {
	reports, err := l.adapter.Parse(a.header, body)
	switch {
	case err == nil && len(reports) > 0 && reports[0].Sample:
		a.about, a.body = "sample", body
	case a.probe:
		a.about, a.shape = "no sample", shape(body)
	case err != nil || len(reports) == 0:
		a.about, a.shape = "no event", shape(body)
	case l.isOurs(reports[0].ProviderMessageID, body):
		a.about, a.body = "ours", body
	default:
		a.about = "another mail"
	}
}

// isOurs knows a mail of ours by its id, or, before that is known, by its metadata.
func (l *listener) isOurs(messageID string, body []byte) bool {
	var event struct{ Metadata map[string]string }
	if json.Unmarshal(body, &event) == nil && event.Metadata[nonceKey] == l.nonce {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ours[strings.ToLower(messageID)]
}

func (l *listener) keep(a *arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.arrivals) >= maxArrivals {
		l.lost++
		return
	}
	l.arrivals = append(l.arrivals, a)
	close(l.changed)
	l.changed = make(chan struct{})
}

// at returns what arrived at a webhook.
func (l *listener) at(name string) (arrivals []*arrival, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.arrivals {
		if a.hook == name {
			arrivals = append(arrivals, a)
		}
	}
	return arrivals, l.changed
}

// take returns what arrived since it was called last.
func (l *listener) take() []*arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	arrivals := l.arrivals
	l.arrivals = nil
	return arrivals
}

// wait returns the arrivals at a webhook as soon as they are enough, or what there is when patience or ctx ends.
func (l *listener) wait(ctx context.Context, name string, patience time.Duration, enough func([]*arrival) bool) []*arrival {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		arrivals, changed := l.at(name)
		if enough(arrivals) {
			return arrivals
		}
		select {
		case <-changed:
		case <-timer.C:
			return arrivals
		case <-ctx.Done():
			return arrivals
		}
	}
}
