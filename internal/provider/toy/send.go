package toy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

// message is one on the wire. Our ids come back in its events.
type message struct {
	ID      string   `json:"id"`
	TPSP    int32    `json:"tpsp"`
	From    string   `json:"from"`
	To      string   `json:"to"`
	Copies  []string `json:"copies,omitempty"`
	Subject string   `json:"subject"`
	HTML    string   `json:"html,omitempty"`
	Text    string   `json:"text,omitempty"`
}

// result is what became of a message.
type result struct {
	ID    string `json:"id"`    // the provider's
	Error string `json:"error"` // why it does not take the message
}

// Send implements provider.Adapter: a batch is one call.
func (a *Adapter) Send(ctx context.Context, conn provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	outcomes := make([]provider.Outcome, len(batch))
	if len(batch) == 0 {
		return outcomes
	}
	if err := ctx.Err(); err != nil {
		return fill(outcomes, provider.Outcome{Class: provider.Transient, Unsent: true, Text: "not sent: " + err.Error()})
	}
	messages := make([]message, len(batch))
	for i := range batch {
		messages[i] = encode(&batch[i])
	}
	body, err := json.Marshal(messages)
	if err != nil {
		return fill(outcomes, provider.Outcome{Class: provider.Rejected, WholeCall: len(batch) > 1, Text: provider.Clean(err.Error(), provider.MaxText)})
	}
	answer := a.call(ctx, conn, http.MethodPost, "/messages", body)
	redact := func(text string) string {
		return provider.Clean(httpcall.Redact(text, conn.Key.Reveal()), provider.MaxText)
	}
	switch {
	case answer.Status == 0:
		return fill(outcomes, answer.Unanswered(redact))
	case answer.Status != http.StatusOK:
		return fill(outcomes, a.refused(answer, len(batch), redact))
	}
	var results []result
	if err := json.Unmarshal(answer.Body, &results); answer.Err != nil || err != nil || len(results) != len(batch) {
		return fill(outcomes, provider.Outcome{Class: provider.Ambiguous, HTTPStatus: answer.Status, Text: "the answer has no result for each message"})
	}
	for i, r := range results {
		outcomes[i] = provider.Outcome{Class: provider.Accepted, HTTPStatus: answer.Status, ProviderMessageID: redact(r.ID)}
		switch {
		case r.Error == "suppressed":
			outcomes[i] = provider.Outcome{Class: provider.Inactive, HTTPStatus: answer.Status, Code: r.Error, Text: "the provider suppresses the address",
				InactiveAddresses: []string{batch[i].Recipient.Email}}
		case r.Error != "":
			outcomes[i] = provider.Outcome{Class: provider.Rejected, HTTPStatus: answer.Status, Text: redact(r.Error)}
		case r.ID == "":
			outcomes[i] = provider.Outcome{Class: provider.Ambiguous, HTTPStatus: answer.Status, Text: "the answer does not say whether it has the message"}
		}
	}
	return outcomes
}

// fill gives all messages of a call one outcome.
func fill(outcomes []provider.Outcome, o provider.Outcome) []provider.Outcome {
	for i := range outcomes {
		outcomes[i] = o
	}
	return outcomes
}

// refused judges an answer about a whole call by its status.
func (a *Adapter) refused(answer httpcall.Answer, n int, redact func(string) string) provider.Outcome {
	o := provider.Outcome{Class: httpcall.StatusClass(answer.Status), HTTPStatus: answer.Status,
		Text: cmp.Or(redact(string(answer.Body)), fmt.Sprintf("HTTP %d", answer.Status))}
	if o.Class == provider.Throttled {
		o.RetryAfter = httpcall.RetryAfter(answer.Header.Get("Retry-After"), a.Now())
	}
	o.WholeCall = n > 1 && o.Class == provider.Rejected
	return o
}

func encode(out *provider.Outgoing) message {
	c := out.Content
	m := message{ID: out.ID.String(), TPSP: out.TPSPID, From: c.From.Email, To: out.Recipient.Email, Subject: c.Subject, HTML: mail.WithPreheader(c.HTML, c.PreText), Text: c.Text}
	for _, list := range [][]mail.Address{out.Recipient.CC, out.Recipient.BCC} {
		for _, copied := range list {
			m.Copies = append(m.Copies, copied.Email)
		}
	}
	return m
}

// call makes one call.
func (a *Adapter) call(ctx context.Context, conn provider.Connection, method, path string, body []byte) httpcall.Answer {
	base, err := httpcall.BaseURL(conn.Endpoint, "")
	if err == nil && base == "" {
		err = &httpcall.SettingError{Code: "missing_endpoint", Field: provider.FieldEndpoint, Text: "the endpoint is missing"}
	}
	if err != nil {
		return httpcall.Answer{Err: err}
	}
	key, err := httpcall.Token(conn.Key.Reveal(), "API key")
	if err != nil {
		return httpcall.Answer{Err: err}
	}
	header := http.Header{"Authorization": {"Bearer " + key}, "Accept": {"application/json"}}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	return httpcall.Do(ctx, a.Transport, httpcall.Call{Method: method, URL: base + path, Header: header, Body: body})
}
