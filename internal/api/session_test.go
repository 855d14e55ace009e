package api

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/secret"
	"postyard/internal/store"
)

const memberPassword = "correct horse battery"

// browser is somebody who is signed in.
type browser struct {
	*world
	id     int32
	cookie string
	csrf   string
	sub    int32 // for operations of a sub-account
}

// signIn makes a member of the account with that key and signs them in.
func (w *world) signIn(key, email, role string) *browser {
	w.t.Helper()
	var made memberAnswer
	w.call("POST", memberPath, map[string]string{"X-Account-ApiKey": key}, map[string]any{"email": email, "name": "Somebody", "role": role}).ok(200, &made)
	_, token, _ := strings.Cut(made.InvitationLink, "#")
	r := httptest.NewRequest(http.MethodPost, "/web/invitation", http.NoBody)
	token, err := w.members.Join(w.t.Context(), r, token, memberPassword)
	if err != nil {
		w.t.Fatal(err)
	}
	now, err := w.members.Session(w.t.Context(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{world: w, id: made.ID, cookie: w.members.Cookie(token).Name + "=" + token, csrf: now.CSRF, sub: 1}
}

// headers are those of a request from the session's page.
func (b *browser) headers() map[string]string {
	return map[string]string{"Cookie": b.cookie, "X-CSRF-Token": b.csrf, "X-SubAccount-Id": fmt.Sprint(b.sub)}
}

// do makes a request as the page does.
func (b *browser) do(method, path string, body any) answer {
	b.t.Helper()
	return b.call(method, path, b.headers(), body)
}

// try makes a request for an operation. Of one that goes on for ever it reads what stands before the first empty line.
func (b *browser) try(o *operation, path string, headers map[string]string, body string) answer {
	b.t.Helper()
	if !slices.Contains(o.media, "text/event-stream") {
		return b.call(o.Method, path, headers, body)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), o.Method, b.url+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got := answer{t: b.t, status: res.StatusCode, header: res.Header}
	for lines := bufio.NewScanner(res.Body); lines.Scan() && len(lines.Bytes()) > 0; {
		got.body = append(got.body, lines.Text()+"\n"...)
	}
	return got
}

// keyless are the operations without a key. What stands here is for the whole world to see.
var keyless = []string{
	"POST /tpsp/{provider}/account/{id}", "GET /healthz", "GET /readyz", "GET /openapi.json", "GET /docs", "GET /track/tpsp/open/{token}/1.png",
	"GET /track/tpsp/click/{token}", "GET /track/tpsp/unsubscribe/{token}", "POST /track/tpsp/unsubscribe/{token}",
}

// readingPosts are the operations that viewers may use although their method says that they change something. Each was looked at: it does not.
var readingPosts = []string{"POST /api/v1/account/event/export", "POST /api/v1/subaccount/suppression/export",
	"POST /api/v1/account/ippool/preview"}

// asked is where a test asks an operation: with ids of a tenant, and with what it requires.
func (a *tenant) asked(o *operation) string {
	ids := map[string]string{"subaccount": fmt.Sprint(a.sub), "tpsp": fmt.Sprint(a.tpsp), "ippool": fmt.Sprint(a.pool), "message": a.message, "event": a.event,
		"domain": fmt.Sprint(a.domain), "label": fmt.Sprint(a.label), "template": fmt.Sprint(a.template), "ip": fmt.Sprint(a.ip),
		"webhook": fmt.Sprint(a.webhook), "member": fmt.Sprint(a.member)}
	parts := strings.Split(o.Path, "/")
	for i, part := range parts {
		switch part {
		case "{id}":
			parts[i] = ids[parts[4]]
		case "{n}": // of attachments
			parts[i] = "0"
		case "{email}":
			parts[i] = "gavin@mine.example.com"
		}
	}
	path := strings.Join(parts, "/")
	given := map[string]string{"from": time.Now().UTC().Format(time.DateOnly), "to": time.Now().UTC().Format(time.DateOnly), "group": "g", "name": "mine.example.com"}
	if strings.HasSuffix(o.Path, "/explain") {
		given["to"] = "gavin@mine.example.com"
	}
	separator := "?"
	for _, p := range o.query {
		if p.Required {
			path += separator + p.Name + "=" + given[p.Name]
			separator = "&"
		}
	}
	return path
}

// liveSecrets are all that a server holds of an account that opens something.
func (w *world) liveSecrets(a tenant) map[string]string {
	w.t.Helper()
	found := map[string]string{"the account's key": a.key, "the sub-account's key": a.subKey, "the provider's key": w.postmark("", "")["key"].(string)}
	for _, sub := range w.dir.Current().SubAccounts(w.account.ID) {
		key, err := w.accounts.Key(sub)
		if err != nil {
			w.t.Fatal(err)
		}
		found["key of "+sub.Name] = key.Reveal()
	}
	var of secretAnswer
	w.call("GET", fmt.Sprintf("/api/v1/account/webhook/%d/secret", a.webhook), map[string]string{"X-Account-ApiKey": a.key}, nil).ok(200, &of)
	found["the webhook's secret"] = of.Secret
	for _, t := range w.dir.Current().TPSPs(w.account.ID) {
		hook, err := w.tpsps.Hook(t)
		if err != nil {
			w.t.Fatal(err)
		}
		found["the provider's webhook credentials"] = hook.Credentials.Password.Reveal()
	}
	list, err := w.db.Members(w.t.Context(), w.account.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range list {
		if m.Password != "" {
			found["the password of "+m.Email] = m.Password
		}
	}
	for name, value := range found {
		if len(value) < 8 {
			w.t.Fatalf("%s is %q", name, value)
		}
	}
	return found
}

// A viewer's session reads everything, changes nothing, and is told no secret. Every operation is tried; one that a viewer may use has to
// succeed here, so that what it tells has been looked at.
func TestViewersOnlyLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.settle(w.accountKey, "mine.example.com", "203.0.113.7")
	viewer := w.signIn(w.accountKey, "viewer@example.com", "viewer")
	viewer.sub = mine.sub
	secrets := w.liveSecrets(mine)
	secrets["the token in a webhook's URL"], secrets["the token in a URL that a message names"] = hookToken, namedToken
	hook := fmt.Sprintf("/api/v1/account/webhook/%d", mine.webhook)
	w.asAccount("POST", hook+"/pause", nil).ok(200, nil) // so that more is told of it
	w.asAccount("POST", hook+"/replay", map[string]any{"eventId": mine.event}).ok(200, nil)
	if _, err := w.db.NamedEndpoints(t.Context(), []store.Endpoint{{AccountID: 1, URL: "https://mine.example.com/named?t=" + namedToken, Named: true, Enabled: true,
		Secret: []byte("x"), Created: time.Now(), Updated: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	secrets["the session's token"] = strings.SplitN(viewer.cookie, "=", 2)[1]
	before := w.snapshot(mine)
	for _, o := range (&server{}).operations() {
		if o.Auth != accountKey && o.Auth != subAccountKey {
			if !slices.Contains(keyless, o.name()) {
				t.Errorf("%s needs no key: is it meant for the whole world?", o.name())
			}
			continue
		}
		looks := o.needed() == store.Viewer
		if looks && o.Method != http.MethodGet && !slices.Contains(readingPosts, o.name()) {
			t.Errorf("%s is open to viewers: does it only read?", o.name())
		}
		a := viewer.try(&o, mine.asked(&o), viewer.headers(), fmt.Sprintf(`{"id":%d}`, mine.pool)) // of a preview; others know no such key
		switch {
		case looks && a.status != o.status:
			t.Errorf("%s (%s): %d %.200s; what it tells viewers was not looked at", o.name(), mine.asked(&o), a.status, a.body)
		case !looks && (a.status != http.StatusForbidden || !o.foreign && !strings.Contains(string(a.body), `"forbidden_role"`) || !strings.Contains(string(a.body), o.needed().String())):
			t.Errorf("%s: %d %.200s; it is not for viewers", o.name(), a.status, a.body)
		}
		for name, value := range secrets {
			if strings.Contains(string(a.body), value) {
				t.Errorf("%s tells %s: %.300s", o.name(), name, a.body)
			}
		}
	}
	if diff := cmp.Diff(before, w.snapshot(mine)); diff != "" {
		t.Errorf("something changed: %s", diff)
	}
	// What is masked for viewers stands in clear for admins.
	inClear := map[string]string{"/api/v1/account/webhook": hookToken, hook: hookToken, hook + "/status": hookToken, "/api/v1/account/attention": hookToken,
		"/api/v1/account/webhookendpoint": namedToken, "/api/v1/account/message/" + mine.message + "/webhooks": hookToken,
		"/api/v1/account/message/" + mine.message: namedToken}
	admin := w.signIn(w.accountKey, "admin@example.com", "admin")
	var sub subAccountAnswer
	path := fmt.Sprintf("/api/v1/account/subaccount/%d", mine.sub)
	viewer.do("GET", path, nil).ok(200, &sub)
	if sub.APIKey != secret.Mask(mine.subKey) {
		t.Errorf("a viewer sees the key %q", sub.APIKey)
	}
	admin.do("GET", path, nil).ok(200, &sub)
	if sub.APIKey != mine.subKey {
		t.Errorf("an admin sees the key %q", sub.APIKey)
	}
	for path, token := range inClear {
		if a := admin.do("GET", path, nil).ok(200, nil); !strings.Contains(string(a.body), token) {
			t.Errorf("an admin does not see %s at %s: %.300s", token, path, a.body)
		}
		if a := viewer.do("GET", path, nil).ok(200, nil); !strings.Contains(string(a.body), "?t=[hidden]") {
			t.Errorf("a viewer does not see the rest of the URL at %s: %.300s", path, a.body)
		}
	}
	// Nor is a token found out by looking for its letters.
	for _, c := range []struct {
		search string
		of     *browser
		want   int
	}{{hookToken[:5], viewer, 0}, {hookToken[:5], admin, 1}, {".COM/hook?t=[h", viewer, 1}, {"hook", viewer, 1}, {"", viewer, 1}} {
		var list []hookAnswer
		c.of.do("GET", "/api/v1/account/webhook?search="+url.QueryEscape(c.search), nil).ok(200, &list)
		var n countAnswer
		c.of.do("GET", "/api/v1/account/webhook/count?search="+url.QueryEscape(c.search), nil).ok(200, &n)
		if len(list) != c.want || n.Count != c.want {
			t.Errorf("search for %q: %d webhooks and the count %d, want %d", c.search, len(list), n.Count, c.want)
		}
	}
	var named []namedWebhookAnswer
	viewer.do("GET", "/api/v1/account/webhookendpoint?search="+namedToken[:5], nil).ok(200, &named)
	if len(named) != 0 {
		t.Errorf("a viewer finds %+v", named)
	}
}

// Admins may do everything but what is for owners, and owners everything. Without the proof nothing that changes something goes through.
func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, admin := w.signIn(w.accountKey, "owner@example.com", "owner"), w.signIn(w.accountKey, "admin@example.com", "admin")
	var forOwners []string
	for _, o := range (&server{}).operations() {
		if o.Auth != accountKey && o.Auth != subAccountKey {
			continue
		}
		path := strings.NewReplacer("{id}", "2147483647", "{email}", "x@example.com").Replace(o.Path)
		refused := func(a answer) bool {
			return a.status == http.StatusForbidden && (o.foreign || strings.Contains(string(a.body), `"forbidden_role"`))
		}
		if o.needed() == store.Owner {
			forOwners = append(forOwners, o.name())
		}
		if a := admin.try(&o, path, admin.headers(), "[]"); refused(a) != (o.needed() == store.Owner) {
			t.Errorf("admin, %s: %d %.200s", o.name(), a.status, a.body)
		}
		if a := owner.try(&o, path, owner.headers(), "[]"); refused(a) || a.status == http.StatusUnauthorized || a.status >= 500 {
			t.Errorf("owner, %s: %d %.200s", o.name(), a.status, a.body)
		}
		headers := owner.headers()
		delete(headers, "X-CSRF-Token")
		if a := owner.try(&o, path, headers, "[]"); (a.status == http.StatusForbidden && strings.Contains(string(a.body), "X-CSRF-Token")) != (o.Method != http.MethodGet) {
			t.Errorf("without the proof, %s: %d %.200s", o.name(), a.status, a.body)
		}
		headers = owner.headers()
		headers["Sec-Fetch-Site"] = "cross-site"
		if a := owner.try(&o, path, headers, "[]"); o.Method != http.MethodGet && a.status != http.StatusForbidden {
			t.Errorf("from another site, %s: %d %.200s", o.name(), a.status, a.body)
		}
		headers["Cookie"] += "x"
		if a := owner.try(&o, path, headers, "[]"); a.status != http.StatusUnauthorized {
			t.Errorf("with a token that is wrong, %s: %d %.200s", o.name(), a.status, a.body)
		}
	}
	want := []string{"POST " + memberPath, "PUT " + memberPath + "/{id}", "DELETE " + memberPath + "/{id}", "POST " + memberPath + "/{id}/invitation"}
	if diff := cmp.Diff(want, forOwners); diff != "" {
		t.Errorf("for owners: %s", diff)
	}
}

// A key counts, whoever is signed in: the session neither helps a wrong key nor changes what a right one may do.
func TestAKeyGoesBeforeASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	viewer := w.signIn(w.accountKey, "viewer@example.com", "viewer")
	headers := map[string]string{"Cookie": viewer.cookie, "X-Account-ApiKey": "AAAAAAAAAAAAAAAAAAAA"}
	w.call("GET", "/api/v1/account/tpsp", headers, nil).refused(401, "invalid_api_key", "X-Account-ApiKey")
	headers["X-Account-ApiKey"] = w.accountKey
	w.call("POST", "/api/v1/account/subaccount", headers, map[string]any{"name": "made with the key"}).ok(201, nil)
	w.connect("Postmark", "outbound")
	headers = map[string]string{"Cookie": viewer.cookie, "X-SubAccount-ApiKey": w.subKey}
	w.call("GET", "/api/v1/account/tpsp", headers, nil).refused(401, "missing_api_key", "X-Account-ApiKey")
	w.call("POST", sendPath, headers, email("gavin@example.com")).ok(200, nil)
}

func TestSessionsNameASubAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.signIn(w.accountKey, "admin@example.com", "admin")
	w.secondAccount()
	for value, want := range map[string]struct {
		status int
		code   string
	}{
		"": {400, "missing_sub_account"}, "x": {400, "invalid_sub_account"}, "0": {404, "not_found"}, "99999999999": {400, "invalid_sub_account"},
		"2": {404, "not_found"}, // the other account's
	} {
		headers := admin.headers()
		headers["X-SubAccount-Id"] = value
		field := ""
		if want.status == 400 {
			field = "X-SubAccount-Id"
		}
		w.call("GET", "/api/v1/subaccount/domain", headers, nil).refused(want.status, want.code, field)
	}
	w.connect("Postmark", "outbound")
	var sent []emailResponse
	admin.do("POST", sendPath, email("gavin@example.com")).ok(200, &sent)
	var got messageAnswer
	admin.do("GET", "/api/v1/account/message/"+sent[0].MessageID, nil).ok(200, &got)
	if got.SubAccountID != w.subAccount.ID {
		t.Errorf("sent by sub-account %d", got.SubAccountID)
	}
}

// What ends a session ends it for the API at once, and another role counts from the next request on.
func TestSessionsEndForTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(w.accountKey, "owner@example.com", "owner")
	admin, viewer := w.signIn(w.accountKey, "admin@example.com", "admin"), w.signIn(w.accountKey, "viewer@example.com", "viewer")
	w.asAccount("PUT", fmt.Sprintf("%s/%d", memberPath, admin.id), map[string]any{"name": "Renamed"}).ok(200, nil)
	admin.do("GET", "/api/v1/account/tpsp", nil).ok(200, nil)
	w.asAccount("PUT", fmt.Sprintf("%s/%d", memberPath, admin.id), map[string]any{"role": "viewer"}).ok(200, nil)
	admin.do("GET", "/api/v1/account/tpsp", nil).refused(401, "signed_out", "")
	w.asAccount("DELETE", fmt.Sprintf("%s/%d", memberPath, viewer.id), nil).ok(200, nil)
	viewer.do("GET", "/api/v1/account/tpsp", nil).refused(401, "signed_out", "")
	w.asAccount("DELETE", memberPath+"/1", nil).refused(409, "last_owner", "")
	w.asAccount("PUT", memberPath+"/1", map[string]any{"role": "admin"}).refused(409, "last_owner", "")
}

// An export ends in the middle when its session does, or the session is of somebody who may not export any more: there is nobody to go on for.
func TestExportsEndWithTheirSessions(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, b *browser){
		"nothing": func(*world, *browser) {},
		"sign out": func(w *world, b *browser) {
			now, err := w.members.Session(w.t.Context(), strings.SplitN(b.cookie, "=", 2)[1])
			if err == nil {
				err = w.members.SignOut(w.t.Context(), httptest.NewRequest(http.MethodDelete, "/web/session", http.NoBody), now)
			}
			if err != nil {
				w.t.Error(err)
			}
		},
		"removal": func(w *world, b *browser) {
			w.asAccount("DELETE", fmt.Sprintf("%s/%d", memberPath, b.id), nil).ok(200, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &growing{}
			w := newWorldWith(t, func(c *Config) { log.EventLog, log.look, c.Events = c.Events, 2, log })
			w.connect("Postmark", "outbound")
			w.mail("a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com")
			viewer := w.signIn(w.accountKey, "viewer@example.com", "viewer")
			log.grow = func() {
				if log.pieces == 2 {
					end(w, viewer)
				}
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/api/v1/account/event/export?format=ndjson", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range viewer.headers() {
				r.Header.Set(key, value)
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			var got bytes.Buffer
			_, err = got.ReadFrom(res.Body)
			events := strings.Count(got.String(), "\n")
			if whole := err == nil && events == 6; whole != (name == "nothing") || !whole && (err == nil || log.pieces != 2) {
				t.Errorf("%d events in %d pieces: %v", events, log.pieces, err)
			}
		})
	}
}

// Requests of a session count against the limit of requests.
func TestSessionsAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, func(c *Config) { c.RateLimit = 3 })
	viewer, other := w.signIn(w.accountKey, "viewer@example.com", "viewer"), w.signIn(w.accountKey, "other@example.com", "viewer")
	limited := 0
	for range 30 {
		if viewer.do("GET", "/api/v1/account/tpsp/count", nil).status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("no request of a session was refused")
	}
	other.do("GET", "/api/v1/account/tpsp/count", nil).ok(200, nil)
}
