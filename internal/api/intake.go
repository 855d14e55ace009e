package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postyard/internal/accept"
	"postyard/internal/directory"
	"postyard/internal/mail"
)

// Headers of requests that send, and of their answers.
const (
	idempotencyKey     = "Idempotency-Key"
	idempotentReplayed = "Idempotent-Replayed" // of an answer that is a former one
	poolHeader         = "X-Ippool"            // the IP pool, for clients that can add a header but nothing to the body
	messageIDHeader    = "X-Message-Id"
)

const maxIdempotencyKey = 255

// intakeOperations are those that take mail in the shapes of other vendors' APIs.
func (s *server) intakeOperations(v1 string) []operation {
	list := []operation{
		op(http.MethodPost, "/v1/sendgrid/v3/mail/send", subAccountKey, "send an email in SendGrid's form",
			s.forIntake(failAsSendGrid, s.sendGridSend)).body(sendGridRequest{}).answers(http.StatusAccepted, nil),
		op(http.MethodPost, v1+"/subaccount/email/ses/v1", subAccountKey, "send an email in the form of Amazon SES, version 1 (JSON, or a form)",
			s.forIntake(failAsSES, s.sesV1Send)).body(sesV1Request{}).file("application/x-www-form-urlencoded").answers(http.StatusOK, sesAnswer{}),
		op(http.MethodPost, v1+"/subaccount/email/ses/v2", subAccountKey, "send an email in the form of Amazon SES, version 2",
			s.forIntake(failAsSES, s.sesV2Send)).body(sesV2Request{}).answers(http.StatusOK, sesAnswer{}),
		op(http.MethodPost, v1+"/subaccount/email/ses/v2/v2/email/outbound-emails", subAccountKey, "the same, where SES's own clients look for it",
			s.forIntake(failAsSES, s.sesV2Send)).body(sesV2Request{}).answers(http.StatusOK, sesAnswer{}),
	}
	for i := range list {
		list[i].foreign, list[i].quiet = true, true
	}
	return list
}

// forIntake is forSubAccount for clients of another vendor's API: the key may also come as a bearer token, and refusals have the shape that
// these clients read.
func (s *server) forIntake(fail func(w http.ResponseWriter, r *http.Request, p problem), h subAccountHandler) http.HandlerFunc {
	known := s.authenticated(h)
	return func(w http.ResponseWriter, r *http.Request) {
		if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") && apiKey(r, subAccountKey) == "" {
			r.Header[canonical[subAccountKey]] = []string{token}
		}
		if err := known(w, r); err != nil {
			p := s.problem(r, err)
			p.wait(w.Header())
			fail(w, r, p)
		}
	}
}

// mails is what an intake reads in a body.
type mails struct {
	requests []*accept.Request
	dry      bool // they are only checked

	// blame names what a field of one of the requests is in the body; nil: it has the same name.
	blame func(part int, field string) string
}

// blamed names the field to blame as the client knows it.
func (m *mails) blamed(err error) error {
	bad, ok := errors.AsType[*mail.FieldError](err)
	if !ok || m.blame == nil {
		return err
	}
	part := 0
	if p, ok := errors.AsType[*accept.PartError](err); ok {
		part = p.Part
	}
	return &mail.FieldError{Code: bad.Code, Field: m.blame(part, bad.Field), Message: bad.Message}
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
		return in.blamed(err)
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
		return in.blamed(err)
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
		return in.blamed(err)
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
