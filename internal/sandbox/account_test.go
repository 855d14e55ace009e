package sandbox_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/sandbox"
)

// account calls the Postmark API with the account token.
func (b *bench) account(method, path string, body any) answer {
	b.t.Helper()
	return b.raw(method, path, text(b.t, body), accountToken, sandbox.DemoAccountToken, "Content-Type", "application/json")
}

func (b *bench) accountOK(method, path string, body any) answer {
	b.t.Helper()
	a := b.account(method, path, body)
	if a.status != http.StatusOK {
		b.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// id is the number of what was made.
func (a answer) id(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(a.field(t, "ID"))
}

// PM-sim 54: servers of the account, as a client makes, edits and removes them.
func TestServersOfTheAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.accountOK(http.MethodPost, "/servers", object{"Name": "Second"})
	token := made.field(t, "ApiTokens").([]any)[0].(string)
	if token != "sandbox-server-token-2" || made.field(t, "TrackLinks") != "None" || made.field(t, "TrackOpens") != false {
		t.Errorf("%s", made.body)
	}
	if a := b.as(token, http.MethodPost, "/email", mail(nil)); a.status != http.StatusOK {
		t.Errorf("the token of a new server: %d %s", a.status, a.body)
	}
	path := "/servers/" + made.id(t)
	if a := b.accountOK(http.MethodPut, path, object{"Name": "Renamed", "Color": "green"}); a.field(t, "Color") != "green" {
		t.Errorf("%s", a.body)
	}
	for code, c := range map[int]struct{ method, path, body string }{
		603: {http.MethodPost, "/servers", `{"Name":"sandbox"}`}, 608: {http.MethodPost, "/servers", `{}`}, 609: {http.MethodPost, "/servers", ``},
		613: {http.MethodPost, "/servers", `{"Name":"x","DeliveryType":"Both"}`}, 601: {http.MethodPut, "/servers/9", `{"Name":"x"}`},
		605: {http.MethodDelete, "/servers/1", ``}, 600: {http.MethodGet, "/servers?count=0&offset=0", ``},
	} {
		b.account(c.method, c.path, c.body).want(t, 422, code, "")
	}
	// Who knows the server by the control API does so by its first name; a new one may have that name again.
	if list := b.servers(); len(list) != 2 || list[1].Name != "Second" {
		t.Errorf("%+v", list)
	}
	again := b.accountOK(http.MethodPost, "/servers", object{"Name": "Second", "DeliveryType": "Sandbox"})
	if list := b.servers(); again.field(t, "Name") != "Second" || len(list) != 3 || list[2].Name == "Second" {
		t.Errorf("%s %+v", again.body, list)
	}
	sent := b.as("sandbox-server-token-3", http.MethodPost, "/email", mail(nil)).field(t, "MessageID").(string)
	if a := b.as("sandbox-server-token-3", http.MethodGet, "/messages/outbound/"+sent+"/details", nil); a.field(t, "Sandboxed") != true {
		t.Errorf("%s", a.body)
	}
	if got := b.accountOK(http.MethodDelete, path, nil).field(t, "Message"); got != "Server Renamed removed." {
		t.Error(got)
	}
	if a := b.as(token, http.MethodGet, "/server", nil); a.status != http.StatusUnauthorized {
		t.Errorf("a removed server answers: %d %s", a.status, a.body)
	}
}

// PM-sim 16: a domain may send once its DKIM is verified, an address once it is confirmed.
func TestDomainsAndSenders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	may := func(from string) bool {
		return b.api(http.MethodPost, "/email", mail(object{"From": from})).status == http.StatusOK
	}
	domain := b.accountOK(http.MethodPost, "/domains/", object{"Name": "Shop.Example", "ReturnPathDomain": "pm.shop.example"})
	path := "/domains/" + domain.id(t)
	if domain.field(t, "Name") != "shop.example" || domain.field(t, "DKIMUpdateStatus") != "Pending" || domain.field(t, "DKIMHost") != "" || may("a@shop.example") {
		t.Errorf("a new domain: %s", domain.body)
	}
	b.account(http.MethodPost, path+"/rotateDKIM", nil).want(t, 422, 505, "This DKIM is already being renewed.")
	first := b.accountOK(http.MethodPut, path+"/verifyDKIM", nil)
	if first.field(t, "DKIMVerified") != true || first.field(t, "DKIMHost") == "" || first.field(t, "DKIMPendingHost") != "" || !may("a@shop.example") {
		t.Errorf("a verified domain: %s", first.body)
	}
	rotated := b.accountOK(http.MethodPost, path+"/rotateDKIM", nil)
	if rotated.field(t, "DKIMHost") != first.field(t, "DKIMHost") || rotated.field(t, "DKIMPendingHost") == "" || !may("a@shop.example") {
		t.Errorf("a new key that waits: %s", rotated.body)
	}
	second := b.accountOK(http.MethodPut, path+"/verifyDKIM", nil)
	if second.field(t, "DKIMHost") != rotated.field(t, "DKIMPendingHost") || second.field(t, "DKIMRevokedHost") != first.field(t, "DKIMHost") {
		t.Errorf("a new key: %s", second.body)
	}
	if b.accountOK(http.MethodPut, path+"/verifyReturnPath", nil).field(t, "ReturnPathDomainVerified") != true ||
		b.accountOK(http.MethodPut, path, object{"ReturnPathDomain": "other.shop.example"}).field(t, "ReturnPathDomainVerified") != false ||
		b.accountOK(http.MethodPost, path+"/verifySPF", nil).field(t, "SPFVerified") != true {
		t.Error("return path or SPF")
	}

	sender := b.accountOK(http.MethodPost, "/senders/", object{"FromEmail": "Ana@new.example", "Name": "Ana", "ReplyToEmail": "re@new.example"})
	if sender.field(t, "Domain") != "new.example" || sender.field(t, "Confirmed") != false || sender.field(t, "DKIMVerified") != false || may("ana@new.example") {
		t.Errorf("a new sender: %s", sender.body)
	}
	b.control(http.MethodPost, "/sandbox/senders/nobody@new.example/confirm", nil, http.StatusUnprocessableEntity)
	b.control(http.MethodPost, "/sandbox/senders/ana@new.example/confirm", nil, http.StatusOK)
	if !may("ana@new.example") || may("bob@new.example") {
		t.Error("a confirmed address may send, others of its domain may not")
	}
	b.account(http.MethodPost, "/senders/"+sender.id(t)+"/resend", nil).want(t, 422, 506, "")

	for code, c := range map[int]struct{ path, body string }{
		500: {"", ""}, 502: {"/senders", ""}, 503: {"/domains", `{"Name":"gmail.com"}`}, 504: {"/senders", `{"FromEmail":"ANA@new.example","Name":"A"}`},
		511: {"/domains", ``}, 512: {"/domains", `{"Name":"example.com"}`}, 514: {"/domains", `{}`}, 516: {"/domains", `{"Name":"no domain"}`},
		520: {"/senders", `{"Name":"A"}`}, 522: {"/senders", `{"FromEmail":"nobody","Name":"A"}`},
	} {
		if code == 500 {
			b.account(http.MethodGet, "/senders?count=0&offset=0", nil).want(t, 422, code, "")
			continue
		}
		b.account(http.MethodPost, c.path, c.body).want(t, 422, code, "")
	}
	b.account(http.MethodPost, "/senders", `{"FromEmail":"bob@new.example"}`).want(t, 422, 514, "The 'Name' of the sender signature is required.")
	b.account(http.MethodGet, "/senders/99", nil).want(t, 404, 501, "")
	b.account(http.MethodGet, "/domains/99", nil).want(t, 422, 510, "")

	var list struct {
		TotalCount int
		Domains    []struct {
			ID   int
			Name string
		}
	}
	b.accountOK(http.MethodGet, "/domains?count=2&offset=1", nil).into(t, &list)
	if list.TotalCount != 3 || len(list.Domains) != 2 || list.Domains[0].Name != "shop.example" || list.Domains[1].Name != "new.example" {
		t.Fatalf("%+v", list)
	}
	b.accountOK(http.MethodDelete, fmt.Sprintf("/domains/%d", list.Domains[1].ID), nil)
	if got := b.accountOK(http.MethodGet, "/senders?count=5&offset=0", nil).field(t, "TotalCount"); got != 0.0 || may("ana@new.example") {
		t.Errorf("a removed domain leaves %v senders", got)
	}
}

// Templates with an alias are pushed with their layouts, all or none; a trial changes nothing.
func TestPushTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second"}, http.StatusOK)
	b.ok(http.MethodPost, "/templates", object{"Name": "No alias", "Subject": "s", "TextBody": "t"})
	b.ok(http.MethodPost, "/templates", object{"Name": "Frame", "Alias": "frame", "TemplateType": "Layout", "TextBody": "[{{{@content}}}]"})
	b.ok(http.MethodPost, "/templates", object{"Name": "Note", "Alias": "note", "Subject": "s", "TextBody": "{{a}}", "LayoutTemplate": "frame"})
	push := func(from, to int, perform bool) answer {
		return b.account(http.MethodPut, "/templates/push", object{"SourceServerID": from, "DestinationServerID": to, "PerformChanges": perform})
	}
	action := func(what string, id any, alias, name, kind string) object {
		return object{"Action": what, "TemplateId": id, "Alias": alias, "Name": name, "TemplateType": kind}
	}
	for _, perform := range []bool{false, true} {
		ids := []any{nil, 1.0, nil}
		if perform {
			ids = []any{2.0, 1.0, 3.0}
		}
		var got object
		push(1, 2, perform).into(t, &got)
		want := object{"TotalCount": 3.0, "Templates": []any{action("Create", ids[0], "frame", "Frame", "Layout"),
			action("Edit", ids[1], "welcome-template", "Welcome", "Standard"), action("Create", ids[2], "note", "Note", "Standard")}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		send := b.as("second", http.MethodPost, "/email/withTemplate", templated(object{"TemplateAlias": "note", "TemplateModel": object{"a": "x"}}))
		if (send.status == http.StatusOK) != perform {
			t.Errorf("performed %v, but %s", perform, send.body)
		}
		if perform && b.message(send.field(t, "MessageID").(string)).Text != "[x]" {
			t.Error("the pushed template has lost its layout")
		}
	}
	for message, ids := range map[string][2]int{"The source and destination servers were not found.": {8, 9}, "The source server was not found.": {8, 1},
		"The destination server was not found.": {1, 9}} {
		push(ids[0], ids[1], false).want(t, 422, 601, message)
	}
	b.as("second", http.MethodDelete, "/templates/note", nil)
	b.as("second", http.MethodPost, "/templates", object{"Name": "Note", "Alias": "note", "TemplateType": "Layout", "TextBody": "{{{@content}}}"})
	push(1, 2, true).want(t, 422, 1125, "")
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Third", "token": "third"}, http.StatusOK)
	b.as("third", http.MethodDelete, "/templates/welcome-template", nil)
	push(3, 2, true).want(t, 422, 1124, "")
}

// Inbound rules, the sample of an inbound message, and requests to remove data.
func TestInboundAndRemovals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rule := b.ok(http.MethodPost, "/triggers/inboundrules", object{"Rule": "spam@example.org"})
	b.api(http.MethodPost, "/triggers/inboundrules", object{"Rule": "SPAM@example.org"}).want(t, 422, 810, "")
	b.api(http.MethodPost, "/triggers/inboundrules", nil).want(t, 422, 809, "")
	b.api(http.MethodGet, "/triggers/inboundrules?count=0&offset=0", nil).want(t, 422, 800, "")
	b.ok(http.MethodPost, "/triggers/inboundrules", object{"Rule": "example.org"})
	if got := b.ok(http.MethodGet, "/triggers/inboundRules?count=1&offset=1", nil); got.field(t, "TotalCount") != 2.0 || len(got.field(t, "InboundRules").([]any)) != 1 {
		t.Errorf("%s", got.body)
	}
	b.ok(http.MethodDelete, "/triggers/inboundrules/"+rule.id(t), nil)
	b.api(http.MethodDelete, "/triggers/inboundrules/"+rule.id(t), nil).want(t, 422, 812, "")

	inbound := func(query string) any {
		return b.ok(http.MethodGet, "/messages/inbound?count=9&offset=0"+query, nil).field(t, "TotalCount")
	}
	if inbound("") != 1.0 || inbound("&status=blocked") != 0.0 || inbound("&fromemail=visitor@example.net") != 1.0 {
		t.Error("the sample of an inbound message")
	}
	b.api(http.MethodGet, "/messages/inbound/nope/details", nil).want(t, 422, 701, "This message was not found.")
	b.api(http.MethodPut, "/messages/inbound/nope/bypass", nil).want(t, 422, 701, "This message was not found or cannot be bypassed.")
	b.api(http.MethodPut, "/messages/inbound/nope/retry", nil).want(t, 422, 701, "This message was not found or cannot be retried.")

	request := b.accountOK(http.MethodPost, "/data-removals", object{"RequestedBy": "a@example.com", "RequestedFor": "b@example.com"})
	status := func() any {
		return b.accountOK(http.MethodGet, "/data-removals/"+request.id(t), nil).field(t, "Status")
	}
	if request.field(t, "Status") != "Pending" || status() != "Pending" {
		t.Errorf("%s", request.body)
	}
	b.clock.Advance(time.Minute)
	if got := status(); got != "Done" {
		t.Error(got)
	}
	b.account(http.MethodPost, "/data-removals", object{"RequestedBy": "a@example.com", "RequestedFor": "nobody"}).want(t, 422, 1301, "")
	b.account(http.MethodGet, "/data-removals/99", nil).want(t, 422, 1302, "")
}

// The bulk API is off until it is switched on; then what is refused is counted, unless everything is.
func TestBulk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bulk := func(changes object) object {
		return merge(object{"From": "app@example.com", "Subject": "News", "TextBody": "Hello", "Tag": "bulk", "Metadata": object{"a": "1", "b": "1"},
			"Messages": []object{{"To": "ana@example.net", "Metadata": object{"b": "2"}}, {"To": "nobody"}}}, changes)
	}
	b.api(http.MethodPost, "/email/bulk", bulk(nil)).want(t, 422, 14, "")
	b.control(http.MethodPut, "/sandbox/settings", object{"bulk": true}, http.StatusOK)
	accepted := b.ok(http.MethodPost, "/email/bulk", bulk(nil))
	if accepted.field(t, "Status") != "Accepted" {
		t.Errorf("%s", accepted.body)
	}
	path := "/email/bulk/" + accepted.field(t, "Id").(string)
	var got object
	b.ok(http.MethodGet, path, nil).into(t, &got)
	want := object{"Id": accepted.field(t, "Id"), "Status": "Completed", "SubmittedAt": "2026-03-02T10:00:00.0000000Z", "TotalMessages": 2.0,
		"PercentageCompleted": 100.0, "ReleasedCount": 1.0, "FailedCount": 1.0, "Subject": "News"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if total, _ := b.search("count=1&offset=0&tag=bulk&metadata_a=1&metadata_b=2"); total != 1 {
		t.Errorf("%d messages with what they share and what is their own", total)
	}
	one := b.ok(http.MethodPost, "/email/bulk", bulk(object{"Subject": nil, "TextBody": nil, "TemplateAlias": sandbox.DemoTemplateAlias,
		"Messages": []object{{"To": "ana@example.net", "TemplateModel": object{"name": "Ana"}}, {"To": "bob@example.net"}}}))
	if got := b.ok(http.MethodGet, "/email/bulk/"+one.field(t, "Id").(string), nil).field(t, "ReleasedCount"); got != 2.0 {
		t.Errorf("%v of a template", got)
	}
	b.api(http.MethodPost, "/email/bulk", bulk(object{"From": "me@other.example", "Messages": []object{{"To": "a@example.net"}, {"To": "b@example.net"}}})).
		want(t, 422, 400, "")
	several := b.api(http.MethodPost, "/email/bulk", bulk(object{"Messages": []object{{"To": "nobody"}, {}}}))
	several.want(t, 422, 11, "")
	if errs, _ := several.field(t, "Errors").(object); len(errs) != 2 {
		t.Errorf("%s", several.body)
	}
	b.api(http.MethodPost, "/email/bulk", bulk(object{"MessageStream": "nope"})).want(t, 422, 1226, "")
	b.api(http.MethodPost, "/email/bulk", bulk(object{"Messages": []object{}})).want(t, 422, 300, "")
	b.api(http.MethodGet, "/email/bulk/nope", nil).want(t, 404, 12, "")
}

// What the API has made of the account survives a kill; a reset goes back to the seed, but servers stay as they began.
func TestAccountIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := setup(t, in(dir))
	made := before.accountOK(http.MethodPost, "/servers", object{"Name": "Second", "TrackOpens": true})
	before.accountOK(http.MethodPut, "/servers/"+made.id(t), object{"Name": "Renamed", "TrackOpens": false})
	before.ok(http.MethodPut, "/server", object{"Color": "red"})
	domain := before.accountOK(http.MethodPost, "/domains", object{"Name": "shop.example"})
	before.accountOK(http.MethodPut, "/domains/"+domain.id(t)+"/verifydkim", nil)
	gone := before.accountOK(http.MethodPost, "/domains", object{"Name": "gone.example"})
	before.accountOK(http.MethodDelete, "/domains/"+gone.id(t), nil)
	sender := before.accountOK(http.MethodPost, "/senders", object{"FromEmail": "ana@new.example", "Name": "Ana"})
	removal := before.accountOK(http.MethodPost, "/data-removals", object{"RequestedBy": "a@example.com", "RequestedFor": "b@example.com"})
	rule := before.ok(http.MethodPost, "/triggers/inboundrules", object{"Rule": "spam.example"})
	before.control(http.MethodPut, "/sandbox/settings", object{"bulk": true}, http.StatusOK)
	bulk := before.ok(http.MethodPost, "/email/bulk", object{"From": "app@example.com", "TextBody": "x", "Messages": []object{{"To": "a@example.net"}}})

	after := setup(t, in(killed(t, dir, "")))
	paths := map[string]string{"/server": sandbox.DemoServerToken, "/server?": "sandbox-server-token-2", "/triggers/inboundrules?count=9&offset=0": sandbox.DemoServerToken,
		"/email/bulk/" + bulk.field(t, "Id").(string): sandbox.DemoServerToken}
	for path, token := range paths {
		if diff := cmp.Diff(string(before.as(token, http.MethodGet, path, nil).body), string(after.as(token, http.MethodGet, path, nil).body)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	for _, path := range []string{"/domains?count=9&offset=0", "/senders/" + sender.id(t), "/domains/" + domain.id(t), "/data-removals/" + removal.id(t)} {
		if diff := cmp.Diff(string(before.accountOK(http.MethodGet, path, nil).body), string(after.accountOK(http.MethodGet, path, nil).body)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	after.ok(http.MethodDelete, "/triggers/inboundrules/"+rule.id(t), nil)
	if next := after.accountOK(http.MethodPost, "/domains", object{"Name": "next.example"}).id(t); next == gone.id(t) || next == removal.id(t) {
		t.Errorf("number %s was given before", next)
	}

	after.control(http.MethodPost, "/sandbox/reset", nil, http.StatusOK)
	again := setup(t, in(killed(t, after.dir, "")))
	for _, b := range []*bench{after, again} {
		if got := b.accountOK(http.MethodGet, "/domains?count=9&offset=0", nil).field(t, "TotalCount"); got != 1.0 {
			t.Errorf("%v domains after a reset", got)
		}
		if got := b.ok(http.MethodGet, "/server", nil).field(t, "Color"); got != "Turqoise" {
			t.Errorf("the seed's server after a reset: %v", got)
		}
		if a := b.as("sandbox-server-token-2", http.MethodGet, "/server", nil); a.field(t, "Name") != "Second" || a.field(t, "TrackOpens") != true {
			t.Errorf("an added server after a reset: %s", a.body)
		}
	}
}
