package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// carry sends everything that waits for a provider.
func (w *world) carry(tpsp int32) {
	w.t.Helper()
	now, owner := time.Now(), store.OwnerOf(w.db.Node(), "test")
	claimed, err := w.db.Claim(w.t.Context(), store.Claim{Egress: route.TPSP(tpsp), Limit: 1000, Owner: owner, Now: now, LeaseUntil: now.Add(time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	batch := make([]store.Settlement, len(claimed.Jobs))
	for i := range batch {
		batch[i] = store.Settlement{Job: &claimed.Jobs[i], Owner: owner, Trigger: lifecycle.Accept, At: now, Egress: route.TPSP(tpsp), Sent: 70,
			Outcome: &provider.Outcome{ProviderMessageID: "pm-" + claimed.Jobs[i].ID.String()}}
	}
	if err := w.db.Settle(w.t.Context(), batch); err != nil {
		w.t.Fatal(err)
	}
}

// happen has a provider report something about a message, a while after it was accepted.
func (w *world) happen(tpsp int32, id, to string, kind event.Kind, after time.Duration, d event.Detail) {
	w.t.Helper()
	messageID := uuid.MustParse(id)
	m, err := w.db.Message(w.t.Context(), w.account.ID, messageID)
	if err != nil {
		w.t.Fatal(err)
	}
	typ, _ := event.TypeOf(event.Postmark, kind)
	r := provider.Report{Kind: kind, Type: typ, MessageID: messageID, Recipient: to, Identity: uuid.NewString(), OccurredAt: m.SubmittedAt.Add(after), Detail: d}
	res, err := w.db.Ingest(w.t.Context(), []store.Parsed{{Receipt: store.Receipt{AccountID: w.account.ID, TPSPID: tpsp}, Reports: []provider.Report{r}, Sent: 70, Now: time.Now()}})
	if err != nil || res.Recorded != 1 {
		w.t.Fatalf("%+v, %v", res, err)
	}
}

// days3 is a query of the days around now.
func days3(more ...string) string {
	now := time.Now().UTC()
	return "?from=" + now.AddDate(0, 0, -1).Format(time.DateOnly) + "&to=" + now.AddDate(0, 0, 1).Format(time.DateOnly) + strings.Join(more, "")
}

// rows reads the rows of a breakdown as "name counter counter ...".
func (a answer) rows(keys ...string) (list []string) {
	a.t.Helper()
	var got []map[string]any
	a.ok(200, &got)
	for _, of := range got {
		var cells []string
		for _, key := range keys {
			if _, has := of[key]; !has {
				a.t.Errorf("no %s in %v", key, of)
			}
			cells = append(cells, fmt.Sprint(of[key]))
		}
		list = append(list, strings.Join(cells, " "))
	}
	return list
}

func (a answer) wantRows(keys string, want ...string) {
	a.t.Helper()
	if diff := cmp.Diff(want, a.rows(strings.Fields(keys)...)); diff != "" {
		a.t.Errorf("%s\n%s", diff, a.body)
	}
}

// traffic is mail of two sub-accounts over two providers, with all kinds of events.
type traffic struct {
	*world
	one, two  int32 // providers
	domain    int32
	other     int32 // sub-account
	otherKey  map[string]string
	poolNames [2]string
}

func newTraffic(t *testing.T) *traffic {
	w := newWorld(t)
	x := &traffic{world: w, one: w.connect("Postmark", "outbound").ID, two: w.connect("Postmark Two", "broadcast").ID}
	var pools []poolAnswer
	w.asAccount("GET", "/api/v1/account/ippool", nil).ok(200, &pools)
	x.poolNames = [2]string{pools[0].Name, pools[1].Name}
	x.domain = w.whitelist("example.com").ID // that of email's sender
	x.other, x.otherKey = w.secondSub("other")
	send := func(key map[string]string, pool int, groups []string, to ...string) []string {
		t.Helper()
		body := email(to...)
		body["ippool"], body["groups"] = x.poolNames[pool], groups
		var got []emailResponse
		w.call("POST", "/api/v1/subaccount/email/", key, body).ok(200, &got)
		ids := make([]string, len(got))
		for i := range got {
			ids[i] = got[i].MessageID
		}
		return ids
	}
	own := map[string]string{"X-SubAccount-ApiKey": w.subKey}
	a := send(own, 0, []string{"welcome", "trial", "welcome"}, "ana@gmail.com", "bob@yahoo.com", "eve@gmail.com")
	b := send(x.otherKey, 1, []string{"welcome"}, "dan@gmail.com")
	w.carry(x.one)
	w.carry(x.two)
	reader := event.Detail{UserAgent: &event.UserAgent{Family: "Chrome"}, OS: &event.OperatingSystem{Family: "Windows 10"}, Device: &event.Device{Family: "Desktop"},
		Geo: &event.Geo{CountryCode: "DE"}}
	w.happen(x.one, a[0], "ana@gmail.com", event.Delivered, 1500*time.Millisecond, event.Detail{})
	w.happen(x.one, a[1], "bob@yahoo.com", event.Delivered, 8*time.Second, event.Detail{})
	w.happen(x.one, a[2], "eve@gmail.com", event.HardBounced, time.Second, event.Detail{SMTPDescription: "550 5.1.1 no"})
	w.happen(x.two, b[0], "dan@gmail.com", event.Delivered, 4*time.Minute, event.Detail{})
	w.happen(x.one, a[0], "ana@gmail.com", event.Opened, time.Minute, reader)
	w.happen(x.one, a[0], "ana@gmail.com", event.Opened, 2*time.Minute, event.Detail{})
	w.happen(x.one, a[0], "ana@gmail.com", event.Clicked, 2*time.Minute, reader)
	w.happen(x.one, a[1], "bob@yahoo.com", event.Opened, time.Minute, reader)
	w.happen(x.two, b[0], "dan@gmail.com", event.Spam, time.Minute, event.Detail{})
	return x
}

const tenKeys = "processed sent delivered dropped hardBounced softBounced opened clicked unsubscribed spam"

func TestEveryStatistic(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	get := func(path string) answer {
		t.Helper()
		a := w.asAccount("GET", path, nil)
		a.t = t
		return a
	}
	account, sub := "/api/v1/account/stat", fmt.Sprint("/api/v1/account/subaccount/stat/", w.subAccount.ID)
	tpsp, domain := fmt.Sprint("/api/v1/account/tpsp/stat/", w.one), fmt.Sprint("/api/v1/account/domain/stat/", w.domain)
	t.Run("shapes", func(t *testing.T) {
		eleven := append(strings.Fields(tenKeys), "smtpDropped")
		ten := strings.Fields(tenKeys)
		spams := append(slices.DeleteFunc(slices.Clone(eleven), func(k string) bool { return k == "spam" }), "spams")
		group := "&group=welcome"
		for path, keys := range map[string][]string{
			account + "/aggregate": spams, account + "/aggregate/group": eleven, sub + "/aggregate": eleven, sub + "/group": eleven, tpsp + "/aggregate": eleven,
			domain + "/aggregate": eleven, "": nil,
		} {
			if path != "" {
				wantKeys(t, get(path+days3(group)).ok(200, nil).body, keys...)
			}
		}
		wantKeys(t, w.asSub("GET", "/api/v1/subaccount/stat/aggregate"+days3(), nil).ok(200, nil).body, eleven...)
		for _, path := range []string{account, account + "/group", sub, tpsp, domain} {
			wantDays(t, get(path+days3(group)), eleven)
		}
		wantDays(t, w.asSub("GET", "/api/v1/subaccount/stat/"+days3(), nil), eleven)
		for path, keys := range map[string][]string{
			account + "/aggregate/tpsp": append([]string{"tpspId", "name"}, ten...), account + "/aggregate/subaccount": append([]string{"sid", "name"}, ten...),
			account + "/aggregate/domain": append([]string{"id", "name"}, ten...), sub + "/aggregate/provider": append([]string{"provider"}, ten...),
			sub + "/aggregate/group": append([]string{"group"}, ten...), sub + "/aggregate/domain": append([]string{"id", "name"}, ten...),
			tpsp + "/aggregate/provider": append([]string{"provider"}, ten...), tpsp + "/aggregate/subaccount": append([]string{"sid", "name"}, ten...),
			tpsp + "/aggregate/group": append([]string{"group"}, ten...), tpsp + "/aggregate/domain": append([]string{"id", "name"}, ten...),
			domain + "/aggregate/provider": append([]string{"provider"}, ten...), domain + "/aggregate/subaccount": append([]string{"sid", "name"}, ten...),
		} {
			var rows []json.RawMessage
			if get(path+days3()).ok(200, &rows); len(rows) == 0 {
				t.Errorf("%s has no rows", path)
			}
			for _, one := range rows {
				wantKeys(t, one, keys...)
			}
		}
	})
	t.Run("figures", func(t *testing.T) {
		get(account+"/aggregate/tpsp"+days3()).wantRows("tpspId name "+tenKeys,
			fmt.Sprint(w.one, " Postmark 3 3 2 0 1 0 3 1 0 0"), fmt.Sprint(w.two, " Postmark Two 1 1 1 0 0 0 0 0 0 1"))
		get(account+"/aggregate/subaccount"+days3()).wantRows("sid name processed spam",
			fmt.Sprint(w.subAccount.ID, " default 3 0"), fmt.Sprint(w.other, " other 1 1"))
		get(account+"/aggregate/provider"+days3()).wantRows("provider processed", "gmail 3", "yahoo 1")
		get(account+"/aggregate/domain"+days3()).wantRows("id name processed opened", fmt.Sprint(w.domain, " example.com 4 3"))
		get(tpsp+"/aggregate/provider"+days3()).wantRows("provider "+tenKeys, "gmail 2 2 1 0 1 0 2 1 0 0", "yahoo 1 1 1 0 0 0 1 0 0 0")
		get(tpsp+"/aggregate/subaccount"+days3()).wantRows("sid name processed", fmt.Sprint(w.subAccount.ID, " default 3"))
		get(tpsp+"/aggregate/group"+days3()).wantRows("group processed opened", "trial 3 3", "welcome 3 3")
		get(sub+"/aggregate/group"+days3()).wantRows("group processed opened", "trial 3 3", "welcome 3 3")
		get(domain+"/aggregate/subaccount"+days3()).wantRows("sid processed", fmt.Sprint(w.subAccount.ID, " 3"), fmt.Sprint(w.other, " 1"))
		get(domain+"/aggregate/provider"+days3()).wantRows("provider processed", "gmail 3", "yahoo 1")
		get(tpsp+"/aggregate/reason"+days3()).wantRows("reason hardBounced softBounced", "5.1.1 1 0")
		get(tpsp+"/aggregate/device"+days3()).wantRows("device opened uniqueOpened clicked uniqueClicked", "Desktop 2 2 1 1", "(unknown) 1 0 0 0")
		get(tpsp+"/aggregate/client"+days3()).wantRows("client opened", "Chrome 2", "(unknown) 1")
		get(tpsp+"/aggregate/os"+days3()).wantRows("os opened", "Windows 2", "(unknown) 1")
		get(tpsp+"/aggregate/country"+days3("&search=d")).wantRows("country opened", "DE 2")
		var e engagement
		if get(account+"/aggregate/engagement"+days3()).ok(200, &e); e != (engagement{3, 2, 1, 1}) {
			t.Errorf("%+v", e)
		}
		if get(domain+"/aggregate/engagement"+days3("&provider=yahoo")).ok(200, &e); e != (engagement{1, 1, 0, 0}) {
			t.Errorf("%+v", e)
		}
		var d delayAnswer
		get(tpsp+"/aggregate/delay"+days3()).ok(200, &d)
		want := delayAnswer{Delivered: 2, MeanMs: 4750, MedianMs: 1535, P95Ms: 7683, Spans: []delaySpan{{2, 1}, {10, 1}}}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("filters", func(t *testing.T) {
		for query, want := range map[string]int64{"": 4, "&provider=gmail": 3, "&provider=YAHOO": 1, "&type=70": 0, "&type=69,70": 4, fmt.Sprint("&tpspId=", w.two): 1,
			fmt.Sprint("&subAccountId=", w.other): 1, fmt.Sprint("&subAccountId=", w.other, "&tpspId=", w.one): 0, "&filterBy=provider&filterValue=yahoo": 1,
			fmt.Sprint("&filterBy=tpsp&filterValue=", w.one): 3, fmt.Sprint("&filterBy=subaccount&filterValue=", w.other): 1, "&filterBy=type&filterValue=71": 0} {
			var got totalCounters
			if get(account+"/aggregate"+days3(query)).ok(200, &got); got.Processed != want {
				t.Errorf("%s: %d processed, want %d", query, got.Processed, want)
			}
			var rows []struct{ Processed int64 }
			get(account+"/aggregate/tpsp"+days3(query)).ok(200, &rows)
			sum := int64(0)
			for _, r := range rows {
				sum += r.Processed
			}
			if sum != want {
				t.Errorf("%s: %d processed in rows, want %d", query, sum, want)
			}
		}
		for query, field := range map[string]string{"&provider=postmark": "provider", "&type=9999": "type", "&tpspId=x": "tpspId", "&filterBy=moon": "filterBy", "&filterBy=tpsp&filterValue=": "filterValue",
			"&provider=gmail&filterBy=provider&filterValue=yahoo": "filterBy", "&subAccountId=-1": "subAccountId"} {
			get(account+"/aggregate"+days3(query)).refused(http.StatusBadRequest, "invalid_parameter", field)
		}
		get(sub+days3("&subAccountId=1")).refused(http.StatusBadRequest, "invalid_parameter", "subAccountId")
		get(tpsp+days3("&tpspId=1")).refused(http.StatusBadRequest, "invalid_parameter", "tpspId")
		for _, path := range []string{account + "/group", account + "/aggregate/group", sub + "/group"} {
			get(path+days3()).refused(http.StatusBadRequest, "invalid_parameter", "group")
			get(path+days3("&group="+strings.Repeat("g", store.MaxLabelBytes+1))).refused(http.StatusBadRequest, "invalid_parameter", "group")
			get(path+days3("&group="+strings.Repeat("g", store.MaxLabelBytes))).ok(http.StatusOK, nil)
		}
		get(account+"/aggregate?from=2026-01-01").refused(http.StatusBadRequest, "invalid_parameter", "to")
		for path, most := range map[string]int{account: 31, account + "/group": 31, sub: 31, tpsp: 31, domain: 31, account + "/aggregate": 366, sub + "/group": 366, tpsp + "/aggregate/delay": 366,
			account + "/aggregate/tpsp/count": 366} {
			from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			until := func(n int) string {
				return "?group=g&from=2026-01-01&to=" + from.AddDate(0, 0, n-1).Format(time.DateOnly)
			}
			get(path+until(most)).ok(200, nil)
			get(path+until(most+1)).refused(http.StatusBadRequest, "invalid_parameter", "to")
		}
	})
	t.Run("rows", func(t *testing.T) {
		path := account + "/aggregate/tpsp"
		for query, want := range map[string]string{"": "Postmark,Postmark Two", "&sortBy=spam": "Postmark Two,Postmark", "&orderBy=name": "Postmark,Postmark Two",
			"&sortBy=name&sortOrder=desc": "Postmark Two,Postmark", "&orderBy=processed&sortOrder=asc": "Postmark Two,Postmark", "&search=TWO": "Postmark Two", "&limit=1": "Postmark",
			"&limit=1&offset=1": "Postmark Two", "&offset=7": "", "&limit=1&exported=true": "Postmark,Postmark Two", "&limitBy=processed&limitValue=2": "Postmark",
			"&limitBy=uniqueOpened&limitValue=0": "Postmark,Postmark Two"} {
			if got := strings.Join(get(path+days3(query)).rows("name"), ","); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		for query, want := range map[string]int{"": 2, "&limit=1": 2, "&search=two": 1, "&provider=yahoo": 1} {
			a := get(path + "/count" + days3(query))
			var n countAnswer
			if wantKeys(t, a.ok(200, &n).body, "count"); n.Count != want {
				t.Errorf("%s: %d", query, n.Count)
			}
		}
		for query, field := range map[string]string{"&sortBy=moon": "sortBy", "&orderBy=moon": "orderBy", "&sortOrder=up": "sortOrder", "&limitBy=moon": "limitBy",
			"&limitBy=sent": "limitValue", "&limit=0": "limit", "&exported=maybe": "exported"} {
			get(path+days3(query)).refused(http.StatusBadRequest, "invalid_parameter", field)
		}
	})
	t.Run("what is gone", func(t *testing.T) {
		w.asAccount("DELETE", fmt.Sprint("/api/v1/account/tpsp/", w.two), nil).ok(200, nil)
		w.asAccount("DELETE", fmt.Sprint("/api/v1/account/subaccount/", w.other), nil).ok(200, nil)
		w.asSub("DELETE", fmt.Sprint("/api/v1/subaccount/domain/", w.domain), nil).ok(200, nil)
		get(fmt.Sprint("/api/v1/account/tpsp/stat/", w.two, "/aggregate/subaccount")+days3()).wantRows("name processed", "other 1")
		get(fmt.Sprint("/api/v1/account/subaccount/stat/", w.other, "/aggregate/provider")+days3()).wantRows("provider processed", "gmail 1")
		get(account+"/aggregate/tpsp"+days3("&search=two")).wantRows("tpspId name", fmt.Sprint(w.two, " Postmark Two"))
		get(domain+"/aggregate/provider"+days3()).wantRows("provider processed", "gmail 3", "yahoo 1")
		w.mail("new@gmail.com") // is not counted under the domain any more
		get(account+"/aggregate/domain"+days3()).wantRows("name processed", "example.com 4")
		for _, path := range []string{"subaccount/stat/9999", "tpsp/stat/9999", "domain/stat/9999", "tpsp/stat/x", "domain/stat/0"} {
			get("/api/v1/account/"+path+days3()).refused(http.StatusNotFound, "not_found", "")
		}
	})
	t.Run("books", func(t *testing.T) {
		var v verifyAnswer
		if get(verifyPath).ok(200, &v); !v.OK {
			t.Errorf("%+v", v.Differences)
		}
	})
}

func wantDays(t *testing.T, a answer, keys []string) {
	t.Helper()
	var list []map[string]json.RawMessage
	a.ok(200, &list)
	for _, one := range list {
		if len(one) != 2 || len(one["date"]) != 12 {
			t.Errorf("%s", a.body)
		}
		wantKeys(t, one["stat"], keys...)
	}
	if len(list) == 0 {
		t.Errorf("no day in %s", a.body)
	}
}

// A sub-account's key sees the sub-account, an account's key the account, whatever is asked for.
func TestStatisticsOfOthers(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	for _, query := range []string{"", fmt.Sprint("&tpspId=", w.one), "&type=69", "&provider=gmail"} {
		var own, other statCounters
		w.asSub("GET", "/api/v1/subaccount/stat/aggregate"+days3(query), nil).ok(200, &own)
		w.call("GET", "/api/v1/subaccount/stat/aggregate"+days3(query), w.otherKey, nil).ok(200, &other)
		if own.Processed == 0 || own.Spam != 0 || other.Opened != 0 || other.Processed > 1 {
			t.Errorf("%s: %+v, the other %+v", query, own, other)
		}
	}
	w.call("GET", "/api/v1/subaccount/stat/aggregate"+days3(fmt.Sprint("&subAccountId=", w.subAccount.ID)), w.otherKey, nil).
		refused(http.StatusBadRequest, "invalid_parameter", "subAccountId")
	stranger := map[string]string{"X-Account-ApiKey": w.secondAccount()}
	for _, o := range (&server{}).operations() {
		if o.Auth != accountKey || !strings.HasPrefix(o.Path, "/api/v1/account/stat") {
			continue
		}
		for _, query := range []string{"", fmt.Sprint("&tpspId=", w.one), fmt.Sprint("&subAccountId=", w.subAccount.ID)} {
			path := o.Path
			if len(o.query) > 0 { // the cycle has no parameters
				path += days3("&group=welcome", query)
			}
			a := w.call("GET", path, stranger, nil)
			var got any
			if a.ok(200, &got); total(got) != 0 {
				t.Errorf("%s: %d %s", o.Path, a.status, a.body)
			}
		}
	}
}

// total adds up the numbers of an answer.
func total(v any) (sum float64) {
	switch v := v.(type) {
	case float64:
		return v
	case []any:
		for _, one := range v {
			sum += total(one)
		}
	case map[string]any:
		for _, one := range v {
			sum += total(one)
		}
	}
	return sum
}

func TestDelays(t *testing.T) {
	t.Parallel()
	stat := func(value string, n, millis int64) store.Stat {
		return store.Stat{Value: value, Type: 71, Sum: store.Sum{N: n, Millis: millis}}
	}
	for name, c := range map[string]struct {
		sums []store.Stat
		want delayAnswer
	}{
		"nothing": {nil, delayAnswer{Spans: []delaySpan{}}},
		"one":     {[]store.Stat{stat("1", 1, 300)}, delayAnswer{1, 300, 1000, 1000, []delaySpan{{1, 1}}}},
		"spread": {[]store.Stat{stat("10", 50, 400_000), stat("more", 10, 9_000_000), stat("2", 40, 60_000)},
			delayAnswer{100, 94_600, 6000, 259_200_000, []delaySpan{{2, 40}, {10, 50}, {0, 10}}}},
		"fine":         {[]store.Stat{stat("1100ms", 1, 1050), stat("1100ms", 1, 1050)}, delayAnswer{2, 1050, 1050, 1050, []delaySpan{{2, 2}}}},
		"mixed":        {[]store.Stat{stat("1100ms", 1, 1050), stat("5", 1, 4000)}, delayAnswer{2, 2525, 2000, 5000, []delaySpan{{2, 1}, {5, 1}}}},
		"two families": {[]store.Stat{stat("5", 1, 4000), stat("5", 1, 4000)}, delayAnswer{2, 4000, 4000, 5000, []delaySpan{{5, 2}}}},
	} {
		if diff := cmp.Diff(c.want, delayAnswerOf(c.sums)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Every statistic has an answer, whatever it is of.
func TestStatisticsAnswer(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	ids := map[string]int32{"subaccount": w.subAccount.ID, "tpsp": w.one, "domain": w.domain, "ip": w.takeIPs("203.0.113.7")[0].ID}
	for _, o := range (&server{}).operations() {
		if o.Auth == accountKey && operationTag(o.Path) == "stat" {
			path := strings.ReplaceAll(o.Path, "{id}", fmt.Sprint(ids[strings.Split(o.Path, "/")[4]]))
			if len(o.query) > 0 { // the cycle has no parameters
				path += days3("&group=welcome")
			}
			w.asAccount("GET", path, nil).ok(200, nil)
		}
	}
}
