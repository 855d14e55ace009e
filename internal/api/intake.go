package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
)

// Headers of requests that send.
const (
	idempotencyKey      = "Idempotency-Key"
	idempotentReplayed  = "Idempotent-Replayed" // of an answer that is a former one
	maxIdempotencyKey   = 255
	poolHeader          = "X-Ippool" // the IP pool, for intakes whose bodies have no place for it
	messageIDHeader     = "X-Message-Id"
	jsonContent         = "application/json"
	maxRequestsInOne    = mail.MaxRecipients
	maxSubstitutedBytes = mail.MaxRequestBytes
)

// mails is what an intake reads in a body.
type mails struct {
	requests []*accept.Request
	dry      bool // they are only checked
}

// written is an answer before it is sent. Its JSON is what is kept under an idempotency key.
type written struct {
	Status    int    `json:"status"`
	Type      string `json:"type,omitempty"` // Content-Type; "" is JSON
	MessageID string `json:"messageId,omitempty"`
	Body      []byte `json:"body,omitempty"`
}

// An intake reads what it is sent, and writes what became of it.
type (
	reading func(r *http.Request, body []byte) (mails, error)
	writing func(r *http.Request, results []accept.Result) (written, error)
)

// takeIn takes mail in, whatever its wire format. A request with an idempotency key gets the answer that it got before, if it did.
func (s *server) takeIn(w http.ResponseWriter, r *http.Request, a *directory.SubAccount, read reading, write writing) error {
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, mail.MaxRequestBytes)
	if err != nil {
		return err
	}
	in, err := read(r, body)
	if err != nil {
		return err
	}
	if in.dry {
		return s.check(w, r, a, in, write)
	}
	if key != "" {
		return s.takeInOnce(w, r, a, key, body, in, write)
	}
	results, err := s.Sender.Accept(r.Context(), a, in.requests...)
	if err != nil {
		return err
	}
	out, err := write(r, results)
	if err == nil {
		out.send(w)
	}
	return err
}

// check answers as if nobody had been written to.
func (s *server) check(w http.ResponseWriter, r *http.Request, a *directory.SubAccount, in mails, write writing) error {
	if err := s.Sender.Check(r.Context(), a, in.requests...); err != nil {
		return err
	}
	out, err := write(r, nil)
	if err == nil {
		out.send(w)
	}
	return err
}

func (s *server) takeInOnce(w http.ResponseWriter, r *http.Request, a *directory.SubAccount, key string, body []byte, in mails, write writing) error {
	once := accept.Once{Key: key, Hash: hashOf(r, body), Answer: func(results []accept.Result) ([]byte, error) {
		out, err := write(r, results)
		if err != nil {
			return nil, err
		}
		return json.Marshal(&out)
	}}
	answer, again, err := s.Sender.AcceptOnce(r.Context(), a, once, in.requests...)
	if err != nil {
		return err
	}
	var out written
	if err := json.Unmarshal(answer, &out); err != nil {
		return fmt.Errorf("decode kept answer: %w", err)
	}
	if again {
		w.Header().Set(idempotentReplayed, "true")
	}
	out.send(w)
	return nil
}

// keyOf returns the request's idempotency key, "" when it has none.
func keyOf(r *http.Request) (string, error) {
	values := r.Header[idempotencyKey]
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", mail.Invalid("invalid_idempotency_key", idempotencyKey, "one key of 1 to %d printable ASCII characters is needed", maxIdempotencyKey)
	}
	return key, nil
}

// hashOf tells requests apart: by their path, by their body, and by what else says where their mail goes.
func hashOf(r *http.Request, body []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(strings.TrimRight(r.URL.Path, "/")), []byte(r.Header.Get(poolHeader)), body} {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash takes everything
		_, _ = h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// send writes the answer. That the client is gone is no error of ours.
func (o written) send(w http.ResponseWriter) {
	if o.MessageID != "" {
		w.Header().Set(messageIDHeader, o.MessageID)
	}
	if o.Type == "" && len(o.Body) > 0 {
		replyEncoded(w, o.Status, o.Body)
		return
	}
	replyAs(w, o.Status, o.Type, o.Body)
}

// replyAs answers with a body of a type; none when both are empty.
func replyAs(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	h["X-Content-Type-Options"] = contentTypeOptions
	h["Cache-Control"] = cacheControl
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
