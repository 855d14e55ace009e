package ses

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// verdict is what a type of error means for a message.
type verdict struct {
	class  provider.Class
	sender bool // Account, because of the message's sender
}

var (
	rejected  = verdict{class: provider.Rejected}
	throttled = verdict{class: provider.Throttled}
	account   = verdict{class: provider.Account}
	ofSender  = verdict{class: provider.Account, sender: true}
	transient = verdict{class: provider.Transient}
	unclear   = verdict{class: provider.Ambiguous}
)

// errorTypes judges SES's types of errors, without an "Exception" at their ends. Those that are not here are judged by their HTTP status.
// The words of a few decide before that, see wordings.
var errorTypes = map[string]verdict{
	"Throttling":      throttled,
	"TooManyRequests": throttled,

	"LimitExceeded":                account, // of sending: a quota
	"AccountSuspended":             account,
	"AccountSendingPaused":         account,
	"SendingPaused":                account, // of the account, or of the configuration set
	"AccessDenied":                 account,
	"UnrecognizedClient":           account,
	"InvalidClientTokenId":         account,
	"InvalidSignature":             account,
	"SignatureDoesNotMatch":        account,
	"IncompleteSignature":          account,
	"MissingAuthenticationToken":   account,
	"ExpiredToken":                 account,
	"RequestExpired":               account,
	"OptInRequired":                account,
	"NotAuthorized":                account,
	"NotFound":                     account, // the configuration set, which is ours to make
	"ConfigurationSetDoesNotExist": account,

	"MailFromDomainNotVerified": ofSender,

	"MessageRejected":       rejected, // for its content
	"BadRequest":            rejected,
	"Validation":            rejected,
	"ValidationError":       rejected,
	"RequestEntityTooLarge": rejected,

	"RequestTimeout":         transient,
	"ServiceUnavailable":     transient,
	"ConcurrentModification": transient, // refused before anything was done

	"InternalFailure":      unclear,
	"InternalServiceError": unclear,
	"InternalServerError":  unclear,
}

// wordings are errors whose words say more than their type.
var wordings = []struct {
	types string // those that may say it, separated by spaces; "" for all
	words *regexp.Regexp
	verdict
}{
	{"Throttling TooManyRequests", regexp.MustCompile(`(?i)daily (message|sending) quota`), account},
	{"MessageRejected BadRequest", regexp.MustCompile(`(?i)not verified`), ofSender},
	{"NotFound", regexp.MustCompile(`(?i)template`), rejected},
	{"BadRequest MessageRejected Validation ValidationError", regexp.MustCompile(`(?i)configuration set\b.*\b(does not exist|not found)`), account},
}

// skewed are the words of a request whose time is not AWS's.
var skewed = regexp.MustCompile(`(?i)signature (expired|not yet current)|request has expired|clock`)

// clockHint goes with them: what looks like a wrong key is then a wrong clock.
const clockHint = " (check this machine's clock: AWS refuses requests that are more than a few minutes off)"

// problem is what SES says of a request that it refuses.
type problem struct {
	Kind    string // the type of the error, without an "Exception" at its end
	Message string
}

// problemOf reads SES's words for a refusal; a zero problem when there are none.
func problemOf(ans httpcall.Answer) problem {
	var body struct {
		Type    string `json:"__type"`
		Message string `json:"message"` // or Message
	}
	if err := json.Unmarshal(ans.Body, &body); err != nil {
		body.Type, body.Message = "", ""
	}
	p := problem{Kind: kindOf(ans.Header.Get("X-Amzn-Errortype")), Message: body.Message}
	if p.Kind == "" {
		p.Kind = kindOf(body.Type)
	}
	return p
}

// kindOf takes a type out of what stands around it: "com.amazonaws.ses#MessageRejected:http://...".
func kindOf(name string) string {
	name, _, _ = strings.Cut(name, ":")
	name = name[strings.LastIndexByte(name, '#')+1:]
	return provider.Clean(strings.TrimSuffix(strings.TrimSpace(name), "Exception"), maxID)
}

// verdict judges a refusal by its type and words; ok is false when SES says neither anything that is known.
func (p problem) verdict() (v verdict, ok bool) {
	for _, w := range wordings {
		for kind := range strings.FieldsSeq(w.types) {
			if kind == p.Kind && w.words.MatchString(p.Message) {
				return w.verdict, true
			}
		}
	}
	v, ok = errorTypes[p.Kind]
	return v, ok
}

// judge turns the answer to a send into its outcome.
func (a *Adapter) judge(ans httpcall.Answer, t *target) provider.Outcome {
	if ans.Status == 0 {
		return ans.Unanswered(t.redact)
	}
	if ans.Status == http.StatusOK {
		return accepted(ans, t)
	}
	p := problemOf(ans)
	v, known := p.verdict()
	out := provider.Outcome{HTTPStatus: ans.Status, Class: httpcall.StatusClass(ans.Status), Code: p.Kind}
	switch {
	case known && v.class == provider.Rejected && ans.Err != nil:
		out.Class = provider.Transient // refused, but its words, which may say that it is not the message, are lost
	case known && (ans.Status < 500 || v.class == provider.Transient || v.class == provider.Throttled):
		out.Class, out.SenderOnly = v.class, v.sender
	case p.Kind == "" && ans.Err != nil && ans.Status < 500 && !selfEvident(ans.Status):
		out.Class = provider.Ambiguous
	}
	if out.Text = t.words(p.Message); out.Text == "" {
		out.Text = t.wordless(ans)
	} else if skewed.MatchString(p.Message) && out.Class == provider.Account {
		out.Text = provider.Clean(out.Text, provider.MaxText-len(clockHint)) + clockHint
	}
	if out.Class == provider.Throttled {
		out.RetryAfter = httpcall.RetryAfter(ans.Header.Get("Retry-After"), a.Now()) // SES has none of its own
	}
	return out
}

// selfEvident are the statuses that decide without the body, even when it is cut short.
func selfEvident(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false
}

// accepted reads a 200: without SES's id of the message nobody knows whether it was SES that answered.
func accepted(ans httpcall.Answer, t *target) provider.Outcome {
	out := provider.Outcome{Class: provider.Ambiguous, HTTPStatus: ans.Status}
	var body struct {
		MessageID string `json:"MessageId"`
	}
	if ans.Err == nil && json.Unmarshal(ans.Body, &body) == nil {
		out.ProviderMessageID = provider.Clean(t.redact(body.MessageID), maxID)
	}
	if out.ProviderMessageID == "" {
		out.Text = "the answer does not say whether the message was accepted"
		if ans.Err != nil {
			out.Text = t.wordless(ans)
		}
		return out
	}
	out.Class = provider.Accepted
	return out
}

// wordless describes an answer without words of Amazon's.
func (t *target) wordless(ans httpcall.Answer) string {
	if ans.Err != nil {
		return t.words(fmt.Sprintf("HTTP %d, then %v", ans.Status, ans.Err))
	}
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", ans.Status, http.StatusText(ans.Status))) + ", without a word of Amazon's"
}

// Caps on single values, in bytes.
const (
	maxID      = 200
	maxAddress = 320
	maxField   = 512
	maxLong    = 2048
)
