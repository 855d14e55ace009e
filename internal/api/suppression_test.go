package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const suppressionPath = "/api/v1/subaccount/suppression"

// emails is a list of addresses as requests have it.
func emails(list ...string) []map[string]string {
	entries := []map[string]string{}
	for _, email := range list {
		entries = append(entries, map[string]string{"email": email})
	}
	return entries
}

// lately is a range of days that includes now.
func lately() string {
	now := time.Now().UTC()
	return "?from=" + now.AddDate(0, 0, -59).Format(time.DateOnly) + "&to=" + now.AddDate(0, 0, 1).Format(time.DateOnly)
}

func (w *world) listed(query string) []string {
	w.t.Helper()
	var got []suppressionAnswer
	w.asSub("GET", suppressionPath+lately()+query, nil).ok(200, &got)
	list := []string{}
	for _, s := range got {
		list = append(list, fmt.Sprintf("%s %d", s.Email, s.Reason))
	}
	return list
}

func TestSuppressionsOfASubAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var made []suppressionAnswer
	a := w.asSub("POST", suppressionPath, map[string]any{
		"hardBounce": emails("jackbarker@hooli.com", "BigHead@Hooli.com"), "manual": emails("russhannelman@gmail.com"), "unsubscribe": emails("jared@piedpiper.com"),
		"spamComplaint": emails("gilfoyle@piedpiper.com", "bighead@hooli.com"), // twice: the graver reason counts
	}).ok(200, &made)
	var raw []json.RawMessage
	if err := json.Unmarshal(a.body, &raw); err != nil || len(raw) != 5 {
		t.Fatalf("%s, %v", a.body, err)
	}
	for _, one := range raw {
		wantKeys(t, one, "id", "email", "reason", "smtp_error", "created")
	}
	if made[0].Email != "jackbarker@hooli.com" || made[0].Reason != 2 || made[1].Email != "bighead@hooli.com" || made[1].Reason != 3 || made[3].Reason != 1 ||
		made[0].ID == 0 || made[0].Created == 0 {
		t.Errorf("%s", a.body)
	}
	for query, want := range map[string]int{"": 5, "&limit=2": 2, "&limit=1000": 5, "&offset=4": 1, "&search=HOOLI": 2, "&type=hardBounce": 1, "&type=manual": 1, "&type=spamComplaint": 2,
		"&type=unsubscribe": 1, "&search=nobody": 0} {
		if got := w.listed(query); len(got) != want {
			t.Errorf("%q: %v", query, got)
		}
	}
	a = w.asSub("GET", suppressionPath+"/count/"+lately()+"&limit=1", nil).ok(200, nil)
	if string(a.body) != "{\"count\":5}\n" {
		t.Errorf("count: %s", a.body)
	}

	a = w.asSub("DELETE", suppressionPath+"/", map[string]any{"suppressions": emails("Jared@PiedPiper.com", "nobody@example.com")}).ok(200, nil)
	if want := fmt.Sprintf("[{\"id\":%d,\"message\":\"Suppressions have been deleted successfully\"}]\n", made[3].ID); string(a.body) != want {
		t.Errorf("%s, want %s", a.body, want)
	}
	if got := w.listed("&search=jared"); len(got) != 0 {
		t.Errorf("after the deletion: %v", got)
	}
	a = w.asSub("DELETE", suppressionPath, map[string]any{"suppressions": emails("nobody@example.com")}).ok(200, nil)
	if string(a.body) != "[{\"id\":0,\"message\":\"Suppressions have been deleted successfully\"}]\n" {
		t.Errorf("%s", a.body)
	}
}

func TestSuppressionsPageByTwenty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var list []string
	for i := range 21 {
		list = append(list, fmt.Sprintf("u%d@example.com", i))
	}
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails(list...)}).ok(200, nil)
	if got := w.listed(""); len(got) != 20 {
		t.Errorf("a page has %d", len(got))
	}
}

func TestSuppressionRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, empty := range []string{"{}", `{"manual":[]}`, `{"manual":null,"other":[]}`} {
		w.asSub("POST", suppressionPath, empty).refused(http.StatusNotAcceptable, "empty_list", "")
	}
	w.asSub("DELETE", suppressionPath, `{"suppressions":[]}`).refused(http.StatusNotAcceptable, "empty_list", "")
	w.asSub("DELETE", suppressionPath, "").refused(422, "missing_body", "")
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails("a@example.com"), "hardBounce": emails("ok@example.com", "nobody")}).refused(422, "invalid_address", "hardBounce[1].email")
	w.asSub("DELETE", suppressionPath, map[string]any{"suppressions": emails("nobody")}).refused(422, "invalid_address", "suppressions[0].email")
	w.asSub("POST", suppressionPath, `{"manual":"a@example.com"}`).refused(422, "wrong_type", "manual")
	many := make([]string, mostSuppressions+1)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@example.com", i)
	}
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails(many...)}).refused(422, "too_many_addresses", "")
	if got := w.listed(""); len(got) != 0 {
		t.Errorf("a refused request left something: %v", got)
	}
	for query, field := range map[string]string{
		"": "from", "?from=2026-01-01": "to", "?from=x&to=2026-01-01": "from", "?from=2026-01-02&to=2026-01-01": "from", "?from=2026-01-01&to=2026-03-03": "to",
		lately() + "&type=soft": "type", lately() + "&limit=0": "limit", lately() + "&limit=1001": "limit", lately() + "&offset=-1": "offset",
	} {
		w.asSub("GET", suppressionPath+query, nil).refused(http.StatusBadRequest, "invalid_parameter", field)
	}
	for query, field := range map[string]string{"?from=x": "from", "?to=x": "to", "?from=2026-01-02&to=2026-01-01": "from", "?type=soft": "type"} {
		w.asSub("GET", suppressionPath+"/count"+query, nil).refused(http.StatusBadRequest, "invalid_parameter", field)
	}
	for _, query := range []string{"", "?from=2026-01-01", "?to=2030-01-01", "?from=2020-01-01&to=2030-01-01", "?from=2026-01-01&to=2026-01-01"} {
		w.asSub("GET", suppressionPath+"/count"+query, nil).ok(200, nil)
	}
	w.asSub("GET", suppressionPath+"/?from=2026-01-01&to=2026-03-02", nil).ok(200, nil) // 60 days apart
}

func TestSuppressionsAreTheSubAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect("Postmark", "outbound")
	var other subAccountAnswer
	w.asAccount("POST", "/api/v1/account/subaccount/", map[string]any{"name": "Other"}).ok(201, &other)
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails("a@example.com")}).ok(200, nil)
	theirs := map[string]string{"X-SubAccount-ApiKey": other.APIKey}
	if a := w.call("GET", suppressionPath+lately(), theirs, nil).ok(200, nil); string(a.body) != "[]\n" {
		t.Errorf("another sub-account sees %s", a.body)
	}
	w.call("DELETE", suppressionPath, theirs, map[string]any{"suppressions": emails("a@example.com")}).ok(200, nil)
	if got := w.listed(""); len(got) != 1 {
		t.Errorf("another sub-account ended it: %v", got)
	}
	ids := w.mail("a@example.com", "b@example.com")
	var events []eventAnswer
	w.asAccount("GET", "/api/v1/account/message/"+ids[0]+"/events", nil).ok(200, &events)
	if len(events) != 2 || events[0].Type != 0 || events[1].Type != 1 {
		t.Errorf("events: %+v", events)
	}
	for _, path := range []string{"", "/explain"} { // it has no plan
		w.asAccount("GET", "/api/v1/account/message/"+ids[0]+path, nil).ok(200, nil)
	}
	if a := w.asAccount("GET", "/api/v1/account/message/"+ids[0]+"/explain", nil); !strings.Contains(string(a.body), "suppressed") {
		t.Errorf("the explanation does not say why: %s", a.body)
	}
}

func TestSuppressionSyncOfAProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := w.postmark("Postmark", "outbound")
	body["suppressionSync"] = "from-provider"
	var got tpspAnswer
	w.asAccount("POST", tpsps, body).ok(200, &got)
	if got.SuppressionSync != "from-provider" {
		t.Errorf("created with %q", got.SuppressionSync)
	}
	path := fmt.Sprintf("%s%d", tpsps, got.ID)
	w.asAccount("PUT", path, map[string]any{"name": "x"}).ok(200, nil)
	if w.asAccount("GET", path, nil).ok(200, &got); got.SuppressionSync != "from-provider" {
		t.Errorf("what is absent does not stay: %q", got.SuppressionSync)
	}
	w.asAccount("PUT", path, map[string]any{"suppressionSync": "both"}).ok(200, &got)
	if got.SuppressionSync != "both" {
		t.Errorf("changed to %q", got.SuppressionSync)
	}
	w.asAccount("PUT", path, map[string]any{"suppressionSync": "always"}).refused(422, "unknown_suppression_sync", "suppressionSync")
	body["suppressionSync"], body["messageStream"] = "x", "broadcast"
	w.asAccount("POST", tpsps, body).refused(422, "unknown_suppression_sync", "suppressionSync")

	sync := "/api/v1/account/suppression/sync"
	w.asSub("POST", suppressionPath, map[string]any{"manual": emails("a@example.com")}).ok(200, nil)
	var synced []suppressionsSyncedAnswer
	w.asAccount("POST", sync+"/", map[string]any{}).ok(200, &synced)
	if len(synced) != 1 || synced[0].Pushed != 1 || synced[0].Error != "" || synced[0].Refused == nil {
		t.Errorf("%+v", synced)
	}
	w.asAccount("POST", sync, map[string]any{"tpspId": got.ID}).ok(200, &synced)
	if len(synced) != 1 || synced[0].Pushed != 0 || synced[0].Listed != 1 || synced[0].Suppressed != 0 {
		t.Errorf("again: %+v", synced)
	}
	w.asAccount("POST", sync, map[string]any{"tpspId": got.ID + 1}).refused(404, "not_found", "")
	w.asAccount("PUT", path, map[string]any{"suppressionSync": "off"}).ok(200, nil)
	w.asAccount("POST", sync, map[string]any{"tpspId": got.ID}).refused(422, "no_suppression_list", "tpspId")
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	w.call("POST", sync, stranger, map[string]any{"tpspId": got.ID}).refused(404, "not_found", "")
}
