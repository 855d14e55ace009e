package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// The older paths with a sub-account's key say the same as the account's about the sub-account, and nothing of others.
func TestStatisticsWithTheSubAccountsKey(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	const own = "/api/v1/subaccount/stat"
	account := fmt.Sprint("/api/v1/account/subaccount/stat/", w.subAccount.ID)
	for path, same := range map[string]string{
		own + "/group" + days3("&group=welcome"):                account + "/group" + days3("&group=welcome"),
		own + "/aggregate/group/" + days3("&group=trial"):       account + "/group" + days3("&group=trial"),
		own + "/aggregate/groups" + days3("&sortBy=name"):       account + "/aggregate/group" + days3("&sortBy=name"),
		own + "/aggregate/providers" + days3("&sortBy=spam"):    account + "/aggregate/provider" + days3("&sortBy=spam"),
		own + "/aggregate" + days3():                            account + "/aggregate" + days3(),
		own + "/aggregate/providers" + days3("&provider=yahoo"): account + "/aggregate/provider" + days3("&provider=yahoo"),
	} {
		got, want := w.asSub("GET", path, nil).ok(200, nil), w.asAccount("GET", same, nil).ok(200, nil)
		if string(got.body) != string(want.body) || len(got.body) < 10 {
			t.Errorf("%s: %s, want %s", path, got.body, want.body)
		}
	}
	w.call("GET", own+"/aggregate/groups"+days3(), w.otherKey, nil).wantRows("group processed spam", "welcome 1 1")
	w.call("GET", own+"/aggregate/providers"+days3(), w.otherKey, nil).wantRows("provider processed", "gmail 1")
	w.asSub("GET", own+"/group"+days3(), nil).refused(http.StatusBadRequest, "invalid_parameter", "group")
	for _, path := range []string{"provider", "subaccount"} {
		domain := fmt.Sprint("/api/v1/account/domain/stat/", w.domain, "/aggregate/", path)
		if one, many := w.asAccount("GET", domain+days3(), nil).ok(200, nil), w.asAccount("GET", domain+"s"+days3(), nil).ok(200, nil); string(one.body) != string(many.body) || len(one.body) < 10 {
			t.Errorf("%s: %s and %s", path, one.body, many.body)
		}
	}
	var used cycleAnswer
	a := w.asAccount("GET", "/api/v1/account/stat/cycleusage", nil).ok(200, &used)
	wantKeys(t, a.body, "from", "to", "processed")
	now := time.Now().UTC()
	if used.Processed != 4 || used.From != now.Format("2006-01")+"-01" || used.To != now.Format(time.DateOnly) {
		t.Errorf("%+v", used)
	}
}
