package api

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

const ipPath = "/api/v1/account/ip"

// takeIPs has the first account take configured IPs, and reads them.
func (w *world) takeIPs(addresses ...string) (list []ipAnswer) {
	w.t.Helper()
	w.asAccount("PUT", ipPath+"/allocate", map[string]any{"ips": addresses, "overflowPool": false}).ok(200, nil)
	w.asAccount("GET", ipPath+"/", nil).ok(200, &list)
	return list
}

// ownPool is the body that creates a pool of IPs, as the official examples send it.
func ownPool(name string, addresses ...string) map[string]any {
	ips := []map[string]any{}
	for _, a := range addresses {
		ips = append(ips, map[string]any{"publicIP": a})
	}
	return map[string]any{"name": name, "ips": ips, "routingStrategy": 0, "warmupInterval": 24, "overflowStrategy": 0}
}

var ipKeys = []string{"id", "publicIP", "created", "type", "state", "labels"}

// TestIPs walks SendPost's operations on IPs.
func TestIPs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.asAccount("GET", ipPath+"/", nil).ok(200, nil); string(a.body) != "[]\n" {
		t.Errorf("before: %s", a.body)
	}
	a := w.asAccount("PUT", ipPath+"/allocate", map[string]any{"ips": []string{"203.0.113.7"}, "overflowPool": true})
	var one ipAnswer
	a.ok(200, &one)
	wantKeys(t, a.body, ipKeys...)
	if one.PublicIP != "203.0.113.7" || one.ID != 1 || one.Created == 0 || one.State != 1 {
		t.Errorf("%s", a.body)
	}
	w.asAccount("POST", ipPath+"/allocate/", map[string]any{"ips": []string{"203.0.113.8"}, "overflowPool": false}).ok(200, nil)
	for query, want := range map[string]int{"": 2, "?limit=1": 1, "?offset=1": 1, "?offset=2": 0, "?search=113.8": 1, "?search=nobody": 0} {
		var list []ipAnswer
		if w.asAccount("GET", ipPath+query, nil).ok(200, &list); len(list) != want {
			t.Errorf("%q lists %d, want %d", query, len(list), want)
		}
	}
	for query, want := range map[string]int{"": 2, "?search=.8": 1} {
		var n countAnswer
		if w.asAccount("GET", ipPath+"/count"+query, nil).ok(200, &n); n.Count != want {
			t.Errorf("%q counts %d", query, n.Count)
		}
	}
	for body, want := range map[string]string{
		`{"ips":[]}`: "422 missing_ip", `{"ips":["x"]}`: "422 invalid_ip", `{"ips":["198.51.100.1"]}`: "422 unknown_ip",
		`{"ips":["203.0.113.7"]}`: "403 ip_taken", `{}`: "422 missing_ip",
	} {
		var status int
		var code string
		_, _ = fmt.Sscan(want, &status, &code)
		w.asAccount("PUT", ipPath+"/allocate", body).refused(status, code, "ips")
	}

	path := fmt.Sprintf("%s/%d", ipPath, one.ID)
	w.asAccount("PUT", path, map[string]any{"autoWarmupEnabled": true}).ok(200, nil)
	w.asAccount("PUT", path, map[string]any{}).refused(422, "missing_auto_warmup", "autoWarmupEnabled")
	w.asAccount("PUT", path, map[string]any{"ambiguousPolicy": "never"}).refused(422, "unknown_policy", "ambiguousPolicy")
	w.asAccount("PUT", path, map[string]any{"ratePerHour": -1}).refused(422, "invalid_limit", "ratePerHour")
	changed := w.asAccount("PUT", path+"/", map[string]any{"active": false, "ratePerHour": 10, "mailboxLimits": map[string]int{"gmail": 5},
		"ambiguousPolicy": "at-most-once"}).ok(200, nil)
	wantKeys(t, changed.body, append(ipKeys, "gmailSettings")...)
	if !strings.Contains(string(changed.body), `"gmailSettings":"{\"name\":\"gmail\",\"maxSendPerHour\":5}"`) || !strings.Contains(string(changed.body), `"state":0`) {
		t.Errorf("%s", changed.body)
	}
	if read := w.asAccount("GET", path, nil).ok(200, nil); string(read.body) != string(changed.body) {
		t.Errorf("read: %s", read.body)
	}
	var settings ipSettings
	s := w.asAccount("GET", path+"/settings", nil).ok(200, &settings)
	wantKeys(t, s.body, "id", "publicIP", "configured", "autoWarmupEnabled", "active", "ambiguousPolicy", "ratePerHour", "mailboxLimits", "health", "usage")
	if !settings.AutoWarmupEnabled || settings.Active || settings.AmbiguousPolicy != "at-most-once" || settings.RatePerHour != 10 ||
		settings.MailboxLimits["gmail"] != 5 || settings.Health.State != "paused" || !settings.Configured {
		t.Errorf("%s", s.body)
	}
	w.asAccount("PUT", path, map[string]any{"active": true}).ok(200, nil)
	w.asAccount("POST", path+"/drill", map[string]any{"seconds": 60}).ok(200, &settings)
	if settings.Health.State != "drill" {
		t.Errorf("%+v", settings)
	}
	w.asAccount("POST", path+"/drill", map[string]any{}).refused(422, "missing_seconds", "seconds")
	w.asAccount("POST", path+"/drill", map[string]any{"seconds": 0}).ok(200, nil)

	w.makePool(ownPool("own", "203.0.113.7"))
	w.asAccount("DELETE", path, nil).refused(409, "ippools_would_be_empty", "force")
	var gone deletedAnswer
	w.asAccount("DELETE", path+"?force=true", nil).ok(200, &gone)
	if gone.ID != one.ID || gone.Message != "IP (203.0.113.7) has been deleted successfully" {
		t.Errorf("%+v", gone)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		w.asAccount(method, path, map[string]any{"autoWarmupEnabled": true}).refused(404, "not_found", "")
	}
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	w.call("PUT", ipPath+"/allocate", stranger, map[string]any{"ips": []string{"203.0.113.8"}}).refused(403, "ip_taken", "ips")
	w.call("PUT", ipPath+"/allocate", stranger, map[string]any{"ips": []string{"203.0.113.7"}}).ok(200, nil)
	w.call("POST", "/api/v1/account/ippool", stranger, ownPool("theirs", "203.0.113.8")).refused(422, "unknown_ip", "ips")
}

// TestMailboxSettings checks that each mailbox provider has its key, as SendPost spells them.
func TestMailboxSettings(t *testing.T) {
	t.Parallel()
	var s mailboxSettings
	names := map[*string]string{}
	of := reflect.ValueOf(&s).Elem()
	for i := range of.NumField() {
		names[of.Field(i).Addr().Interface().(*string)] = of.Type().Field(i).Tag.Get("json")
	}
	for _, class := range mailbox.Classes() {
		if got, want := names[s.of(class)], string(class)+"Settings,omitempty"; got != want {
			t.Errorf("%s: %q", class, got)
		}
	}
	if len(names) != len(mailbox.Classes()) {
		t.Errorf("%d settings", len(names))
	}
}

// TestIPsInPools checks what pools show and take, with every strategy.
func TestIPsInPools(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := w.takeIPs("203.0.113.7", "203.0.113.8")
	tpsp := w.connect("Postmark", "outbound").ID
	one, two := fmt.Sprintf("IP_%d", list[0].ID), fmt.Sprintf("IP_%d", list[1].ID)
	made, path := w.makePool(with(ownPool("own", "203.0.113.7", "203.0.113.8"), "tpsps", []int32{tpsp}))
	if len(made.IPs) != 2 || made.IPs[0].PublicIP != list[0].PublicIP || len(made.ThirdPartySendingProviders) != 1 {
		t.Errorf("%+v", made)
	}
	var raw struct {
		IPs []json.RawMessage `json:"ips"`
	}
	w.asAccount("GET", path, nil).ok(200, &raw)
	wantKeys(t, raw.IPs[0], ipKeys...)
	for strategy, metadata := range map[int]string{
		1: fmt.Sprintf(`{"0":"[\"%s\"]","others":"[\"%s\",\"TPSP_%d\"]"}`, one, two, tpsp),
		2: fmt.Sprintf(`{"%s":"3","%s":"1","TPSP_%d":"0"}`, one, two, tpsp),
		3: fmt.Sprintf(`{"example.com":"[\"%s\"]","others":"[\"%s\",\"TPSP_%d\"]"}`, one, two, tpsp),
	} {
		w.asAccount("PUT", path, map[string]any{"name": "own", "routingStrategy": strategy, "routingMetaData": metadata}).ok(200, nil)
		var x routeAnswer
		w.asAccount("GET", path+"/explain?to=a@gmail.com&from=shop@example.com&subject=Hi&sample=100", nil).ok(200, &x)
		if first := x.Egresses[0]; first.Egress != one || first.IPID != list[0].ID || first.TPSPID != 0 || first.Name != "203.0.113.7" {
			t.Errorf("strategy %d: %+v", strategy, x)
		}
		if want := map[int]int{1: 100, 2: 75, 3: 100}[strategy]; x.Sample[0].Messages != want || x.Sample[0].Egress != one {
			t.Errorf("strategy %d: %+v", strategy, x.Sample)
		}
	}
	w.asAccount("PUT", path, map[string]any{"routingStrategy": 2, "routingMetaData": `{"IP_99":"1"}`}).refused(400, "unknown_egress", "routingMetaData")
	for body, code := range map[string]string{
		`{"ips":[{"publicIP":"198.51.100.1"}]}`: "unknown_ip", `{"ips":[{}]}`: "invalid_ip",
		`{"ips":[{"publicIP":"203.0.113.7"},{"publicIP":"203.0.113.7"}]}`: "duplicate_ip",
	} {
		w.asAccount("PUT", path, body).refused(400, code, "ips")
	}
	var changed poolAnswer
	w.asAccount("PUT", path, map[string]any{"routingStrategy": 0, "ips": []map[string]any{{"publicIP": "203.0.113.8"}}}).ok(200, &changed)
	if len(changed.IPs) != 1 || changed.IPs[0].ID != list[1].ID || len(changed.ThirdPartySendingProviders) != 1 {
		t.Errorf("%+v", changed)
	}
	var pools []poolAnswer
	if w.asAccount("GET", fmt.Sprintf("%s/%d/ippool", ipPath, list[1].ID), nil).ok(200, &pools); len(pools) != 1 || pools[0].Name != "own" {
		t.Errorf("%+v", pools)
	}
	if w.asAccount("GET", fmt.Sprintf("%s/%d/ippool", ipPath, list[0].ID), nil).ok(200, &pools); len(pools) != 0 {
		t.Errorf("%+v", pools)
	}
	var warnings []warningAnswer
	_, alone := w.makePool(ownPool("alone", "203.0.113.7"))
	if w.asAccount("GET", alone+"/warnings", nil).ok(200, &warnings); warnings[0].Code != "no_fallback" || warnings[0].IPID != list[0].ID || warnings[0].Egress != one {
		t.Errorf("%+v", warnings)
	}
}

// TestIPStatistics counts what left through IPs apart from what left through providers.
func TestIPStatistics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := w.takeIPs("203.0.113.7", "203.0.113.8")
	one, two := list[0].ID, list[1].ID
	w.makePool(ownPool("own", "203.0.113.7"))
	w.makePool(ownPool("other", "203.0.113.8"))
	tpsp := w.connect("Postmark", "outbound").ID
	sent := map[string]string{}
	for pool, to := range map[string]string{"own": "a@gmail.com", "other": "b@yahoo.com"} {
		var got []emailResponse
		w.asSub("POST", "/api/v1/subaccount/email", map[string]any{"from": map[string]any{"email": "shop@example.com"}, "to": []map[string]any{{"email": to}},
			"subject": "Hi", "htmlBody": "<p>Hi</p>", "ippool": pool, "groups": []string{"news"}}).ok(200, &got)
		sent[pool] = got[0].MessageID
	}
	w.asSub("POST", "/api/v1/subaccount/email", with(email("c@gmail.com"), "ippool", "postmark-pool")).ok(200, nil)
	now, owner := time.Now(), store.OwnerOf(w.db.Node(), "test")
	hard := event.Type(4)
	for _, e := range []route.Egress{route.IP(one), route.IP(two)} {
		claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: e, Limit: 10, Owner: owner, Now: now, LeaseUntil: now.Add(time.Hour)})
		if err != nil || len(claimed.Jobs) != 1 {
			t.Fatal(claimed, err)
		}
		s := store.Settlement{Job: &claimed.Jobs[0], Owner: owner, Trigger: lifecycle.Accept, At: now, Egress: e, Sent: 9, Outcome: &provider.Outcome{}}
		if e == route.IP(two) {
			s.Trigger, s.Sent, s.Drop = lifecycle.Bounce, 0, &hard
			s.Outcome, s.Detail = &provider.Outcome{Class: provider.Rejected}, event.Detail{SMTPCode: 550}
		}
		if err := w.db.Settle(t.Context(), []store.Settlement{s}); err != nil {
			t.Fatal(err)
		}
	}
	const columns = "ipid publicIP processed sent hardBounced"
	w.asAccount("GET", "/api/v1/account/stat/aggregate/ip"+days3("&sortBy=name"), nil).wantRows(columns, fmt.Sprintf("%d 203.0.113.7 1 1 0", one),
		fmt.Sprintf("%d 203.0.113.8 1 0 1", two))
	raw := w.asAccount("GET", "/api/v1/account/stat/aggregate/ip"+days3("&search=.7"), nil)
	var rows []json.RawMessage
	raw.ok(200, &rows)
	wantKeys(t, rows[0], "ipid", "publicIP", "processed", "sent", "delivered", "dropped", "hardBounced", "softBounced", "opened", "clicked", "unsubscribed", "spam")
	w.asAccount("GET", "/api/v1/account/stat/aggregate/tpsp"+days3(), nil).wantRows("tpspId name processed", fmt.Sprintf("%d Postmark 1", tpsp))
	w.asAccount("GET", fmt.Sprintf("/api/v1/account/subaccount/stat/%d/aggregate/ip", w.subAccount.ID)+days3("&sortBy=name"), nil).
		wantRows("publicIP processed", "203.0.113.7 1", "203.0.113.8 1")
	var n countAnswer
	if w.asAccount("GET", "/api/v1/account/stat/aggregate/ip/count"+days3(), nil).ok(200, &n); n.Count != 2 {
		t.Errorf("%d rows", n.Count)
	}
	path := fmt.Sprintf("%s/stat/%d", ipPath, two)
	var daily []dailyStat
	if w.asAccount("GET", path+days3(), nil).ok(200, &daily); len(daily) != 1 || daily[0].Stat.HardBounced != 1 || daily[0].Stat.Processed != 1 {
		t.Errorf("%+v", daily)
	}
	var total statCounters
	if w.asAccount("GET", path+"/aggregate"+days3(), nil).ok(200, &total); total.HardBounced != 1 || total.Sent != 0 {
		t.Errorf("%+v", total)
	}
	w.asAccount("GET", path+"/aggregate/provider"+days3(), nil).wantRows("provider hardBounced", "yahoo 1")
	w.asAccount("GET", path+"/aggregate/subaccount"+days3(), nil).wantRows("name hardBounced", "default 1")
	w.asAccount("GET", path+"/aggregate/providers"+days3(), nil).wantRows("provider hardBounced", "yahoo 1")
	w.asAccount("GET", path+"/aggregate/subaccounts"+days3(), nil).wantRows("name hardBounced", "default 1")
	w.asSub("GET", "/api/v1/subaccount/stat/aggregate/ips"+days3("&sortBy=name"), nil).wantRows("publicIP processed", "203.0.113.7 1", "203.0.113.8 1")
	w.asAccount("GET", path+"/aggregate/group"+days3(), nil).wantRows("group hardBounced", "news 1")
	w.asAccount("GET", path+"/aggregate/reason"+days3(), nil).wantRows("reason hardBounced", "550 1")
	for query, want := range map[string]int64{fmt.Sprintf("&ipId=%d", one): 1, fmt.Sprintf("&filterBy=ip&filterValue=%d", one): 1, "": 3} {
		if w.asAccount("GET", "/api/v1/account/stat/aggregate"+days3(query), nil).ok(200, &total); total.Processed != want {
			t.Errorf("%q: %+v", query, total)
		}
	}
	w.asAccount("GET", path+days3("&ipId=1"), nil).refused(400, "invalid_parameter", "ipId")
	w.asAccount("GET", "/api/v1/account/stat"+days3("&ipId=1&tpspId=1"), nil).refused(400, "invalid_parameter", "ipId")

	// The message and its events name the IP, and so do filters.
	var m messageAnswer
	if w.asAccount("GET", "/api/v1/account/message/"+sent["other"], nil).ok(200, &m); m.IPID != two || m.PublicIP != "203.0.113.8" {
		t.Errorf("%+v", m)
	}
	var listed []messageAnswer
	if w.asAccount("GET", "/api/v1/account/recipient/b@yahoo.com/messages", nil).ok(200, &listed); len(listed) != 1 || listed[0].IPID != two || listed[0].PublicIP != "203.0.113.8" {
		t.Errorf("%+v", listed)
	}
	rowsOfIP, err := csv.NewReader(bytes.NewReader(w.asAccount("POST", "/api/v1/account/event/export", map[string]any{"ipId": one}).body)).ReadAll()
	if err != nil || len(rowsOfIP) != 3 || rowsOfIP[1][slices.Index(eventColumns, "ipID")] != fmt.Sprint(one) {
		t.Errorf("%q, %v", rowsOfIP, err)
	}
	for query, want := range map[string]int{fmt.Sprintf("source=ip&sourceId=%d", two): 2, fmt.Sprintf("ipId=%d", one): 2, fmt.Sprintf("ipId=%d&tpspId=%d", one, tpsp): 0,
		fmt.Sprintf("ipId=%d&type=9", one): 1, fmt.Sprintf("ipId=%d&provider=postmark", one): 0, fmt.Sprintf("tpspId=%d", tpsp): 1} {
		var events []eventAnswer
		if w.asAccount("GET", "/api/v1/account/event?"+query, nil).ok(200, &events); len(events) != want {
			t.Errorf("%s: %d events", query, len(events))
		}
		for _, e := range events {
			if (e.IPID != 0) == (e.TPSPID != 0) {
				t.Errorf("%s: %+v", query, e)
			}
		}
	}

	// An IP that was given back keeps what was counted.
	w.asAccount("DELETE", fmt.Sprintf("%s/%d?force=true", ipPath, two), nil).ok(200, nil)
	if w.asAccount("GET", path+"/aggregate"+days3(), nil).ok(200, &total); total.HardBounced != 1 {
		t.Errorf("%+v", total)
	}
}

// TestTryingAMailServer checks a mail server as its addition would, and leaves nothing behind.
func TestTryingAMailServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/api/v1/tpsp/test/custom-smtp"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("554 5.3.2 not today\r\n"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	w.asAccount("POST", path, map[string]any{}).refused(422, "missing_endpoint", "endpoint")
	w.asAccount("POST", path, map[string]any{"endpoint": "ftp://example.com"}).refused(422, "invalid_endpoint", "endpoint")
	p := w.asAccount("POST", path+"/", map[string]any{"endpoint": listener.Addr().String(), "secret": "hidden-word", "key": "user"}).refused(502, "provider_unavailable", "")
	if !strings.Contains(p.Message, "not today") || strings.Contains(p.Message, "hidden-word") {
		t.Errorf("%+v", p)
	}
	w.asAccount("POST", path, map[string]any{"endpoint": greeter(t)}).ok(200, nil)
	w.call("POST", path, map[string]string{"X-SubAccount-ApiKey": w.subKey}, "{}").refused(401, "missing_api_key", "X-Account-ApiKey")
	w.asAccount("POST", "/api/v1/account/tpsp", map[string]any{"name": "x", "type": -1, "endpoint": "smtp://127.0.0.1"}).refused(422, "unknown_provider_type", "type")
}

// greeter is a mail server that takes nothing, and says so politely.
func greeter(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 mail.example.com\r\n"))
			for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != "QUIT"; {
				_, _ = conn.Write([]byte("250 OK\r\n"))
			}
			_, _ = conn.Write([]byte("221 bye\r\n"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}
