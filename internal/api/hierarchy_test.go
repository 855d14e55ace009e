package api

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"postyard/internal/route"
	"postyard/internal/store"
)

// newSub makes a sub-account and returns it with the path of its own operations.
func (w *world) newSub(name string) (subAccountAnswer, string) {
	w.t.Helper()
	var sub subAccountAnswer
	w.asAccount("POST", "/api/v1/account/subaccount/", map[string]any{"name": name}).ok(201, &sub)
	return sub, fmt.Sprintf("/api/v1/account/subaccount/%d", sub.ID)
}

func (w *world) claimAll(tpsp int32) []store.Job {
	w.t.Helper()
	now := time.Now().UTC()
	claimed, err := w.db.Claim(w.t.Context(), store.Claim{Egress: route.TPSP(tpsp), Limit: 50, Owner: "o", Now: now, LeaseUntil: now.Add(claimLength)})
	if err != nil {
		w.t.Fatal(err)
	}
	return claimed.Jobs
}

// TestSubAccountsUnderEachOther moves sub-accounts: the tree shows them, what cannot be is refused, and what has children stays.
func TestSubAccountsUnderEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, shopPath := w.newSub("shop")
	berlin, berlinPath := w.newSub("Berlin")
	athens, athensPath := w.newSub("athens")
	under := func(id int32) map[string]any { return map[string]any{"parentId": id} }
	var place placeAnswer
	w.asAccount("PUT", berlinPath+"/hierarchy", under(shop.ID)).ok(200, &place)
	if place.ParentID == nil || *place.ParentID != shop.ID || place.Level != 2 {
		t.Errorf("moved %+v", place)
	}
	w.asAccount("PUT", athensPath+"/hierarchy", under(shop.ID)).ok(200, nil)
	w.asAccount("PUT", shopPath+"/hierarchy", under(shop.ID)).refused(422, "circle", "parentId")
	w.asAccount("PUT", shopPath+"/hierarchy", under(berlin.ID)).refused(422, "circle", "parentId")
	w.asAccount("PUT", shopPath+"/hierarchy", under(999)).refused(422, "unknown_parent", "parentId")
	w.asAccount("PUT", shopPath+"/hierarchy", `{"parentId": -1}`).refused(422, "unknown_parent", "parentId")
	w.asAccount("PUT", shopPath+"/hierarchy", `{"ratePerHour": -1}`).refused(422, "invalid_rate", "ratePerHour")
	w.asAccount("PUT", "/api/v1/account/subaccount/999/hierarchy", `{}`).refused(404, "not_found", "")
	w.asAccount("GET", shopPath+"/hierarchy", nil).ok(200, &place)
	if fmt.Sprint(place.Children) != fmt.Sprint([]int32{athens.ID, berlin.ID}) || place.ParentID != nil || place.Level != 1 {
		t.Errorf("the parent is %+v", place)
	}
	w.asAccount("POST", shopPath+"/pause", nil).ok(200, nil)
	w.asAccount("DELETE", shopPath, nil).refused(409, "sub_account_has_children", "")
	if !w.dir.Current().SubAccount(w.account.ID, shop.ID).Paused {
		t.Error("a pause ended although the sub-account was not deleted")
	}
	var tree treeAnswer
	w.asAccount("GET", "/api/v1/account/subaccount/tree", nil).ok(200, &tree)
	var names []string
	for _, b := range tree.SubAccounts {
		names = append(names, strings.Repeat("-", b.Level-1)+b.Name)
	}
	if got := strings.Join(names, " "); got != "default shop -athens -Berlin" {
		t.Errorf("the tree is %s", got)
	}
	w.asAccount("PUT", athensPath+"/hierarchy", `{"parentId": null}`).ok(200, &place)
	if place.ParentID != nil || place.Level != 1 {
		t.Errorf("moved out %+v", place)
	}
	at := berlin.ID
	for i := range 3 {
		next, path := w.newSub(fmt.Sprint("level ", i+3))
		w.asAccount("PUT", path+"/hierarchy", under(at)).ok(200, nil)
		at = next.ID
	}
	w.asAccount("PUT", athensPath+"/hierarchy", under(at)).refused(422, "too_many_levels", "parentId")
	w.asAccount("GET", "/api/v1/account/subaccount/tree?days=0", nil).refused(400, "invalid_parameter", "days")
}

// TestBlocks blocks a sub-account: nothing is taken in for it, nor for the one under it, what waits stays, SendPost's shape shows it in
// numbers that its clients can read, and all goes on afterwards.
func TestBlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	shop, shopPath := w.newSub("shop")
	low, lowPath := w.newSub("low")
	w.asAccount("PUT", lowPath+"/hierarchy", map[string]any{"parentId": shop.ID}).ok(200, nil)
	key := map[string]string{"X-SubAccount-ApiKey": low.APIKey}
	var sent []emailResponse
	w.call("POST", sendPath, key, email("ana@gmail.com")).ok(200, &sent)
	w.asAccount("POST", shopPath+"/block", map[string]any{"reason": "spam\n"}).ok(200, nil)
	w.asAccount("POST", shopPath+"/block", map[string]any{"reason": "a\nb"}).refused(422, "invalid_reason", "reason")
	const why = `the sub-account "low" is blocked, because its parent "shop" is: spam`
	if got := w.call("POST", sendPath, key, email("bob@gmail.com")); got.status != 403 || !strings.Contains(string(got.body), "sub_account_blocked") ||
		!strings.Contains(string(got.body), `its parent \"shop\" is: spam`) {
		t.Errorf("a send is answered with %d %s", got.status, got.body)
	}
	w.call("POST", sendPath, map[string]string{"X-SubAccount-ApiKey": shop.APIKey}, email("bob@gmail.com")).refused(403, "sub_account_blocked", "")
	w.call("POST", sendPath, map[string]string{"X-SubAccount-ApiKey": w.subKey}, email("bob@gmail.com")).ok(200, nil)
	if got := w.explain(sent[0].MessageID); got.Waiting != why || got.DueAt != 0 {
		t.Errorf("it waits: %+v", got)
	}
	for _, j := range w.claimAll(made.ID) {
		if j.SubAccountID == low.ID {
			t.Error("a message of a blocked sub-account goes")
		}
	}
	var shown subAccountAnswer
	w.asAccount("GET", lowPath, nil).ok(200, &shown)
	if !shown.Blocked || shown.BlockReason != "spam" || shown.BlockedAt < 1 || shown.BlockedAt == math.MaxInt32 {
		t.Errorf("SendPost's shape %+v", shown)
	}
	var place placeAnswer
	w.asAccount("GET", lowPath+"/hierarchy", nil).ok(200, &place)
	if !place.Blocked || place.BlockedBy != shop.ID || place.Why != why || place.BlockedAt < int64(shown.BlockedAt)*int64(time.Second) {
		t.Errorf("place %+v", place)
	}
	// One that is deleted while its parent is blocked sends nothing, and says why.
	w.asAccount("DELETE", lowPath, nil).ok(200, nil)
	if got := w.explain(sent[0].MessageID); got.Waiting != why || len(w.claimAll(made.ID)) != 0 {
		t.Errorf("deleted, it waits: %+v", got)
	}
	before := w.changed.Load()
	w.asAccount("POST", shopPath+"/unblock", nil).ok(200, &place)
	if place.Blocked || place.Why != "" || w.changed.Load() != before+1 {
		t.Errorf("unblocked %+v", place)
	}
	if jobs := w.claimAll(made.ID); len(jobs) != 1 || jobs[0].SubAccountID != low.ID {
		t.Errorf("%d go after that", len(jobs))
	}
	w.asAccount("POST", shopPath+"/block", nil).ok(200, &place)
	if !place.Blocked || place.BlockReason != "" {
		t.Errorf("blocked without a reason: %+v", place)
	}
	w.asAccount("POST", "/api/v1/account/subaccount/999/block", nil).refused(404, "not_found", "")
	w.asAccount("POST", "/api/v1/account/subaccount/999/unblock", nil).refused(404, "not_found", "")
}

// TestSubAccountLimits has the limit of a parent reached by its child: both wait and say why and until when, the tree shows what is taken
// and what is counted, and a raise lets them go.
func TestSubAccountLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	shop, shopPath := w.newSub("shop")
	low, lowPath := w.newSub("low")
	w.asAccount("PUT", lowPath+"/hierarchy", map[string]any{"parentId": shop.ID}).ok(200, nil)
	w.asAccount("PUT", shopPath+"/hierarchy", `{"ratePerHour": 2}`).ok(200, nil)
	send := func(key, to string) string {
		t.Helper()
		var sent []emailResponse
		w.call("POST", sendPath, map[string]string{"X-SubAccount-ApiKey": key}, email(to)).ok(200, &sent)
		return sent[0].MessageID
	}
	send(low.APIKey, "a@gmail.com")
	send(low.APIKey, "b@gmail.com")
	if n := len(w.claimAll(made.ID)); n != 2 {
		t.Fatalf("%d go", n)
	}
	ofLow, ofShop := send(low.APIKey, "c@gmail.com"), send(shop.APIKey, "d@example.com")
	if n := len(w.claimAll(made.ID)); n != 0 {
		t.Fatalf("%d go beyond the limit", n)
	}
	for id, want := range map[string]string{
		ofShop: `the limit of the sub-account "shop" of 2 messages an hour is reached`,
		ofLow:  `the limit of the sub-account "shop", which is above it, of 2 messages an hour is reached`,
	} {
		got := w.explain(id)
		if until := time.Unix(0, got.DueAt); got.Waiting != want || until.Before(time.Now().Add(time.Hour)) || until.After(time.Now().Add(time.Hour+2*time.Minute)) {
			t.Errorf("it waits: %+v", got)
		}
	}
	var tree treeAnswer
	w.asAccount("GET", "/api/v1/account/subaccount/tree?days=1", nil).ok(200, &tree)
	for _, b := range tree.SubAccounts {
		switch b.ID {
		case shop.ID:
			if b.Taken != 2 || b.RatePerHour != 2 || b.FreeAt == 0 || b.Stat.Processed != 1 || b.WithChildren.Processed != 4 {
				t.Errorf("the parent %+v", b)
			}
		case low.ID:
			if b.Taken != 2 || b.RatePerHour != 0 || b.FreeAt != 0 || b.Stat.Processed != 3 || b.WithChildren.Processed != 3 || b.Why == "" {
				t.Errorf("the child %+v", b)
			}
		default:
			if b.Taken != 0 || b.WithChildren.Processed != 0 {
				t.Errorf("another one %+v", b)
			}
		}
	}
	checks, err := w.doctorSays(made.ID)
	if err != nil || !strings.Contains(checks, `the limit of the sub-account "shop" of 2 messages`) || !strings.Contains(checks, "postyard subaccounts limit") {
		t.Errorf("the doctor says %s (%v)", checks, err)
	}
	before := w.changed.Load()
	w.asAccount("PUT", shopPath+"/hierarchy", `{"ratePerHour": 3}`).ok(200, nil)
	if n := len(w.claimAll(made.ID)); n != 1 || w.changed.Load() != before+1 {
		t.Errorf("%d go after the limit was raised by one", n)
	}
	w.asAccount("PUT", shopPath+"/hierarchy", `{"ratePerHour": 0}`).ok(200, nil)
	if n := len(w.claimAll(made.ID)); n != 1 {
		t.Errorf("%d go without a limit", n)
	}
}

// doctorSays is what the doctor says of what waits, as text.
func (w *world) doctorSays(tpsp int32) (string, error) {
	w.ahead.Store(int64(2 * time.Minute))
	got := w.asAccount("GET", fmt.Sprintf("/api/v1/account/doctor?tpspId=%d", tpsp), nil)
	if got.status != 200 {
		return string(got.body), fmt.Errorf("status %d", got.status)
	}
	return strings.ReplaceAll(string(got.body), `\"`, `"`), nil
}
