package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"postyard/internal/dns"
	"postyard/internal/secret"
)

// zone is DNS: a record's value by its type and name.
type zone struct {
	mu      sync.Mutex
	records map[string]string
}

func (z *zone) set(r dnsRecord) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.records == nil {
		z.records = map[string]string{}
	}
	z.records[r.Type+" "+r.Host] = r.TextValue
}

func (z *zone) get(kind, name string) (string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if value, ok := z.records[kind+" "+name]; ok {
		return value, nil
	}
	return "", dns.ErrNoName
}

func (z *zone) TXT(_ context.Context, name string) ([]string, error) {
	text, err := z.get("TXT", name)
	return []string{text}, err
}

func (z *zone) CNAME(_ context.Context, name string) (string, error) { return z.get("CNAME", name) }

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
	const name = "xn--exmple-cua.com"
	if one.Name != name || one.ID == 0 || one.Created == 0 || one.Verified || one.DKIMVerified || one.DKIMFailureReason == "" {
		t.Errorf("%+v", one)
	}
	if !strings.HasPrefix(one.DKIM.TextValue, "v=DKIM1;k=rsa;s=email;h=sha256;p=MII") || len(one.DKIM.TextValue) < 400 {
		t.Errorf("DKIM record %+v", one.DKIM)
	}
	for field, pair := range map[string][2]dnsRecord{
		"dkim": {one.DKIM, {"sp-dkim._domainkey." + name, "TXT", one.DKIM.TextValue}}, "spf": {one.SPF, {"sp-bounce." + name, "CNAME", "mail.postyard.example"}},
		"returnPath": {one.ReturnPath, {"sp-bounces." + name, "CNAME", "mail.postyard.example"}},
		"track":      {one.Track, {"track." + name, "CNAME", "mail.postyard.example"}},
		"dmarc":      {one.DMARC, {"_dmarc." + name, "TXT", "v=DMARC1; p=none;"}}, "gpt": {one.GPT, {name, "TXT", ""}},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %+v, want %+v", field, pair[0], pair[1])
		}
	}
	two := w.whitelist("hooli.com")
	w.asSub("POST", path, map[string]string{"name": "HOOLI.com."}).refused(http.StatusForbidden, "duplicate_domain", "name")
	for _, bad := range []string{"", "hooli", "a@hooli.com", "ho oli.com", "1.2.3.4", strings.Repeat("a.", 200) + "com", strings.Repeat("a.", 120) + "com", "-a.com"} {
		w.asSub("POST", path, map[string]string{"name": bad}).refused(http.StatusUnprocessableEntity, "invalid_domain", "name")
	}
	for query, want := range map[string]int{"": 2, "?search=OOLI": 1, "?limit=1": 1, "?offset=1": 1, "?search=none": 0} {
		var list []domainAnswer
		if w.asSub("GET", path+query, nil).ok(200, &list); len(list) != want {
			t.Errorf("%q: %d domains", query, len(list))
		}
	}
	w.asSub("GET", path+"?limit=0", nil).refused(http.StatusBadRequest, "invalid_parameter", "limit")

	// Another sub-account sees none of them, and may have the same; it gets the same key, for DNS has one place for it.
	_, other := w.secondSub("other")
	if a := w.call("GET", path, other, nil); a.status != 200 || string(a.body) != "[]\n" {
		t.Errorf("another sub-account: %d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		w.call(method, fmt.Sprint(path, "/", two.ID), other, nil).refused(http.StatusNotAcceptable, "not_found", "")
	}
	w.call("POST", fmt.Sprint(path, "/", two.ID, "/verify"), other, nil).refused(http.StatusNotAcceptable, "not_found", "")
	var theirs domainAnswer
	w.call("POST", path, other, map[string]string{"name": "hooli.com"}).ok(200, &theirs)
	if theirs.DKIM != two.DKIM {
		t.Errorf("the same name in the same account: %+v, want %+v", theirs.DKIM, two.DKIM)
	}

	for _, id := range []string{"999", "x", "0", "-1", "99999999999", secret.APIKey()} {
		w.asSub("GET", path+"/"+id, nil).refused(http.StatusNotAcceptable, "not_found", "")
		w.asSub("POST", path+"/"+id+"/verify", nil).refused(http.StatusNotAcceptable, "not_found", "")
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
	if again := w.whitelist("hooli.com"); again.DKIM != two.DKIM { // the other sub-account kept it
		t.Errorf("again: %+v", again)
	}
}

// Each record that is set is verified on its own, and the domain as a whole by its key.
func TestVerifyDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/api/v1/subaccount/domain"
	made := w.whitelist("hooli.com")
	verify := func() (got domainAnswer) {
		t.Helper()
		wantKeys(t, w.asSub("POST", fmt.Sprint(path, "/", made.ID, "/verify"), nil).ok(200, &got).body, domainKeys...)
		var read domainAnswer
		if w.asSub("GET", fmt.Sprint(path, "/", made.ID), nil).ok(200, &read); read != got {
			t.Errorf("verify answers %+v, then there is %+v", got, read)
		}
		return got
	}
	got := verify()
	if got.Verified || got.SPFVerified || got.DMARCVerified || got.MailboxVerified || got.GPTVerified ||
		got.DKIMFailureReason != "sp-dkim._domainkey.hooli.com does not exist in DNS: it has no TXT record" ||
		got.TrackFailureReason != "track.hooli.com does not exist in DNS: it has no CNAME record" ||
		!strings.HasPrefix(got.ReturnPathFailureReason, "sp-bounces.hooli.com ") || !strings.HasPrefix(got.DMARCFailureReason, "_dmarc.hooli.com ") {
		t.Errorf("nothing is set: %+v", got)
	}
	for _, step := range []struct {
		set  dnsRecord
		want func(domainAnswer) bool
	}{
		{made.SPF, func(d domainAnswer) bool { return d.SPFVerified && !d.Verified }},
		{made.ReturnPath, func(d domainAnswer) bool {
			return d.ReturnPathVerified && d.ReturnPathFailureReason == "" && !d.Verified
		}},
		{made.Track, func(d domainAnswer) bool { return d.TrackVerified && d.TrackFailureReason == "" && !d.Verified }},
		{made.DMARC, func(d domainAnswer) bool { return d.DMARCVerified && d.DMARCFailureReason == "" && !d.Verified }},
		{made.DKIM, func(d domainAnswer) bool { return d.DKIMVerified && d.DKIMFailureReason == "" && d.Verified }},
	} {
		w.zone.set(step.set)
		if got := verify(); !step.want(got) {
			t.Errorf("with %s: %+v", step.set.Host, got)
		}
	}

	w.whitelist("piedpiper.com")
	for query, want := range map[string]string{
		"count": `{"count":2}`, "count?search=HOO": `{"count":1}`, "names": `["hooli.com","piedpiper.com"]`,
		"exists?name=Hooli.com": `{"exists":true}`, "exists?name=none.com": `{"exists":false}`,
		"isverified?name=hooli.com": `{"verified":true}`, "isverified?name=piedpiper.com": `{"verified":false}`, "isverified?name=none.com": `{"verified":false}`,
	} {
		if a := w.asSub("GET", path+"/"+query, nil); a.status != 200 || strings.TrimSpace(string(a.body)) != want {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	for _, bad := range []string{"exists", "isverified?name=x"} {
		w.asSub("GET", path+"/"+bad, nil).refused(http.StatusUnprocessableEntity, "invalid_domain", "name")
	}
}
