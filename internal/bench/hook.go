package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"postyard/internal/client"
)

// hooks is a receiver of webhooks: it verifies every signature, and notes every event by its number in the log.
type hooks struct {
	server *http.Server
	ended  chan error
	ways   []*way
}

// way is one webhook. Of an event it keeps how often it came.
type way struct {
	key      []byte
	problems *problems

	mu     sync.Mutex
	times  []uint8 // by number
	events int
	again  int // calls for what had come
}

// hook makes so many webhooks, which get every event.
func (s *stage) hook(ctx context.Context, n int, p *problems) (_ *hooks, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	h := &hooks{ended: make(chan error, 1)}
	mux := http.NewServeMux()
	for i := range n {
		w := client.Webhook{URL: fmt.Sprintf("http://%s/%d", listener.Addr(), i), Enabled: true}
		for _, t := range w.Toggles() {
			*t.On = true
		}
		made, err := s.api.CreateWebhook(ctx, w)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make a webhook: %w", err), listener.Close())
		}
		text, err := s.api.WebhookSecret(ctx, made.ID, false)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read a webhook's secret: %w", err), listener.Close())
		}
		one := &way{problems: p}
		if one.key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(text.Secret, "whsec_")); err != nil {
			return nil, errors.Join(fmt.Errorf("read a webhook's secret: %w", err), listener.Close())
		}
		h.ways = append(h.ways, one)
		mux.Handle(fmt.Sprintf("/%d", i), one)
	}
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { h.ended <- h.server.Serve(listener) }()
	return h, nil
}

func (h *hooks) close() error {
	if h == nil {
		return nil
	}
	err := h.server.Close()
	if ended := <-h.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// bodies are buffers of calls.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (w *way) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(r.Body); err != nil {
		w.problems.note("a webhook could not be read: " + err.Error())
		return
	}
	id := r.Header.Get("Webhook-Id")
	mac := hmac.New(sha256.New, w.key)
	_, _ = mac.Write([]byte(id + "." + r.Header.Get("Webhook-Timestamp") + ".")) // never fails
	_, _ = mac.Write(body.Bytes())
	number, err := eventNumber(id)
	switch {
	case !hmac.Equal([]byte("v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("Webhook-Signature"))):
		w.problems.note("a webhook's signature does not fit: " + id)
		return
	case err != nil || !bytes.HasPrefix(body.Bytes(), []byte(`{"event":{"eventID":"`+id+`"`)):
		w.problems.note("a webhook is about another event than it says: " + id)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.times) <= number {
		w.times = append(w.times, 0)
	}
	if w.times[number]++; w.times[number] == 1 {
		w.events++
	} else {
		w.again++
	}
}

// eventNumber reads the number of an event in the log from its id.
func eventNumber(id string) (int, error) {
	_, digits, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(digits, 16, 31)
	return int(n), err
}

// count returns how many events came, by the webhook that got the fewest.
func (h *hooks) count() int {
	least := -1
	for _, w := range h.ways {
		w.mu.Lock()
		if least < 0 || w.events < least {
			least = w.events
		}
		w.mu.Unlock()
	}
	return least
}

// awaitHooks waits until every webhook has got so many events, or gets no more, and returns when that was.
func (r *run) awaitHooks(h *hooks, n int) (moment, error) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last := -1
	for moved := time.Now(); ; {
		now, have := r.now(), h.count()
		if have >= n || now.at.Sub(moved) > patience {
			return now, nil
		}
		if have != last {
			last, moved = have, now.at
		}
		select {
		case <-ticker.C:
		case <-r.ctx.Done():
			return moment{}, r.ctx.Err()
		}
	}
}

// checkHooks looks for every event of the log at every webhook.
func (r *run) checkHooks(h *hooks) error {
	for _, w := range h.ways {
		w.mu.Lock()
		r.result.Webhooks += w.events + w.again
		r.result.WebhooksAgain += w.again
		w.mu.Unlock()
	}
	return r.stage.api.EachEvent(r.ctx, "69,70,71,72,73,74,75,76,77,78,1", func(e *client.Event) {
		number, err := eventNumber(e.EventID)
		for _, w := range h.ways {
			w.mu.Lock()
			if err != nil || number >= len(w.times) || w.times[number] == 0 {
				r.result.Lost++
				r.problems.note("a webhook did not get " + e.EventID)
			}
			w.mu.Unlock()
		}
	})
}
