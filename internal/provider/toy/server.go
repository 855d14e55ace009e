package toy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server plays one account of the provider, for tests. It is safe for concurrent use.
type Server struct {
	Key     string
	Refused map[string]bool // recipients that it does not take

	mu     sync.Mutex
	next   int
	hooks  []webhook
	writes int
	mails  []message
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil || r.Header.Get("Authorization") != "Bearer "+s.Key {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/messages":
		s.take(w, body)
	case r.Method == http.MethodGet && r.URL.Path == "/hooks":
		answer(w, slices.Clone(s.hooks))
	default:
		s.change(w, r, body)
	}
}

// take takes messages.
func (s *Server) take(w http.ResponseWriter, body []byte) {
	var list []message
	if err := json.Unmarshal(body, &list); err != nil {
		http.Error(w, "that is no list of messages", http.StatusBadRequest)
		return
	}
	results := make([]result, len(list))
	for i, m := range list {
		if s.Refused[m.To] {
			results[i].Error = "no such recipient"
			continue
		}
		s.next++
		results[i].ID = "toy-" + strconv.Itoa(s.next)
		s.mails = append(s.mails, m)
	}
	answer(w, results)
}

// change changes the webhooks.
func (s *Server) change(w http.ResponseWriter, r *http.Request, body []byte) {
	s.writes++
	id, _ := strings.CutPrefix(r.URL.Path, "/hooks/")
	at := slices.IndexFunc(s.hooks, func(h webhook) bool { return h.ID == id })
	var h webhook
	if err := json.Unmarshal(body, &h); err != nil && r.Method != http.MethodDelete {
		http.Error(w, "that is no webhook", http.StatusBadRequest)
		return
	}
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/hooks":
		answer(w, s.add(h))
	case r.Method == http.MethodPut && at >= 0:
		h.ID = id
		s.hooks[at] = h
		answer(w, h)
	case r.Method == http.MethodDelete:
		s.hooks = slices.DeleteFunc(s.hooks, func(h webhook) bool { return h.ID == id })
		answer(w, struct{}{})
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) add(h webhook) webhook {
	s.next++
	h.ID = strconv.Itoa(s.next)
	s.hooks = append(s.hooks, h)
	return h
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // it is the caller who misses it
}

// Mails returns our ids of the messages that it took.
func (s *Server) Mails() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.mails {
		ids = append(ids, m.ID)
	}
	return ids
}

// Report tells every webhook that something happened to a message, by our id of it, in one of the provider's words.
func (s *Server) Report(ctx context.Context, client *http.Client, id, word string) error {
	s.mu.Lock()
	at := slices.IndexFunc(s.mails, func(m message) bool { return m.ID == id })
	if at < 0 {
		s.mu.Unlock()
		return fmt.Errorf("there is no message %s", id)
	}
	m, hooks := s.mails[at], slices.Clone(s.hooks)
	s.next++
	body, err := json.Marshal([]item{{ID: strconv.Itoa(s.next), Word: word, Message: m.ID, TPSP: m.TPSP, Recipient: m.To, At: time.Now().UTC()}})
	s.mu.Unlock()
	for _, h := range hooks {
		if err == nil && h.Enabled {
			err = deliver(ctx, client, h, body)
		}
	}
	return err
}

func deliver(ctx context.Context, client *http.Client, h webhook, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(signatureHeader, sign(h.Proof, body))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the webhook answers HTTP %d", res.StatusCode)
	}
	return nil
}
