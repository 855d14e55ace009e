package e2e

import (
	"net/http"
	"strings"
	"testing"

	"postyard/internal/client"
	"postyard/internal/secret"
)

// TestMailServer connects a mail server as a provider and sends through it.
func TestMailServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var listening struct{ URL, SMTP string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--smtp-listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	sandbox, mailServer := listening.URL, listening.SMTP
	server := start(t, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--allow-private", "--log-format", "json", "--ask-after", "1s",
		"--ambiguous-wait", "2s")
	accountKey := firstMatch(t, server.line("X-Account-ApiKey"), `X-Account-ApiKey:\s+(\w{20})`)
	subAccountKey := firstMatch(t, server.line("X-SubAccount-ApiKey"), `X-SubAccount-ApiKey:\s+(\w{20})`)
	server.decode(`"serving"`, &listening)
	api := &client.Client{URL: listening.URL, AccountKey: secret.NewString(accountKey), SubAccountKey: secret.NewString(subAccountKey)}
	account := map[string]string{"X-Account-ApiKey": accountKey}
	const path = "/api/v1/account/tpsp/"

	// What cannot work is refused, with the field that is to blame.
	for _, bad := range []struct {
		in          client.NewTPSP
		field, says string
	}{
		{client.NewTPSP{Type: 6, Name: "x"}, "endpoint", "required"},
		{client.NewTPSP{Type: 6, Name: "x", Endpoint: "ftp://mail.example.com"}, "endpoint", "smtp://"},
		{client.NewTPSP{Type: 6, Name: "x", Endpoint: mailServer, Key: "sandbox-user", Secret: "wrong"}, "key", "535"},
		{client.NewTPSP{Type: 6, Name: "x", Endpoint: mailServer, Key: "", Secret: "sandbox-smtp-password"}, "key", "user name"},
		{client.NewTPSP{Type: 6, Name: "x", Endpoint: mailServer, Key: "sandbox-user", Secret: "****word"}, "secret", "masked"},
		{client.NewTPSP{Type: 6, Name: "x", Endpoint: strings.Replace(mailServer, "smtp:", "smtp+starttls:", 1)}, "endpoint", "certificate"},
	} {
		var p problem
		status, err := call(ctx, http.MethodPost, api.URL+path, account, bad.in, &p)
		if err != nil || status != http.StatusUnprocessableEntity || p.Field != bad.field || !strings.Contains(p.Message, bad.says) {
			t.Errorf("%+v: status %d, %+v (%v), want field %q and %q", bad.in, status, p, err, bad.field, bad.says)
		}
	}

	relay := client.NewTPSP{Type: 6, Name: "Relay", Endpoint: mailServer, Key: "sandbox-user", Secret: "sandbox-smtp-password"}
	made, err := api.CreateTPSP(ctx, relay)
	if err != nil || made.WebhookStatus.State != "none" || made.IPPool.Name != "relay-pool" {
		t.Fatalf("create: %+v (%v)", made, err)
	}
	var shown struct {
		Key, Secret, Endpoint string
		Port                  int
	}
	if _, err := call(ctx, http.MethodGet, api.URL+path+"1", account, nil, &shown); err != nil || shown.Key != "****user" || shown.Secret != "****word" ||
		shown.Endpoint != "smtp://127.0.0.1" || shown.Port == 0 {
		t.Errorf("shown: %+v (%v)", shown, err)
	}
	if _, err := api.CreateTPSP(ctx, relay); err == nil || !strings.Contains(err.Error(), "mail server") {
		t.Errorf("the same server and user twice: %v", err)
	}

	email := client.Email{From: client.Address{Email: "shop@example.com", Name: "Shöp"}, Subject: "Grüße", IPPool: made.IPPool.Name, TextBody: "Hello",
		To: []client.Recipient{{Address: client.Address{Email: "ana@gmail.com", Name: "Ana"}}}}
	email.HTMLBody, email.TextBody = "", ""
	if _, err := api.Send(ctx, email); err == nil || !strings.Contains(err.Error(), "htmlBody") {
		t.Errorf("without a body: %v", err)
	}
	email.HTMLBody, email.TextBody = "<p>Hello</p>", "Hello"
	sent, err := api.Send(ctx, email)
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, api, sent[0].MessageID, 58, 59)
	if mail := sandboxMail(t, sandbox, sent[0].MessageID); mail.Subject != "Grüße" || mail.HTML != "<p>Hello</p>" || !strings.Contains(mail.To, "ana@gmail.com") {
		t.Errorf("what arrived: %+v", mail)
	}

	// A refusal for good is a drop with the server's words.
	fault := []map[string]any{{"provider": "smtp", "path": "/rcpt", "kind": "status", "status": 550, "body": "5.1.1 no such user"}}
	if _, err := call(ctx, http.MethodPut, sandbox+"/sandbox/faults", nil, fault, nil); err != nil {
		t.Fatal(err)
	}
	if sent, err = api.Send(ctx, email); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, api, sent[0].MessageID, 58, 62)

	// The answer to a message that the server took is lost: nobody can be asked, so the policy decides, which is to send again.
	fault = []map[string]any{{"provider": "smtp", "path": "/content", "kind": "reset_after", "count": 1}}
	if _, err := call(ctx, http.MethodPut, sandbox+"/sandbox/faults", nil, fault, nil); err != nil {
		t.Fatal(err)
	}
	if sent, err = api.Send(ctx, email); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, api, sent[0].MessageID, 58, 59)
	var box inbox
	if _, err := call(ctx, http.MethodGet, sandbox+"/sandbox/messages?messageId="+sent[0].MessageID, nil, nil, &box); err != nil || box.Total != 2 {
		t.Errorf("sent at least once, and marked: %d mails (%v)", box.Total, err)
	}
	if code := server.stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}
