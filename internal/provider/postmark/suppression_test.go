package postmark_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
)

// The list of the simulator's stream is read and changed.
func TestSuppressionList(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	read := func() (emails []string) {
		t.Helper()
		list, err := y.adapter.SuppressionList(t.Context(), y.conn)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			if l.At.IsZero() {
				t.Errorf("no time: %+v", l)
			}
			emails = append(emails, l.Email+" "+l.Reason.String())
		}
		slices.Sort(emails)
		return emails
	}
	if got := read(); len(got) != 0 {
		t.Errorf("fresh: %v", got)
	}
	refused, err := y.adapter.SuppressAddresses(t.Context(), y.conn, []string{"a@example.net", "nonsense", "b@example.net"})
	if err != nil || len(refused) != 1 || !strings.Contains(refused["nonsense"], "invalid email") {
		t.Fatalf("%v, %v", refused, err)
	}
	y.send([]provider.Outgoing{y.message("hardbounce@bounce.sandbox.test"), y.message("complaint@bounce.sandbox.test")}, provider.Accepted, provider.Accepted)
	want := []string{"a@example.net manual", "b@example.net manual", "complaint@bounce.sandbox.test spamComplaint", "hardbounce@bounce.sandbox.test hardBounce"}
	for deadline := time.Now().Add(patience); len(read()) != len(want) && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Error(diff)
	}
	refused, err = y.adapter.ReleaseAddresses(t.Context(), y.conn, []string{"a@example.net", "never@example.net", "complaint@bounce.sandbox.test", "hardbounce@bounce.sandbox.test"})
	if err != nil || len(refused) != 1 || !strings.Contains(refused["complaint@bounce.sandbox.test"], "authority") {
		t.Fatalf("%v, %v", refused, err)
	}
	if diff := cmp.Diff([]string{want[1], want[2]}, read()); diff != "" {
		t.Error(diff)
	}
	y.conn.Stream = "nowhere"
	if _, err := y.adapter.SuppressionList(t.Context(), y.conn); err == nil {
		t.Error("an unknown stream has a list")
	}
}

// An answer that is cut, not Postmark's, or not understood is no list: least of all an empty one.
func TestSuppressionListIsWholeOrNone(t *testing.T) {
	t.Parallel()
	adapter := newAdapter(t)
	for name, body := range map[string]string{
		"nothing":      ``,
		"no list":      `{}`,
		"null":         `{"Suppressions":null}`,
		"another kind": `{"Suppressions":{}}`,
		"cut":          `{"Suppressions":[{"EmailAddress":"a@example.net","SuppressionReason":"HardBounce","CreatedAt":"2026-03-02T10:00:00Z"}`,
		"no address":   `{"Suppressions":[{"SuppressionReason":"HardBounce","CreatedAt":"2026-03-02T10:00:00Z"}]}`,
		"no time":      `{"Suppressions":[{"EmailAddress":"a@example.net","SuppressionReason":"HardBounce"}]}`,
		"an error":     `{"ErrorCode":1226,"Message":"The message stream for the provided 'ID' was not found."}`,
		"a page":       `<html>`,
	} {
		if list, err := adapter.SuppressionList(t.Context(), connection(answering(t, http.StatusOK, body))); err == nil {
			t.Errorf("%s: %v", name, list)
		}
	}
	list, err := adapter.SuppressionList(t.Context(), connection(answering(t, http.StatusOK, `{"Suppressions":[
		{"EmailAddress":"A@Example.net","SuppressionReason":"ManualSuppression","Origin":"Recipient","CreatedAt":"2026-03-02T10:00:00.1234567-05:00"},
		{"EmailAddress":"b@example.net","SuppressionReason":"SomethingNew","Origin":"Admin","CreatedAt":"2026-03-02T10:00:00Z"}]}`)))
	if err != nil || len(list) != 2 || list[0].Email != "a@example.net" || list[0].Reason != provider.Unsubscribed || list[1].Reason != provider.Manual {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSuppressionChangesThatFail(t *testing.T) {
	t.Parallel()
	adapter := newAdapter(t)
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"no results":  {200, `{}`},
		"one missing": {200, `{"Suppressions":[{"EmailAddress":"A@example.net","Status":"Suppressed","Message":null}]}`},
		"unknown":     {422, `{"ErrorCode":1226,"Message":"no stream"}`},
		"away":        {503, ``},
	} {
		refused, err := adapter.SuppressAddresses(t.Context(), connection(answering(t, c.status, c.body)), []string{"a@example.net", "b@example.net"})
		if err == nil || refused != nil {
			t.Errorf("%s: %v, %v", name, refused, err)
		}
		if err != nil && strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the token is in %v", name, err)
		}
	}
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/message-streams/outbound/suppressions/delete" || string(body) != `{"Suppressions":[{"EmailAddress":"a@example.net"}]}` {
			t.Errorf("%s %s %s", r.Method, r.URL.Path, body)
		}
		_, _ = io.WriteString(w, `{"Suppressions":[{"EmailAddress":"a@example.net","Status":"Failed","Message":"`+testKey+`"}]}`)
	}))
	refused, err := adapter.ReleaseAddresses(t.Context(), conn, []string{"a@example.net"})
	if err != nil || refused["a@example.net"] == "" || strings.Contains(refused["a@example.net"], testKey) {
		t.Errorf("%v, %v", refused, err)
	}
}

// Inactive decides whether an address is suppressed, not the type of the bounce.
func TestWhatSuppresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file    string
		changes map[string]any
		want    string
	}{
		"hard":                     {"hardbounce", nil, "hardBounce"},
		"hard, silent":             {"hardbounce", map[string]any{"Inactive": nil}, "hardBounce"},
		"hard, activated since":    {"hardbounce", map[string]any{"Inactive": false}, ""},
		"soft":                     {"softbounce", map[string]any{"Inactive": false}, ""},
		"soft, silent":             {"softbounce", map[string]any{"Inactive": nil}, ""},
		"soft, inactive":           {"softbounce", map[string]any{"Inactive": true}, "hardBounce"},
		"by hand":                  {"softbounce", map[string]any{"Inactive": true, "Type": "ManuallyDeactivated", "TypeCode": 100002}, "manual"},
		"asked by mail":            {"softbounce", map[string]any{"Inactive": nil, "Type": "Unsubscribe", "TypeCode": 16}, "unsubscribe"},
		"complaint":                {"spamcomplaint", nil, "spamComplaint"},
		"complaint, of old":        {"spamcomplaint", map[string]any{"RecordType": "Bounce", "Inactive": nil}, "spamComplaint"},
		"delivery":                 {"delivery", nil, ""},
		"open":                     {"open", nil, ""},
		"unsubscription":           {"subscriptionchange", map[string]any{"SuppressionReason": "ManualSuppression", "Origin": "Recipient", "SuppressSending": true}, "unsubscribe"},
		"unsubscription, no body":  {"subscriptionchange", map[string]any{"SuppressionReason": "ManualSuppression", "Origin": "Recipient", "SuppressSending": true, "MessageID": nil}, "none"},
		"entered by a customer":    {"subscriptionchange", map[string]any{"SuppressionReason": "ManualSuppression", "Origin": "Customer", "SuppressSending": true}, "none"},
		"reactivation":             {"subscriptionchange", map[string]any{"SuppressionReason": nil, "Origin": "Customer", "SuppressSending": false}, "none"},
		"change by a hard bounce":  {"subscriptionchange", map[string]any{"SuppressionReason": "HardBounce", "Origin": "Recipient", "SuppressSending": true}, "none"},
		"change without a mailbox": {"subscriptionchange", map[string]any{"SuppressionReason": "ManualSuppression", "Origin": "Recipient", "SuppressSending": true, "Recipient": nil}, "none"},
	} {
		reports, err := newAdapter(t).Parse(nil, change(t, c.file, c.changes))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := "none"
		if len(reports) == 1 {
			got = ""
			if reports[0].Suppresses {
				got = reports[0].Reason.String()
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
