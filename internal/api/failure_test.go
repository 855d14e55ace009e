package api

import (
	"fmt"
	"testing"
)

// What failed at a provider is listed there, although another one carried it.
func TestFailedAttempts(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	path := func(id int32) string { return fmt.Sprintf("/api/v1/account/tpsp/%d/failures", id) }
	list := func(id int32) (got failuresAnswer) {
		t.Helper()
		w.asAccount("GET", path(id), nil).ok(200, &got)
		return got
	}
	if got := list(w.one); len(got.Attempts) != 0 {
		t.Errorf("before: %+v", got)
	}
	both, _ := w.makePool(with(pool("both", w.one, w.two), "routingStrategy", 2, "routingMetaData", fmt.Sprintf(`{"TPSP_%d":"100","TPSP_%d":"0"}`, w.one, w.two)))
	var sent []emailResponse
	w.asSub("POST", "/api/v1/subaccount/email/", with(email("moved@gmail.com"), "ippool", both.Name)).ok(200, &sent)
	w.fail(w.one, w.two)
	got := list(w.one)
	if len(got.Attempts) != 1 {
		t.Fatalf("%+v", got)
	}
	a := got.Attempts[0]
	if a.MessageID != sent[0].MessageID || a.Class != "transient" || a.TPSPID != w.one || a.Provider != "Postmark" || a.N != 1 || a.Finished == 0 {
		t.Errorf("%+v", a)
	}
	if got := list(w.two); len(got.Attempts) != 0 {
		t.Errorf("where it was accepted: %+v", got)
	}
	w.asAccount("GET", path(4711), nil).refused(404, "not_found", "")
	if stranger := w.call("GET", path(w.one), map[string]string{"X-Account-ApiKey": w.secondAccount()}, nil); stranger.status != 404 {
		t.Errorf("to a stranger: %d %s", stranger.status, stranger.body)
	}
}
