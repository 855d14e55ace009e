package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"postyard/internal/sandbox"
	"postyard/internal/sandbox/clock"
)

// patience is how long a test waits for what the sandbox does in the background; far more than it takes.
const patience = 30 * time.Second

// start is when the clock of a test begins.
var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// bench is a sandbox behind a real HTTP server, with a clock that the test moves.
type bench struct {
	t     *testing.T
	url   string
	box   *sandbox.Sandbox
	clock *clock.Manual
	dir   string
}

func setup(t *testing.T, change ...func(*sandbox.Config)) *bench {
	t.Helper()
	c := clock.NewManual(start)
	cfg := sandbox.Config{Clock: c}
	for _, f := range change {
		f(&cfg)
	}
	box, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t: t, url: server.URL, box: box, clock: c, dir: cfg.DataDir}
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// field returns a top-level value of the answer's JSON object.
func (a answer) field(t *testing.T, name string) any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(a.body, &object); err != nil {
		t.Fatalf("not a JSON object: %s", a.body)
	}
	return object[name]
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// code returns the ErrorCode.
func (a answer) code(t *testing.T) int {
	t.Helper()
	code, ok := a.field(t, "ErrorCode").(float64)
	if !ok {
		t.Fatalf("no ErrorCode: %d %s", a.status, a.body)
	}
	return int(code)
}

// want fails the test unless the answer is an error as the API writes them (PM-sim 5).
func (a answer) want(t *testing.T, status, code int, message string) {
	t.Helper()
	if a.status != status || a.code(t) != code {
		t.Fatalf("got %d %s, want %d with ErrorCode %d", a.status, a.body, status, code)
	}
	if got := a.field(t, "Message"); message != "" && got != message {
		t.Fatalf("message %q, want %q", got, message)
	}
}

// raw sends a request and fails the test only when there is no answer.
func (b *bench) raw(method, path, body string, header ...string) answer {
	b.t.Helper()
	a, err := b.try(method, path, body, header...)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *bench) try(method, path, body string, header ...string) (answer, error) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, got}, err
}

// api calls the Postmark API with the demo token and a JSON body.
func (b *bench) api(method, path string, body any) answer {
	b.t.Helper()
	return b.raw(method, path, text(b.t, body), "X-Postmark-Server-Token", sandbox.DemoServerToken,
		"Content-Type", "application/json", "Accept", "application/json")
}

// ok is api for calls that must succeed (PM-sim 4).
func (b *bench) ok(method, path string, body any) answer {
	b.t.Helper()
	a := b.api(method, path, body)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json; charset=utf-8" {
		b.t.Fatalf("%s %s: %d %s %s", method, path, a.status, a.header.Get("Content-Type"), a.body)
	}
	return a
}

// control calls the control API, which must answer with the status.
func (b *bench) control(method, path string, body any, status int) answer {
	b.t.Helper()
	a := b.raw(method, path, text(b.t, body))
	if a.status != status {
		b.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

func text(t *testing.T, body any) string {
	t.Helper()
	switch v := body.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

type object = map[string]any

// mail is a plain message that the sandbox accepts; changes overwrite its fields, and nil removes them.
func mail(changes object) object {
	m := object{"From": "app@example.com", "To": "ana@example.net", "Subject": "Hello", "HtmlBody": "<a href=\"https://example.com/a\">a</a>",
		"TextBody": "See https://example.com/b."}
	return merge(m, changes)
}

// templated is the same with the seeded template.
func templated(changes object) object {
	return merge(object{"From": "app@example.com", "To": "ana@example.net", "TemplateAlias": sandbox.DemoTemplateAlias,
		"TemplateModel": object{"name": "Ana"}}, changes)
}

func merge(m, changes object) object {
	for key, value := range changes {
		if value == nil {
			delete(m, key)
			continue
		}
		m[key] = value
	}
	return m
}

// send sends a plain message and returns its id.
func (b *bench) send(changes object) string {
	b.t.Helper()
	return b.ok(http.MethodPost, "/email", mail(changes)).field(b.t, "MessageID").(string)
}

// receiver is a webhook endpoint that keeps what it gets.
type receiver struct {
	url    string
	events chan hit
}

// hit is one request to a receiver.
type hit struct {
	header http.Header
	body   []byte
}

func (h hit) json(t *testing.T) object {
	t.Helper()
	var out object
	if err := json.Unmarshal(h.body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// listen starts a receiver. respond may be nil for 200.
func listen(t *testing.T, respond func(hit) int) *receiver {
	t.Helper()
	r := &receiver{events: make(chan hit, 1000)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		h := hit{req.Header.Clone(), body}
		status := http.StatusOK
		if respond != nil {
			status = respond(h)
		}
		w.WriteHeader(status)
		r.events <- h
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// next returns the next event, and fails the test if none comes.
func (r *receiver) next(t *testing.T) hit {
	t.Helper()
	select {
	case h := <-r.events:
		return h
	case <-time.After(patience):
		t.Fatal("no webhook came")
		return hit{}
	}
}

// drain empties the receiver of n events: the probes of a registration.
func (r *receiver) drain(t *testing.T, n int) {
	t.Helper()
	for range n {
		r.next(t)
	}
}

// all are the six triggers.
func all() object {
	on := object{"Enabled": true}
	return object{"Open": on, "Click": on, "Delivery": on, "Bounce": on, "SpamComplaint": on, "SubscriptionChange": on}
}

// hook registers a receiver for triggers and swallows the probes.
func (b *bench) hook(r *receiver, triggers object) int {
	b.t.Helper()
	a := b.ok(http.MethodPost, "/webhooks", object{"Url": r.url, "Triggers": triggers,
		"HttpAuth": object{"Username": "u", "Password": "p"}})
	r.drain(b.t, len(triggers))
	return int(a.field(b.t, "ID").(float64))
}

// pass lets the delivery delay pass.
func (b *bench) pass() {
	b.t.Helper()
	b.clock.Advance(sandbox.DefaultDeliveryDelay)
}

func timeout(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), patience)
}

// message returns a message from the control API.
func (b *bench) message(id string) message {
	b.t.Helper()
	var m message
	b.control(http.MethodGet, "/sandbox/messages/"+id, nil, http.StatusOK).into(b.t, &m)
	return m
}

type message struct {
	ID, Subject, Text, HTML, To, RenderError string
	Metadata                                 map[string]string
	Events                                   []struct {
		Kind, Type, Recipient, URL string
		WebhooksPending            int
	}
}

// await waits until the message has an event of the kind.
func (b *bench) await(id, kind string) {
	b.t.Helper()
	b.until(id, func(m message) bool {
		for _, e := range m.Events {
			if e.Kind == kind {
				return true
			}
		}
		return false
	})
}

// settled waits until all webhooks have taken, or will never take, the message's events.
func (b *bench) settled(id string) {
	b.t.Helper()
	b.until(id, func(m message) bool {
		for _, e := range m.Events {
			if e.WebhooksPending > 0 {
				return false
			}
		}
		return len(m.Events) > 0
	})
}

// until asks for the message until it is as wanted.
func (b *bench) until(id string, wanted func(message) bool) {
	b.t.Helper()
	deadline := time.After(patience)
	for m := b.message(id); !wanted(m); m = b.message(id) {
		select {
		case <-time.After(time.Millisecond): // the sandbox needs the processor more
		case <-deadline:
			b.t.Fatalf("not as wanted: %+v", m)
		}
	}
}
