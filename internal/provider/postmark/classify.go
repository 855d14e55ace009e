package postmark

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
	"postyard/internal/quickjson"
)

// verdict is what an ErrorCode means for a message.
type verdict struct {
	class     provider.Class
	sender    bool // Account, because of the message's sender
	elsewhere bool // another provider may have what this one lacks
}

// errorCodes judges Postmark's ErrorCodes, as an item of a batch or for a whole call. Codes that are not here are about
// other calls, or new: with a 4xx status, or in an item, they reject the message.
var errorCodes = map[int]verdict{
	10:   {class: provider.Account},                   // no valid token
	11:   {class: provider.Rejected},                  // several fields are invalid
	100:  {class: provider.Transient},                 // maintenance
	101:  {class: provider.Ambiguous},                 // fault inside Postmark
	300:  {class: provider.Rejected},                  // a field is invalid
	400:  {class: provider.Account, sender: true},     // sender signature not found
	401:  {class: provider.Account, sender: true},     // sender signature not confirmed
	402:  {class: provider.Rejected},                  // malformed JSON
	403:  {class: provider.Rejected},                  // a field has the wrong type
	405:  {class: provider.Account},                   // out of credits, or not allowed to send
	406:  {class: provider.Inactive},                  // every recipient is suppressed
	409:  {class: provider.Rejected},                  // not sent as JSON
	410:  {class: provider.Rejected},                  // more than 500 messages
	411:  {class: provider.Rejected},                  // forbidden attachment
	412:  {class: provider.Account, sender: true},     // account awaits approval
	413:  {class: provider.Account},                   // account not approved
	422:  {class: provider.Account},                   // no valid server or account
	429:  {class: provider.Throttled},                 // rate limit
	614:  {class: provider.Account},                   // the plan does not include this
	1101: {class: provider.Rejected, elsewhere: true}, // no such template
	1109: {class: provider.Rejected},                  // no template data
	1120: {class: provider.Rejected},                  // a required field is missing: TemplateModel
	1121: {class: provider.Rejected},                  // a field is too long
	1122: {class: provider.Rejected},                  // a field is invalid: reserved key in the model
	1123: {class: provider.Rejected},                  // fields that exclude each other
	1226: {class: provider.Account},                   // no such stream
	1235: {class: provider.Account},                   // no such stream on this server
	1236: {class: provider.Account},                   // the stream cannot send
	1480: {class: provider.Account},                   // our IP address is not on the account's list
}

// selfEvident are the statuses that decide without the body, even when it is cut short.
func selfEvident(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests,
		http.StatusServiceUnavailable:
		return true
	}
	return false
}

// result is one message's part of an answer, and the shape of an error body.
type result struct {
	MessageID string
	ErrorCode *int // absent in a degraded mode of Postmark's: then 0
	Message   string
}

func (r result) code() int {
	if r.ErrorCode == nil {
		return 0
	}
	return *r.ErrorCode
}

var resultKeys = []string{"To", "SubmittedAt", "MessageID", "ErrorCode", "Message"}

// read reads a result as it usually is, and leaves all else to encoding/json.
func (r *result) read(text []byte) bool {
	whole := true
	in := quickjson.New(text)
	in.Object(resultKeys, func(i int) {
		switch i {
		case 2:
			in.String(&r.MessageID)
		case 3:
			code, err := strconv.Atoi(string(in.Raw()))
			r.ErrorCode, whole = &code, err == nil
		case 4:
			in.String(&r.Message)
		default:
			in.Raw()
		}
	})
	if whole && in.Done() {
		return true
	}
	*r = result{}
	return json.Unmarshal(text, r) == nil
}

// accepts tells whether a result without an error says that Postmark has the message. An empty object says nothing.
func (r result) accepts() bool {
	if r.code() != 0 {
		return false
	}
	return r.ErrorCode != nil || r.MessageID != "" || acceptedText.MatchString(r.Message)
}

// acceptedText knows "OK", "Message OK, but ...", "Test job accepted", "Message accepted, but delivery may be delayed.".
var acceptedText = regexp.MustCompile(`(?i)^ok\b|^message ok\b|\baccepted\b`)

// refused reads the error body of an answer; the header repeats the code and stands in for an unreadable body.
func (a answer) refused() result {
	var r result
	if err := json.Unmarshal(a.Body, &r); err != nil {
		r = result{}
	}
	if r.code() == 0 {
		if code, err := strconv.Atoi(a.Header.Get(errorCodeHeader)); err == nil {
			r.ErrorCode = &code
		}
	}
	return r
}

// judge turns the answer to a call with n messages into n outcomes.
func (a *Adapter) judge(ans answer, n int, key string) []provider.Outcome {
	if ans.Status == http.StatusOK && ans.Err == nil {
		if outcomes, ok := a.judgeResults(ans, n, key); ok {
			return outcomes
		}
	}
	whole := a.judgeCall(ans, n, key)
	outcomes := make([]provider.Outcome, n)
	for i := range outcomes {
		outcomes[i] = whole
	}
	return outcomes
}

// judgeResults reads the results of a 200. It is not ok when they cannot be matched with the messages: Postmark's results
// are matched by position, so positions must be beyond doubt.
func (a *Adapter) judgeResults(ans answer, n int, key string) ([]provider.Outcome, bool) {
	items := []json.RawMessage{ans.Body}
	if n > 1 {
		items = nil
		list := quickjson.New(ans.Body)
		quickjson.List(list, &items, func(item *json.RawMessage) { *item = list.Raw() })
		if !list.Done() {
			items = nil
			if err := json.Unmarshal(ans.Body, &items); err != nil {
				return nil, false
			}
		}
		if len(items) != n {
			return nil, false
		}
	}
	outcomes := make([]provider.Outcome, n)
	for i, item := range items {
		outcomes[i] = a.judgeItem(ans, item, key)
	}
	return outcomes, true
}

func (a *Adapter) judgeItem(ans answer, item []byte, key string) provider.Outcome {
	var r result
	out := provider.Outcome{Class: provider.Ambiguous, HTTPStatus: ans.Status}
	if !r.read(item) {
		out.Text = "the answer is not what Postmark says of a message"
		return out
	}
	switch {
	case r.accepts():
		out.Class = provider.Accepted
		out.ProviderMessageID = provider.Clean(httpcall.Redact(r.MessageID, key), maxID)
	case r.code() == 0:
		out.Text = "the answer does not say whether the message was accepted"
		return out
	default:
		v := verdictOf(r.code())
		out.Class, out.SenderOnly, out.Elsewhere = v.class, v.sender, v.elsewhere
		out.Code = strconv.Itoa(r.code())
	}
	a.fill(&out, ans, r, key)
	return out
}

// judgeCall classifies what became of every message of a call that gave no result for each.
func (a *Adapter) judgeCall(ans answer, n int, key string) provider.Outcome {
	if ans.Status == 0 {
		return ans.Unanswered(func(text string) string { return httpcall.Redact(text, key) })
	}
	r := ans.refused()
	out := provider.Outcome{HTTPStatus: ans.Status, Class: httpcall.StatusClass(ans.Status)}
	if r.code() != 0 {
		out.Code = strconv.Itoa(r.code())
	}
	switch {
	case ans.Status >= 500:
		if v, ok := errorCodes[r.code()]; ok && (v.class == provider.Transient || v.class == provider.Ambiguous) {
			out.Class = v.class
		}
	case selfEvident(ans.Status):
	case r.code() != 0:
		v := verdictOf(r.code())
		out.Class, out.SenderOnly, out.Elsewhere = v.class, v.sender, v.elsewhere
	case ans.Err != nil:
		out.Class = provider.Ambiguous
	}
	a.fill(&out, ans, r, key)
	if n > 1 && (out.Class == provider.Rejected || out.Class == provider.Inactive) {
		// One of them is to blame, and nobody knows which: smaller batches find out.
		out.Class, out.WholeCall, out.InactiveAddresses = provider.Rejected, true, nil
	}
	return out
}

func verdictOf(code int) verdict {
	if v, ok := errorCodes[code]; ok {
		return v
	}
	return verdict{class: provider.Rejected}
}

// fill adds the words and what they tell.
func (a *Adapter) fill(out *provider.Outcome, ans answer, r result, key string) {
	out.Text = provider.Clean(httpcall.Redact(r.Message, key), provider.MaxText)
	switch {
	case out.Text != "":
	case ans.Err != nil:
		out.Text = provider.Clean(httpcall.Redact(fmt.Sprintf("HTTP %d, then %v", ans.Status, ans.Err), key), provider.MaxText)
	case out.Class != provider.Accepted:
		out.Text = strings.TrimSpace(fmt.Sprintf("HTTP %d %s", ans.Status, http.StatusText(ans.Status))) +
			", without a word of Postmark's"
	}
	if out.Class == provider.Throttled {
		out.RetryAfter = httpcall.RetryAfter(ans.Header.Get("Retry-After"), a.now())
	}
	if out.Class == provider.Accepted || out.Class == provider.Inactive {
		out.InactiveAddresses = inactiveAddresses(r.Message)
	}
}

// inactiveList finds the list in both of Postmark's texts, whose wording has changed before: "Found inactive addresses:
// a@x.com, b@x.com. Inactive recipients are ..." and "... these inactive addresses: a@x.com".
var (
	inactiveList  = regexp.MustCompile(`(?is)inactive (?:email )?(?:address(?:es)?|recipients?)\s*:\s*(.+)`)
	listedAddress = regexp.MustCompile(`[^\s,;:<>"'()\[\]]+@[^\s,;:<>"'()\[\]@]+`)
)

const maxInactive = 50 // as many as one message can have

// inactiveAddresses reads which recipients a text calls inactive, nil when it speaks of none.
func inactiveAddresses(text string) []string {
	const most = 64 << 10
	list := text[:min(len(text), most)]
	if !strings.Contains(strings.ToLower(list), "inactive") {
		return nil
	}
	if match := inactiveList.FindStringSubmatch(list); match != nil {
		list, _, _ = strings.Cut(match[1], " Inactive ")
	}
	var addresses []string
	for _, found := range listedAddress.FindAllString(list, maxInactive) {
		if address := provider.Clean(strings.TrimRight(found, "."), maxAddress); address != "" {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// Caps on single values, in bytes.
const (
	maxID      = 100
	maxAddress = 320
)
