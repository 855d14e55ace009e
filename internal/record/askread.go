package record

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

const (
	codeToken   = 10
	accountText = "Request does not contain a valid Account token."
	testToken   = "POSTMARK_API_TEST"
)

// askAccountRoutes is question 7.
func askAccountRoutes(ctx context.Context, a *asking) error {
	e, err := a.call(ctx, "ask for the servers with the server token as the account's", request{method: http.MethodGet, path: "/servers",
		query: url.Values{"count": {"1"}, "offset": {"0"}}, header: accountHeader})
	if err != nil {
		return err
	}
	a.judgeAnswer(e, "7a", e.message() == accountText, "%s", e.seen())
	a.judgeAnswer(e, "7b", e.status == http.StatusUnauthorized && e.code() == codeToken, "%s", e.seen())
	// For comparison.
	_, err = a.call(ctx, "ask for the server with an account token's header only", request{method: http.MethodGet, path: "/server", header: accountHeader})
	return err
}

// askUnsubscription is question 8. It touches nobody's entry but the recipient's own.
func askUnsubscription(ctx context.Context, a *asking) error {
	found, err := a.listed(ctx, "see whether the recipient has unsubscribed from the stream",
		url.Values{"EmailAddress": {a.Recipient}, "SuppressionReason": {"ManualSuppression"}, "Origin": {"Recipient"}}, a.Recipient)
	if err != nil {
		return err
	}
	if !found {
		a.find("8a", Open, "the recipient has not unsubscribed: follow the link in a mail of a broadcast stream, then run this again with that stream")
		return nil
	}
	e, status, err := a.suppress(ctx, "take the recipient's unsubscription back", "/delete", a.Recipient)
	if err != nil {
		return err
	}
	a.judgeAnswer(e, "8a", status == "Deleted", "%s, status %.40q", e.seen(), status)
	return nil
}

// askArchive is question 10.
func askArchive(ctx context.Context, a *asking) error {
	id := "postyard-" + a.nonce
	if err := a.ledger.stream(id); err != nil {
		return err
	}
	made, err := a.call(ctx, "create a stream", request{method: http.MethodPost, path: "/message-streams",
		body: map[string]string{"ID": id, "Name": id, "MessageStreamType": "Transactional"}})
	if err != nil {
		return err
	}
	if !made.ok() {
		a.find("10a", Open, "the stream was refused: %s", made.seen())
		return a.ledger.done("stream", id)
	}
	e, err := a.call(ctx, "archive it", request{method: http.MethodPost, path: "/message-streams/" + id + "/archive"})
	if err != nil {
		return err
	}
	a.judgeAnswer(e, "10a", e.ok(), "%s", e.seen())
	if !e.ok() {
		return nil // what was made is tried again at the end, and named when it stays
	}
	a.stays = append(a.stays, "the archived stream "+id+", which Postmark removes by itself")
	return a.ledger.done("stream", id)
}

// askTestToken is question 12.
func askTestToken(ctx context.Context, a *asking) error {
	refused, seen := true, ""
	for _, path := range []string{"/server", "/message-streams", "/webhooks"} {
		e, err := a.call(ctx, "read with the test token", request{method: http.MethodGet, path: path, token: func() string { return testToken }})
		if err != nil {
			return err
		}
		if !e.answered() {
			a.find("12a", Open, "%s: %s", path, e.seen())
			return nil
		}
		refused = refused && e.status == http.StatusUnauthorized && e.code() == codeToken
		seen += fmt.Sprintf("%s: %s; ", path, e.seen())
	}
	a.judge("12a", refused, "%s", seen[:len(seen)-2])
	return nil
}
