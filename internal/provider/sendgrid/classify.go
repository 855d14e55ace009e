package sendgrid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// fault is one entry of an error body.
type fault struct {
	Message string `json:"message"`
	Field   string `json:"field"`
}

// mostFaults is how many entries of an error body are read.
const mostFaults = 20

// faults reads an error body: {"errors":[{"message","field","help"}]}. What is not that says nothing.
func faults(body []byte) (list []fault) {
	var b struct{ Errors []json.RawMessage }
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	for _, item := range b.Errors[:min(len(b.Errors), mostFaults)] {
		var f fault
		_ = json.Unmarshal(item, &f) // a field of another type, as null is in places, leaves the others readable
		if f.Message != "" {
			list = append(list, f)
		}
	}
	return list
}

// words joins the messages of an error body, secrets removed, in at most provider.MaxText bytes.
func words(list []fault, key string) string {
	texts := make([]string, 0, len(list))
	for _, f := range list {
		text := f.Message
		if f.Field != "" && !strings.Contains(text, f.Field) {
			text += " (" + f.Field + ")"
		}
		texts = append(texts, text)
	}
	return provider.Clean(httpcall.Redact(strings.Join(texts, "; "), key), provider.MaxText)
}

// says tells whether one of the messages has a text in it, in whatever case.
func says(list []fault, text string) bool {
	for _, f := range list {
		if strings.Contains(strings.ToLower(f.Message), text) {
			return true
		}
	}
	return false
}

// SendGrid's words that decide more than the status does.
const (
	outOfCredits   = "credits exceeded"         // 401 "Maximum credits exceeded"
	blocked        = "too many bad requests"    // 403 "too many bad requests, temporary block": it passes
	senderIdentity = "verified sender identity" // 403 "The from address does not match a verified Sender Identity. ..."
)

// poolField is the request's field that is to blame when SendGrid has no such IP pool.
const poolField = "ip_pool_name"

// selfEvident are the statuses that decide without the body, even when it is cut short.
func selfEvident(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// judge says what became of every message of a call with n of them.
func (a *Adapter) judge(ans httpcall.Answer, n int, key string) provider.Outcome {
	if ans.Status == 0 {
		return ans.Unanswered(func(text string) string { return httpcall.Redact(text, key) })
	}
	out := provider.Outcome{HTTPStatus: ans.Status, Class: httpcall.StatusClass(ans.Status)}
	if ans.Status == http.StatusAccepted {
		return a.judgeAccepted(ans, out, key)
	}
	list := faults(ans.Body)
	switch {
	case ans.Status >= 500:
	case ans.Err != nil && !selfEvident(ans.Status):
		out.Class = provider.Ambiguous
	case ans.Status >= 400 && says(list, senderIdentity):
		out.Class, out.SenderOnly = provider.Account, true
	case ans.Status >= 400 && says(list, outOfCredits):
		out.Class = provider.Account
	case ans.Status == http.StatusRequestEntityTooLarge:
		out.Elsewhere = true // what another provider takes is another matter
	case ans.Status == http.StatusBadRequest:
		out.Elsewhere = len(list) > 0 && list[0].Field == poolField
	}
	if out.Text = words(list, key); out.Text == "" {
		out.Text = a.silence(ans, key)
	}
	if out.Class == provider.Throttled {
		out.RetryAfter = a.retryAfter(ans.Header)
	}
	if n > 1 && out.Class == provider.Rejected {
		// One of them is to blame, and nobody knows which: smaller calls find out.
		out.WholeCall, out.Elsewhere = true, false
	}
	return out
}

// judgeAccepted judges a 202, which has an empty body and names the messages in a header. Without the name it is SendGrid's all the same,
// unless there is a body: then it is another service's.
func (a *Adapter) judgeAccepted(ans httpcall.Answer, out provider.Outcome, key string) provider.Outcome {
	out.ProviderMessageID = messageName(httpcall.Redact(ans.Header.Get("X-Message-Id"), key))
	if out.ProviderMessageID == "" && (ans.Err != nil || len(bytes.TrimSpace(ans.Body)) > 0) {
		out.Class, out.Text = provider.Ambiguous, "HTTP 202, but the answer is not SendGrid's; is the endpoint right?"
		return out
	}
	out.Class = provider.Accepted
	return out
}

// silence describes an answer in which SendGrid says nothing.
func (*Adapter) silence(ans httpcall.Answer, key string) string {
	if ans.Err != nil {
		return provider.Clean(httpcall.Redact(fmt.Sprintf("HTTP %d, then %v", ans.Status, ans.Err), key), provider.MaxText)
	}
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", ans.Status, http.StatusText(ans.Status))) + ", without a word of SendGrid's"
}

// retryAfter reads how long SendGrid wants to be left alone: Retry-After, else X-RateLimit-Reset, a Unix time in seconds; 0 when it does
// not say.
func (a *Adapter) retryAfter(h http.Header) time.Duration {
	if wait := httpcall.RetryAfter(h.Get("Retry-After"), a.now()); wait > 0 {
		return wait
	}
	reset, err := strconv.ParseInt(strings.TrimSpace(h.Get("X-RateLimit-Reset")), 10, 64)
	if err != nil || reset <= 0 || reset >= maxUnix {
		return 0
	}
	return httpcall.Until(time.Unix(reset, 0), a.now())
}

// maxUnix is the year 2200, in seconds: what is later is no time.
const maxUnix = 7_258_118_400

// messageName returns the part of a message id that a call's answer and the events about its messages have in common: what stands before
// the first dot.
func messageName(id string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(id), ".")
	return provider.Clean(name, maxID)
}
