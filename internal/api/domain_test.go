package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postyard/internal/secret"
)

// whitelist adds a domain to the sub-account.
func (w *world) whitelist(name string) (got domainAnswer) {
	w.t.Helper()
	w.asSub("POST", "/api/v1/subaccount/domain", map[string]string{"name": name}).ok(200, &got)
	return got
}

// secondSub makes another sub-account and returns its id and key.
func (w *world) secondSub(name string) (id int32, key map[string]string) {
	w.t.Helper()
	var got subAccountAnswer
	w.asAccount("POST", "/api/v1/account/subaccount", map[string]string{"name": name}).ok(201, &got)
	return got.ID, map[string]string{"X-SubAccount-ApiKey": got.APIKey}
}

var domainKeys = []string{"id", "name", "dkim", "spf", "returnPath", "track", "dmarc", "gpt", "dkimConfig", "dkimVerified", "spfVerified", "mailboxVerified",
	"dmarcVerified", "returnPathVerified", "trackVerified", "gptVerified", "verified", "domainRegisteredDate", "created", "dmarcFailureReason",
	"dkimFailureReason", "trackFailureReason", "returnPathFailureReason"}

func TestDomains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/api/v1/subaccount/domain"
	a := w.asSub("POST", path+"/", map[string]string{"name": " Exämple.COM "})
	var one domainAnswer
	wantKeys(t, a.ok(200, &one).body, domainKeys...)
	if one.Name != "xn--exmple-cua.com" || one.ID == 0 || one.Created == 0 || one.Verified || one.DKIMVerified || one.DKIMFailureReason == "" {
		t.Errorf("%+v", one)
	}
	if one.DMARC != (dnsRecord{"_dmarc.xn--exmple-cua.com", "TXT", "v=DMARC1; p=none;"}) || one.DKIM.TextValue != "" {
		t.Errorf("%+v", one)
	}
	two := w.whitelist("hooli.com")
	w.asSub("POST", path, map[string]string{"name": "HOOLI.com."}).refused(http.StatusForbidden, "duplicate_domain", "name")
	for _, bad := range []string{"", "hooli", "a@hooli.com", "ho oli.com", "1.2.3.4", strings.Repeat("a.", 200) + "com", "-a.com"} {
		w.asSub("POST", path, map[string]string{"name": bad}).refused(http.StatusUnprocessableEntity, "invalid_domain", "name")
	}
	for query, want := range map[string]int{"": 2, "?search=OOLI": 1, "?limit=1": 1, "?offset=1": 1, "?search=none": 0} {
		var list []domainAnswer
		if w.asSub("GET", path+query, nil).ok(200, &list); len(list) != want {
			t.Errorf("%q: %d domains", query, len(list))
		}
	}
	w.asSub("GET", path+"?limit=0", nil).refused(http.StatusBadRequest, "invalid_parameter", "limit")

	// Another sub-account sees none of them, and may have the same.
	_, other := w.secondSub("other")
	if a := w.call("GET", path, other, nil); a.status != 200 || string(a.body) != "[]\n" {
		t.Errorf("another sub-account: %d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		w.call(method, fmt.Sprint(path, "/", two.ID), other, nil).refused(http.StatusNotAcceptable, "not_found", "")
	}
	w.call("POST", path, other, map[string]string{"name": "hooli.com"}).ok(200, nil)

	for _, id := range []string{"999", "x", "0", "-1", "99999999999", secret.APIKey()} {
		w.asSub("GET", path+"/"+id, nil).refused(http.StatusNotAcceptable, "not_found", "")
	}
	var read domainAnswer
	if w.asSub("GET", fmt.Sprint(path, "/", two.ID), nil).ok(200, &read); read != two {
		t.Errorf("%+v, want %+v", read, two)
	}
	a = w.asSub("DELETE", fmt.Sprint(path, "/", two.ID), nil)
	var gone deletedAnswer
	wantKeys(t, a.ok(200, &gone).body, "id", "message")
	if gone != (deletedAnswer{two.ID, "Domain (hooli.com) has been deleted successfully."}) {
		t.Errorf("%+v", gone)
	}
	w.asSub("DELETE", fmt.Sprint(path, "/", two.ID), nil).refused(http.StatusNotAcceptable, "not_found", "")
	w.whitelist("hooli.com") // again
}
