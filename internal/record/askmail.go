package record

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postyard/internal/mail"
	"postyard/internal/provider"
)

const (
	codeNoStream = 1235
	codeInactive = 406
	pollEvery    = 2 * time.Second
)

// nonceKey is the metadata key by which mails of ours are known.
const nonceKey = "postyard-record"

// noStream is the id of a stream that nobody has.
const noStream = "postyard-record-none"

// plainMail is a mail to the recipient, with more fields.
func (a *asking) plainMail(about string, more map[string]any) map[string]any {
	m := map[string]any{
		"From": a.Sender, "To": a.Recipient, "MessageStream": a.Stream, "Subject": "Postyard asks Postmark: " + about,
		"TextBody":   "This mail was sent by postyard record, to find out " + about + ". Nothing needs to be done.\n",
		"TrackOpens": false, "TrackLinks": "None", "Metadata": map[string]string{nonceKey: a.nonce},
	}
	maps.Copy(m, more)
	return m
}

// send sends one mail and has its events counted as ours.
func (a *asking) send(ctx context.Context, purpose string, m map[string]any) (*exchange, error) {
	e, err := a.call(ctx, purpose, request{method: http.MethodPost, path: "/email", body: m})
	if err != nil {
		return e, err
	}
	a.expect(e.body)
	return e, nil
}

// expect takes the id out of a result.
func (a *asking) expect(result []byte) {
	var answer struct{ MessageID string }
	if json.Unmarshal(result, &answer) == nil && answer.MessageID != "" && a.listener != nil {
		a.listener.expect(answer.MessageID)
	}
}

// askInactive is question 3. It sends as our code does, so that its judgement is recorded with the answer.
func askInactive(ctx context.Context, a *asking) error {
	address := "postyard-record-" + a.nonce + "@blackhole.postmarkapp.com"
	if err := a.ledger.suppression(address); err != nil {
		return err
	}
	e, status, err := a.suppress(ctx, "put an address on the suppression list", "", address)
	if err != nil {
		return err
	}
	if status != "Suppressed" {
		return fmt.Errorf("the address could not be suppressed: %s, status %.20q", e.seen(), status)
	}
	if err := a.untilSuppressed(ctx, address); err != nil {
		return err
	}
	some, outcome, err := a.sendOwn(ctx, "send to the recipient, with the inactive address as Cc", a.Recipient, address)
	if err != nil {
		return err
	}
	all, _, err := a.sendOwn(ctx, "send to the inactive address alone", address)
	if err != nil {
		return err
	}
	ours := fmt.Sprintf("our code reads it as %s", outcome.Class)
	named := slices.ContainsFunc(outcome.InactiveAddresses, func(found string) bool { return strings.EqualFold(found, address) })
	switch {
	case all.ok():
		// Then it is not known whether Postmark knew the address as inactive when it was sent to.
		a.find("3c", Open, "%s: the list may not have been in force yet", all.seen())
		if some.ok() && !named {
			a.find("3a", Open, "%s; %s; the list may not have been in force yet", some.seen(), ours)
			a.find("3b", Open, "%s: the list may not have been in force yet", some.seen())
		}
	case all.code() == codeInactive || some.ok() && !all.besides():
		a.judge("3c", all.code() == codeInactive, "%s", all.seen())
	default:
		a.find("3c", Open, "refused for another reason, as it seems: %s; to the recipient: %s", all.seen(), some.seen())
	}
	if some.ok() || some.code() == codeInactive {
		a.judge("3a", some.ok() && outcome.Class == provider.Accepted, "%s; %s", some.seen(), ours)
		a.judge("3b", named, "%s; read from it: %d addresses", some.seen(), len(outcome.InactiveAddresses))
	} else {
		a.find("3a", Open, "refused for another reason: %s; %s", some.seen(), ours)
		a.find("3b", Open, "refused for another reason: %s", some.seen())
	}
	if err := a.unsuppress(ctx, "take the address off the suppression list", address); err != nil {
		return err
	}
	return a.ledger.done("suppression", address)
}

// untilSuppressed waits until Postmark lists an address, which takes it a moment.
func (a *asking) untilSuppressed(ctx context.Context, address string) error {
	deadline := a.Now().Add(a.Patience)
	for {
		found, err := a.listed(ctx, "see whether the address is on the list", url.Values{"EmailAddress": {address}}, address)
		if err != nil || found {
			return err
		}
		if !a.Now().Before(deadline) {
			return fmt.Errorf("the address was not on the suppression list after %s", a.Patience)
		}
		timer := time.NewTimer(min(pollEvery, a.Patience))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// listed tells whether the suppression list has an address.
func (a *asking) listed(ctx context.Context, purpose string, query url.Values, address string) (bool, error) {
	e, err := a.call(ctx, purpose, request{method: http.MethodGet, path: a.suppressions() + "/dump", query: query})
	if err != nil {
		return false, err
	}
	var answer struct {
		Suppressions []struct{ EmailAddress string }
	}
	if err := decodeAnswer(e, &answer); err != nil {
		return false, err
	}
	for _, entry := range answer.Suppressions {
		if strings.EqualFold(entry.EmailAddress, address) {
			return true, nil
		}
	}
	return false, nil
}

// sendOwn sends a mail with our code.
func (a *asking) sendOwn(ctx context.Context, purpose, to string, cc ...string) (*exchange, provider.Outcome, error) {
	a.recorder.begin(purpose)
	id, err := uuid.NewV7()
	if err != nil {
		return nil, provider.Outcome{}, fmt.Errorf("make an id: %w", err)
	}
	off := false
	out := provider.Outgoing{ID: id, Recipient: mail.Recipient{Address: mail.Address{Email: to}}, Content: &mail.Content{
		From: mail.Address{Email: a.Sender}, Subject: "Postyard asks Postmark: what it says of inactive recipients", TrackOpens: &off, TrackClicks: &off,
		Text: "This mail was sent by postyard record, to find out what Postmark says of inactive recipients. Nothing needs to be done.\n",
	}}
	for _, address := range cc {
		out.Recipient.CC = append(out.Recipient.CC, mail.Address{Email: address})
	}
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn := provider.Connection{Endpoint: a.endpoint, Key: a.Token, Stream: a.Stream}
	outcome := a.adapter.Send(callCtx, conn, []provider.Outgoing{out})[0]
	e := a.recorder.last()
	if err := ctx.Err(); err != nil {
		return e, outcome, err
	}
	if e == nil || e.purpose != purpose || e.status == 0 {
		return e, outcome, fmt.Errorf("%s: %w: %s", purpose, errNoAnswer, outcome.Text)
	}
	a.expect(e.body)
	return e, outcome, nil
}

// askBatch is question 4.
func askBatch(ctx context.Context, a *asking) error {
	stray := map[string]any{"MessageStream": noStream}
	plain, err := a.call(ctx, "send a batch of which one item is for an unknown stream", request{method: http.MethodPost, path: "/email/batch",
		body: []any{a.plainMail("what a batch does with an unknown stream", nil), a.plainMail("nothing: this is refused", stray)}})
	if err != nil {
		return err
	}
	a.judgeBatch("4a", plain)
	alias := "postyard-record-" + a.nonce
	if err := a.ledger.template(alias); err != nil {
		return err
	}
	made, err := a.call(ctx, "create a template", request{method: http.MethodPost, path: "/templates", body: map[string]any{
		"Name": alias, "Alias": alias, "Subject": "Postyard asks Postmark: {{about}}",
		"TextBody": "This mail was sent by postyard record, to find out {{about}}. Nothing needs to be done.\n"}})
	if err != nil {
		return err
	}
	if !made.ok() {
		a.find("4b", Open, "the template was refused: %s", made.seen())
		return nil
	}
	templated := func(more map[string]any) map[string]any {
		m := a.plainMail("", more)
		delete(m, "Subject")
		delete(m, "TextBody")
		m["TemplateAlias"], m["TemplateModel"] = alias, map[string]string{"about": "what a batch with templates does with an unknown stream"}
		return m
	}
	with, err := a.call(ctx, "send a batch with templates of which one item is for an unknown stream", request{method: http.MethodPost,
		path: "/email/batchWithTemplates", body: map[string]any{"Messages": []any{templated(nil), templated(stray)}}})
	if err != nil {
		return err
	}
	a.judgeBatch("4b", with)
	if err := a.remove(ctx, "remove the template", http.MethodDelete, "/templates/"+alias, 1101); err != nil {
		return err
	}
	return a.ledger.done("template", alias)
}

func (a *asking) judgeBatch(id string, e *exchange) {
	var items []json.RawMessage
	if e.besides() {
		a.find(id, Open, "the whole batch was refused for another reason: %s", e.seen())
		return
	}
	if e.status != http.StatusOK || json.Unmarshal(e.body, &items) != nil || len(items) != 2 {
		a.judge(id, false, "the whole batch: %s", e.seen())
		if code := e.code(); code != 0 {
			a.judge("4c", code == codeNoStream, "ErrorCode %d", code)
		}
		return
	}
	good, stray := exchange{status: http.StatusOK, body: items[0]}, exchange{status: http.StatusOK, body: items[1]}
	a.expect(items[0])
	seen := fmt.Sprintf("the good item: %s; the other: %s", good.seen(), stray.seen())
	if !good.ok() {
		a.find(id, Open, "%s", seen)
		return
	}
	a.judge(id, stray.code() != 0, "%s", seen)
	a.judge("4c", stray.code() == codeNoStream, "ErrorCode %d", stray.code())
}

// askUnknownField is question 5.
func askUnknownField(ctx context.Context, a *asking) error {
	e, err := a.send(ctx, "send a mail with an unknown field",
		a.plainMail("whether unknown fields are ignored", map[string]any{"PostyardUnknown": map[string]any{"a": 1}}))
	if err != nil {
		return err
	}
	if e.ok() || strings.Contains(e.message(), "PostyardUnknown") {
		a.judge("5a", e.ok(), "%s", e.seen())
		return nil
	}
	if e.besides() {
		a.find("5a", Open, "refused for another reason: %s", e.seen())
		return nil
	}
	// Is it the field that is refused?
	plain, err := a.send(ctx, "send the same mail without it", a.plainMail("whether unknown fields are ignored", nil))
	if err != nil {
		return err
	}
	if plain.ok() {
		a.find("5a", Contradicts, "%s; without the field: %s", e.seen(), plain.seen())
	} else {
		a.find("5a", Open, "refused with and without the field: %s", plain.seen())
	}
	return nil
}

const largeMail = 11 << 20

// askLimits is question 6.
func askLimits(ctx context.Context, a *asking) error {
	// The address is none, so that nothing is sent even when the size is taken.
	head := fmt.Sprintf(`{"From":"invalid","To":"invalid","MessageStream":%q,"TextBody":"`, a.Stream)
	body := append([]byte(head), bytes.Repeat([]byte("x"), largeMail)...)
	e, err := a.call(ctx, "send a mail of 11 MB", request{method: http.MethodPost, path: "/email", body: append(body, `"}`...)})
	if err != nil {
		a.find("6a", Open, "%v", err)
		a.find("6b", Open, "%v", err)
		if ctx.Err() != nil {
			return err
		}
	} else {
		a.judgeAnswer(e, "6b", e.status == http.StatusRequestEntityTooLarge, "%s", e.seen())
		if e.status == http.StatusRequestEntityTooLarge {
			a.judge("6a", e.code() == 0, "%d bytes: %s", len(e.body), e.seen())
		}
	}
	for _, limited := range a.recorder.throttled() {
		a.judge("6c", len(limited.body) == 0 && limited.answer.Get("Retry-After") == "", "%d bytes, Retry-After %.40q: %s",
			len(limited.body), limited.answer.Get("Retry-After"), limited.seen())
	}
	a.find("6c", Open, "no call was answered 429, and this does not provoke it")
	return nil
}
