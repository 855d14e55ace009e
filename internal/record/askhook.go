package record

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hookLadder is how many retries Postmark is taken to make, hookTimeout how long it is taken to wait.
const (
	hookLadder  = 9
	hookTimeout = 30 * time.Second
)

type trigger struct{ Enabled bool }

// register registers a webhook of ours. Its result is the exchange and the id that it was saved under, 0 when it was not.
func (a *asking) register(ctx context.Context, purpose string, h *hook, verify bool, triggers map[string]trigger) (*exchange, int64, error) {
	a.redactor.hideCredentials(h.auth)
	a.redactor.hideCredentials(h.inURL)
	if err := a.ledger.webhooks(); err != nil {
		return nil, 0, err
	}
	target := a.hookURL(h)
	if a.listener != nil {
		a.listener.open(h)
	}
	h.probing.Store(true)
	defer h.probing.Store(false)
	e, err := a.call(ctx, purpose, request{method: http.MethodPost, path: "/webhooks", body: map[string]any{
		"Url": target, "MessageStream": a.Stream, "Verify": verify, "Triggers": triggers,
		"HttpAuth": map[string]string{"Username": h.auth.username, "Password": h.auth.password},
	}})
	if err != nil {
		return e, 0, err
	}
	if !e.ok() {
		return e, 0, nil
	}
	var saved webhook
	if err := decodeAnswer(e, &saved); err != nil {
		return e, 0, err
	}
	if saved.ID == 0 {
		return e, 0, fmt.Errorf("the answer has no id of the webhook")
	}
	return e, saved.ID, nil
}

// probes are what came to a webhook while it was being registered.
func (a *asking) probes(name string) []*arrival {
	all, _ := a.listener.at(name)
	return slices.DeleteFunc(all, func(x *arrival) bool { return !x.probe })
}

// hookURL is the URL of a webhook. Without a public URL it leads nowhere.
func (a *asking) hookURL(h *hook) string {
	public := a.PublicURL
	if public == "" {
		public = "https://example.com"
	}
	if h.inURL != (credentials{}) {
		scheme, rest, _ := strings.Cut(public, "://")
		public = scheme + "://" + url.UserPassword(h.inURL.username, h.inURL.password).String() + "@" + rest
	}
	return strings.TrimRight(public, "/") + a.redactor.marker + h.name
}

func allTriggers() map[string]trigger {
	return map[string]trigger{"Open": {true}, "Click": {true}, "Delivery": {true}, "Bounce": {true}, "SpamComplaint": {true}}
}

func always(status int) func(*arrival) (int, bool) {
	return func(*arrival) (int, bool) { return status, false }
}

const codeUnverified = 1364

// askHandshake is question 1.
func askHandshake(ctx context.Context, a *asking) error {
	for _, try := range []struct {
		status int
		id     string
	}{{http.StatusInternalServerError, "1a"}, {http.StatusNoContent, "1b"}} {
		name := fmt.Sprintf("answers-%d", try.status)
		e, id, err := a.register(ctx, fmt.Sprintf("register a webhook whose probes are answered %d", try.status),
			&hook{name: name, auth: newCredentials(), answer: always(try.status)}, true, allTriggers())
		if err != nil {
			return err
		}
		probes := a.probes(name)
		switch {
		case id == 0 && e.code() != codeUnverified:
			a.find(try.id, Open, "%s", e.seen())
		case id == 0 && len(probes) == 0:
			a.find(try.id, Open, "refused as unverified, but no probe came: does the public URL lead here?")
		default:
			a.judge(try.id, id == 0, "answered %d, of %d probes: %s", try.status, len(probes), e.seen())
		}
		if id == 0 {
			continue
		}
		if err := a.removeWebhook(ctx, id); err != nil {
			return err
		}
	}
	e, id, err := a.register(ctx, "register a webhook whose probes are answered 200",
		&hook{name: "answers-200", auth: newCredentials(), answer: always(http.StatusOK)}, true, allTriggers())
	if err != nil {
		return err
	}
	probes := a.probes("answers-200")
	if len(probes) == 0 {
		a.find("1c", Open, "no probe came: %s", e.seen())
		a.find("1d", Open, "no probe came: %s", e.seen())
	} else {
		strange := slices.DeleteFunc(slices.Clone(probes), func(p *arrival) bool { return p.about == "sample" })
		a.judge("1c", len(strange) == 0, "%d of %d probes are read as samples", len(probes)-len(strange), len(probes))
		bare := slices.DeleteFunc(slices.Clone(probes), func(p *arrival) bool { return p.carried == "HttpAuth" })
		a.judge("1d", len(bare) == 0, "%d of %d probes carry them", len(probes)-len(bare), len(probes))
	}
	if id == 0 {
		return nil
	}
	return a.removeWebhook(ctx, id)
}

// askPrecedence is question 11.
func askPrecedence(ctx context.Context, a *asking) error {
	h := &hook{name: "both", auth: newCredentials(), inURL: newCredentials(), answer: always(http.StatusOK)}
	e, id, err := a.register(ctx, "register a webhook with credentials in its URL and in HttpAuth", h, true, map[string]trigger{"Delivery": {true}})
	if err != nil {
		return err
	}
	if probes := a.probes(h.name); len(probes) == 0 {
		a.find("11a", Open, "no probe came: %s", e.seen())
	} else {
		a.judge("11a", probes[0].carried == "HttpAuth", "the first probe carries: %s", probes[0].carried)
	}
	if id == 0 {
		return nil
	}
	return a.removeWebhook(ctx, id)
}

const codeTooMany = 1359

// askWebhookLimit is question 9.
func askWebhookLimit(ctx context.Context, a *asking) error {
	const most, limit = 12, 10
	before, err := a.listWebhooks(ctx, "see how many webhooks the stream has")
	if err != nil {
		return err
	}
	for n := len(before); n < most; n++ {
		h := &hook{name: "many-" + strconv.Itoa(n), auth: newCredentials(), answer: always(http.StatusOK)}
		e, id, err := a.register(ctx, fmt.Sprintf("register webhook %d of the stream, unverified", n+1), h, false, map[string]trigger{"Delivery": {true}})
		if err != nil {
			return err
		}
		if id != 0 {
			continue
		}
		if e.code() == codeTooMany {
			a.judge("9a", n == limit, "with %d on the stream: %s", n, e.seen())
		} else {
			a.find("9a", Open, "refused for another reason, with %d on the stream: %s", n, e.seen())
		}
		return a.removeWebhooks(ctx)
	}
	if len(before) < most {
		a.find("9a", Contradicts, "%d were taken, and none was refused", most)
	} else {
		a.find("9a", Contradicts, "the stream has %d already", len(before))
	}
	return a.removeWebhooks(ctx)
}

// askRetries is question 2.
func askRetries(ctx context.Context, a *asking) error {
	h := &hook{name: "retries", auth: newCredentials()}
	first := make(chan struct{}, 1) // a place for the one that is held
	h.answer = func(a *arrival) (int, bool) {
		if a.about == "ours" {
			select {
			case first <- struct{}{}:
				return http.StatusInternalServerError, true
			default:
			}
		}
		return http.StatusOK, false
	}
	e, id, err := a.register(ctx, "register a webhook for deliveries", h, true, map[string]trigger{"Delivery": {true}})
	if err != nil {
		return err
	}
	if id == 0 {
		a.find("2a", Open, "the webhook was not registered: %s", e.seen())
		a.find("2b", Open, "the webhook was not registered: %s", e.seen())
		return nil
	}
	sent, err := a.send(ctx, "send the mail whose delivery is reported", a.plainMail("what a webhook does that is not answered", nil))
	if err != nil {
		return err
	}
	if !sent.ok() {
		a.find("2a", Open, "the mail was refused: %s", sent.seen())
		a.find("2b", Open, "the mail was refused: %s", sent.seen())
		return a.removeWebhook(ctx, id)
	}
	// The first try, which is held, and the next one, whose turn is a minute later.
	arrivals := a.listener.wait(ctx, h.name, 3*a.Patience, func(all []*arrival) bool { return len(ours(all)) >= 2 })
	if err := ctx.Err(); err != nil {
		return err
	}
	a.judgeRetries(ours(arrivals))
	return a.removeWebhook(ctx, id)
}

func ours(all []*arrival) []*arrival {
	return slices.DeleteFunc(slices.Clone(all), func(x *arrival) bool { return x.about != "ours" })
}

func (a *asking) judgeRetries(tries []*arrival) {
	if len(tries) == 0 {
		a.find("2a", Open, "no report of the delivery came in %s", 3*a.Patience)
		a.find("2b", Open, "no report of the delivery came in %s", 3*a.Patience)
		return
	}
	slices.SortFunc(tries, func(x, y *arrival) int { return x.at.Compare(y.at) })
	first := tries[0]
	if left, err := strconv.Atoi(first.header.Get("X-Pm-Retries-Remaining")); err == nil {
		a.judge("2a", left == hookLadder, "the first try says that %d are left", left)
	} else {
		a.find("2a", Open, "the first try does not say how many are left")
	}
	switch {
	case first.answered == 0:
		near := first.held > hookTimeout-2*time.Second && first.held < hookTimeout+2*time.Second
		a.judge("2b", near, "the other side hung up after %.1f s; what stands in front of the listener may do so before Postmark", first.held.Seconds())
	case first.held > hookTimeout+2*time.Second:
		a.find("2b", Contradicts, "it waited longer than %.1f s", first.held.Seconds())
	default:
		a.find("2b", Open, "it still waited after %.1f s", first.held.Seconds())
	}
}
