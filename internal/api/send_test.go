package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const sendPath = "/api/v1/subaccount/email/"

func TestSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	for _, path := range []string{sendPath, strings.TrimSuffix(sendPath, "/")} {
		body := email("gavin@hooli.com", "no address", "jian.yang@example.com")
		body["ippool"] = "postmark-pool"
		var got []emailResponse
		a := w.asSub("POST", path, body).ok(200, &got)
		if len(got) != 3 {
			t.Fatalf("%s", a.body)
		}
		for i, to := range []string{"gavin@hooli.com", "no address", "jian.yang@example.com"} {
			r := got[i]
			if r.To != to || r.SubmittedAt == 0 {
				t.Errorf("entry %d: %+v", i, r)
			}
			if i == 1 {
				if r.ErrorCode != 1 || r.MessageID != "" || r.Message == "" {
					t.Errorf("entry %d: %+v", i, r)
				}
				continue
			}
			if id, err := uuid.Parse(r.MessageID); err != nil || id.Version() != 7 || r.ErrorCode != 0 {
				t.Errorf("entry %d: %+v", i, r)
			}
			// Readable right after the 200.
			w.asAccount("GET", "/api/v1/account/message/"+r.MessageID, nil).ok(200, nil)
		}
		body0, _ := strings.CutPrefix(string(a.body), "[")
		wantKeys(t, []byte(body0[:strings.Index(body0, "}")+1]), "to", "submittedAt", "messageId", "errorCode", "message")
	}
}

func TestSendIgnoresTheContentType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	header := map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "text/plain"}
	w.call("POST", sendPath, header, email("gavin@hooli.com")).ok(200, nil)
}

func TestSendRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	with := func(key string, value any) map[string]any {
		body := email("gavin@hooli.com")
		body[key] = value
		return body
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("user%d@example.com", i)
	}
	metadata := func(keys ...string) map[string]any {
		headers := map[string]any{}
		for _, key := range keys {
			headers["TPSP_METADATA_"+key] = "x"
		}
		return with("headers", headers)
	}
	for name, c := range map[string]struct {
		body   any
		status int
		field  string
	}{
		"broken JSON":          {`{"from":`, 422, ""},
		"null":                 {`null`, 422, ""},
		"nothing":              {nil, 422, ""},
		"wrong type":           {with("to", []any{map[string]any{"email": 7}}), 422, "to[0].email"},
		"header not a string":  {with("headers", map[string]any{"X-A": 7}), 422, "headers.X-A"},
		"no recipients":        {with("to", []any{}), 422, "to"},
		"1,001 recipients":     {email(many...), 422, "to"},
		"no sender":            {with("from", nil), 422, "from.email"},
		"bad sender":           {with("from", map[string]any{"email": "x"}), 422, "from.email"},
		"unknown pool":         {with("ippool", "nowhere"), 422, "ippool"},
		"no template":          {with("tpspTemplate", ""), 422, "tpspTemplate"},
		"customFields a list":  {with("customFields", []any{1}), 422, "customFields"},
		"metadata key of 21":   {metadata(strings.Repeat("k", 21)), 422, "headers.TPSP_METADATA_" + strings.Repeat("k", 21)},
		"five metadata keys":   {metadata("a", "b", "c", "d", "e"), 422, "headers.TPSP_METADATA_e"},
		"reserved metadata":    {metadata("messageId"), 422, "headers.TPSP_METADATA_messageId"},
		"attachment no base64": {with("attachments", []any{map[string]any{"filename": "a.txt", "content": "%"}}), 422, "attachments[0].content"},
	} {
		a := w.asSub("POST", sendPath, c.body)
		var p problem
		a.ok(c.status, &p)
		if p.Field != c.field || p.Code == "" || p.Message == "" || p.RequestID == "" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if n, err := w.db.Backlog(t.Context()); err != nil || n != 0 {
		t.Errorf("%d messages were stored, %v", n, err)
	}
}

func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	const limit = 10 << 20
	head := `{"from":{"email":"a@example.com"},"tpspTemplate":"t","to":[{"email":"b@example.com"}],"unknown":"`
	tail := `"}`
	fitting := head + strings.Repeat("x", limit-len(head)-len(tail)) + tail
	w.asSub("POST", sendPath, fitting).ok(200, nil)
	w.asSub("POST", sendPath, fitting+" ").refused(http.StatusRequestEntityTooLarge, "body_too_large", "")
	w.asSub("POST", sendPath, strings.Repeat(" ", 3*limit)).refused(http.StatusRequestEntityTooLarge, "body_too_large", "")
	w.asAccount("POST", "/api/v1/account/subaccount/", `{"name":"`+strings.Repeat("x", 1<<20)+`"}`).
		refused(http.StatusRequestEntityTooLarge, "body_too_large", "")
}

// Without a Content-Length the limit holds all the same.
func TestBodyTooLargeInChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+sendPath,
		struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 10<<20+1))}) // of unknown length
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-SubAccount-ApiKey", w.subKey)
	if r.ContentLength > 0 {
		t.Fatal("not in chunks")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestSendWithoutAStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.asSub("POST", sendPath, email("gavin@hooli.com"))
	a.refused(http.StatusServiceUnavailable, "unavailable", "")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
