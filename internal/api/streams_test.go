package api

import (
	"testing"

	"postyard/internal/provider"
)

// The streams of a provider that is connected are listed with its own key, which is sent to no other address.
func TestStreamsOfAProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	const path = "/api/v1/account/tpsp/streams"
	given := w.postmark("Postmark", "outbound")
	var of, own []provider.Stream
	w.asAccount("POST", path, map[string]any{"type": 4, "key": given["key"], "endpoint": given["endpoint"]}).ok(200, &of)
	for name, body := range map[string]map[string]any{
		"by its id": {"tpspId": made.ID}, "with what its page shows": {"tpspId": made.ID, "type": 4, "key": made.Key, "endpoint": made.Endpoint},
		"with its key written out": {"tpspId": made.ID, "key": given["key"]},
	} {
		own = nil
		w.asAccount("POST", path, body).ok(200, &own)
		if len(own) == 0 || len(own) != len(of) || own[0] != of[0] {
			t.Errorf("%s: %v, want %v", name, own, of)
		}
	}
	w.asAccount("POST", path, map[string]any{"tpspId": made.ID, "endpoint": "https://elsewhere.example"}).refused(422, "missing_key", "key")
	w.asAccount("POST", path, map[string]any{"tpspId": made.ID, "type": 1}).refused(422, "other_type", "type")
	w.asAccount("POST", path, map[string]any{"tpspId": 4711}).refused(404, "not_found", "")
	w.asAccount("POST", path, map[string]any{"type": 4, "key": made.Key}).refused(422, "masked_key", "key")
	if stranger := w.call("POST", path, map[string]string{"X-Account-ApiKey": w.secondAccount()}, map[string]any{"tpspId": made.ID}); stranger.status != 404 {
		t.Errorf("a stranger gets %d %s", stranger.status, stranger.body)
	}
}
