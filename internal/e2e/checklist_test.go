package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/secret"
)

// problem is an error body.
type problem struct{ Code, Message, Field, RequestID string }

// TestChecklist walks the set-up checklist of a Postmark user, on a server and a sandbox that run as processes of their own.
func TestChecklist(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	var listening struct{ URL string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	sandbox := listening.URL
	server := start(t, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--allow-private", "--log-format", "json")
	accountKey := firstMatch(t, server.line("X-Account-ApiKey"), `X-Account-ApiKey:\s+(\w{20})`)
	defaultKey := firstMatch(t, server.line("X-SubAccount-ApiKey"), `X-SubAccount-ApiKey:\s+(\w{20})`)
	server.decode(`"serving"`, &listening)
	api := &client.Client{URL: listening.URL, AccountKey: secret.NewString(accountKey), SubAccountKey: secret.NewString(defaultKey)}
	account := map[string]string{"X-Account-ApiKey": accountKey}

	// 1. The server token. A wrong one, and one of the wrong kind, are told apart.
	refused := func(path string, in any, field, says string) {
		t.Helper()
		var p problem
		status, err := call(ctx, http.MethodPost, api.URL+path, account, in, &p)
		if err != nil || status != http.StatusUnprocessableEntity || p.Field != field || !strings.Contains(p.Message, says) || p.RequestID == "" {
			t.Errorf("POST %s: status %d, %+v (%v), want field %q and %q", path, status, p, err, field, says)
		}
	}
	const streamsPath, tpspPath = "/api/v1/account/tpsp/streams", "/api/v1/account/tpsp/"
	refused(streamsPath, map[string]any{"type": 4, "key": "wrong", "endpoint": sandbox}, "key", "token")
	refused(streamsPath, map[string]any{"type": 4, "key": "sandbox-account-token", "endpoint": sandbox}, "key", "Account")

	// 2. Add the provider. 3. Fetch the streams and select one: without one, or with one that cannot send, it is refused.
	postmark := client.NewTPSP{Type: 4, Name: "Postmark", Key: "sandbox-server-token", Endpoint: sandbox}
	streams, err := api.Streams(ctx, postmark)
	if err != nil || len(streams) != 2 || streams[0].ID != "outbound" || streams[0].Name == "" || streams[0].Type != "Transactional" || streams[1].ID != "broadcast" {
		t.Fatalf("streams %+v (%v)", streams, err)
	}
	for _, stream := range []string{"", "nowhere", "inbound", "retired"} {
		postmark.MessageStream = stream
		refused(tpspPath, postmark, "messageStream", "stream")
	}
	if list, err := api.TPSPs(ctx); err != nil || len(list) != 0 {
		t.Errorf("something was saved of refused providers: %+v (%v)", list, err)
	}
	postmark.MessageStream = "outbound"
	provider, err := api.CreateTPSP(ctx, postmark)
	if err != nil || provider.WebhookStatus.State != "registered" {
		t.Fatalf("create: %+v (%v)", provider, err)
	}
	wantOneWebhook(t, sandbox, fmt.Sprintf("%s/tpsp/postmark/account/1", api.URL))

	// 4. The IP pool was made.
	pools, err := api.Pools(ctx)
	if err != nil || len(pools) != 1 || pools[0].Name != "postmark-pool" || len(pools[0].ThirdPartySendingProviders) != 1 ||
		pools[0].ThirdPartySendingProviders[0].ID != provider.ID {
		t.Fatalf("pools %+v (%v)", pools, err)
	}

	// 5. Whitelisting a domain is optional, and not needed to send.
	// 6. A test email, with ippool and tpspTemplate; without the template it is refused.
	email := client.Email{From: client.Address{Email: "shop@example.com", Name: "Shop"}, Subject: "Hi", IPPool: pools[0].Name,
		CustomFields: map[string]any{"product_name": "Postyard"}, Groups: []string{"welcome", "second"},
		Headers: map[string]string{"TPSP_METADATA_order": "42", "X-Order": "42"}}
	send := func(to string) string {
		t.Helper()
		email.To = []client.Recipient{{Address: client.Address{Email: to, Name: "Ana"}, CustomFields: map[string]any{"name": "Ana"}}}
		sent, err := api.Send(ctx, email)
		if err != nil || len(sent) != 1 || sent[0].ErrorCode != 0 {
			t.Fatalf("send to %s: %+v (%v)", to, sent, err)
		}
		return sent[0].MessageID
	}
	email.To = []client.Recipient{{Address: client.Address{Email: "ana@gmail.com"}}}
	if _, err := api.Send(ctx, email); err == nil || !strings.Contains(err.Error(), "tpspTemplate") {
		t.Errorf("send without a template: %v", err)
	}
	email.TPSPTemplate = "welcome-template"
	first := send("ana@gmail.com")

	// 7. The events.
	wantEvents(t, api, first, 69, 70, 71)
	mail := sandboxMail(t, sandbox, first)
	if mail.Stream != "outbound" || mail.Tag != "welcome" || mail.Metadata["order"] != "42" || mail.Metadata["messageId"] != first ||
		mail.Metadata["emailType"] != "gmail" || !strings.Contains(mail.Subject, "Postyard") || !strings.Contains(mail.Text, "Ana") {
		t.Errorf("what arrived: %+v", mail)
	}
	raise(t, sandbox, mail.ID, map[string]string{"kind": "open"})
	wantEvents(t, api, first, 69, 70, 71, 75)
	raise(t, sandbox, mail.ID, map[string]string{"kind": "click", "url": firstMatch(t, mail.HTML, `href="([^"]+)"`)})
	wantEvents(t, api, first, 69, 70, 71, 75, 76)
	wantEvents(t, api, send("HardBounce@bounce-testing.postmarkapp.com"), 69, 70, 72)
	wantEvents(t, api, send("SoftBounce@bounce-testing.postmarkapp.com"), 69, 70, 73)
	complaining := send("bob@example.net")
	wantEvents(t, api, complaining, 69, 70, 71)
	raise(t, sandbox, sandboxMail(t, sandbox, complaining).ID, map[string]string{"kind": "complaint"})
	wantEvents(t, api, complaining, 69, 70, 71, 77)

	var stat struct{ Processed, Sent, Delivered, HardBounced, SoftBounced, Opened, Clicked, Spams int }
	day := time.Now().UTC()
	path := fmt.Sprintf("%s/api/v1/account/stat/aggregate?from=%s&to=%s", api.URL, day.AddDate(0, 0, -1).Format(time.DateOnly), day.Format(time.DateOnly))
	if status, err := call(ctx, http.MethodGet, path, account, nil, &stat); err != nil || status != http.StatusOK ||
		fmt.Sprint(stat) != "{4 4 2 1 1 1 1 1}" {
		t.Errorf("statistics %d %+v (%v)", status, stat, err)
	}
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func firstMatch(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%q does not match %s", text, pattern)
	}
	return m[1]
}

// wantOneWebhook checks what stands at Postmark (PM-5).
func wantOneWebhook(t *testing.T, sandbox, url string) {
	t.Helper()
	type toggle struct{ Enabled, PostFirstOpenOnly bool }
	var list struct {
		Webhooks []struct {
			Url, MessageStream string
			HttpAuth           struct{ Username, Password string }
			Triggers           map[string]toggle
		}
	}
	_, err := call(t.Context(), http.MethodGet, sandbox+"/webhooks", map[string]string{"X-Postmark-Server-Token": "sandbox-server-token"}, nil, &list)
	if err != nil || len(list.Webhooks) != 1 {
		t.Fatalf("webhooks %+v (%v)", list, err)
	}
	hook := list.Webhooks[0]
	var on []string
	for name, trigger := range hook.Triggers {
		if trigger.Enabled {
			on = append(on, name)
		}
	}
	slices.Sort(on)
	if hook.Url != url || hook.MessageStream != "outbound" || hook.HttpAuth.Username == "" || len(hook.HttpAuth.Password) < 16 ||
		fmt.Sprint(on) != "[Bounce Click Delivery Open SpamComplaint]" || hook.Triggers["Open"].PostFirstOpenOnly {
		t.Errorf("webhook %+v", hook)
	}
}

// wantEvents waits until a message has exactly these events.
func wantEvents(t *testing.T, api *client.Client, id string, want ...int) {
	t.Helper()
	var got []int
	eventually(t, fmt.Sprintf("events %v of %s", want, id), 20*time.Second, func() bool {
		list, err := api.MessageEvents(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range list {
			got = append(got, e.Type)
		}
		return len(got) >= len(want)
	})
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// arrived is a mail in the sandbox.
type arrived struct {
	ID, Stream, To, Subject, Tag, Text, HTML string
	Metadata                                 map[string]string
}

type inbox struct {
	Total    int
	Messages []arrived
}

func sandboxMail(t *testing.T, sandbox, messageID string) arrived {
	t.Helper()
	var box inbox
	if _, err := call(t.Context(), http.MethodGet, sandbox+"/sandbox/messages?messageId="+messageID, nil, nil, &box); err != nil || box.Total != 1 {
		t.Fatalf("mail of %s: %+v (%v)", messageID, box, err)
	}
	return box.Messages[0]
}

func raise(t *testing.T, sandbox, mailID string, event map[string]string) {
	t.Helper()
	status, err := call(t.Context(), http.MethodPost, sandbox+"/sandbox/messages/"+mailID+"/events", nil, event, nil)
	if err != nil || status >= 300 {
		t.Fatalf("raise %v: %d (%v)", event, status, err)
	}
}
