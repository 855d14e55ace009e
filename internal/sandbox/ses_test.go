package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
)

// A mail that is sent is in the inbox, and its events are published to the topic's subscription, signed.
func TestSES(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.connect(r)
	id := b.sesSend(nil)
	if !strings.HasPrefix(id, "0100") || !strings.HasSuffix(id, "-000000") {
		t.Errorf("id %q", id)
	}
	m := b.message(id)
	if m.Subject != "Grüße" || m.HTML != `<a href="https://example.com/a">a</a>` || m.Metadata["messageId"] != "0199-a" || m.To != "ana@example.net" {
		t.Errorf("%+v", m)
	}
	b.pass()
	got := map[string]object{}
	for range 2 {
		e := b.event(r.next(t))
		got[e["eventType"].(string)] = e
	}
	if got["Send"] == nil || got["Delivery"] == nil {
		t.Fatalf("%v", got)
	}
	mail := got["Delivery"]["mail"].(object)
	if mail["messageId"] != id || mail["tags"].(object)["messageId"].([]any)[0] != "0199-a" ||
		mail["tags"].(object)["ses:configuration-set"].([]any)[0] != eventSet {
		t.Errorf("%v", mail)
	}
	b.settled(id)
	if a := b.raw(http.MethodGet, "/sandbox/messages/"+id+"/source", ""); string(a.body) != rawMail {
		t.Errorf("source %q", a.body)
	}
}
