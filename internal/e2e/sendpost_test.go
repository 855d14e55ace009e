package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/client"
	"postyard/internal/compat"
	"postyard/internal/secret"
)

// sendPost is a server as SendPost's clients see it.
type sendPost struct {
	contract *compat.Contract
	url      string
	account  string // the account's key
	sub      string // the default sub-account's key
	api      *client.Client
	sandbox  string
	tpsp     int32  // a mail server
	pool     string // with that one provider

	mu       sync.Mutex
	answered map[string]map[int]bool // statuses by operation
}

// startSendPost starts a server with a mail server behind it.
func startSendPost(t *testing.T) *sendPost {
	t.Helper()
	contract, err := compat.Load()
	if err != nil {
		t.Fatal(err)
	}
	var listening struct{ URL, SMTP string }
	start(t, "sandbox", "--listen", "127.0.0.1:0", "--smtp-listen", "127.0.0.1:0", "--log-format", "json").decode(`"inbox"`, &listening)
	sandbox, mailServer := listening.URL, listening.SMTP
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--allow-private", "--log-format", "json"}
	for i := range compat.Clients() {
		args = append(args, "--ip", addressOf(i)+"="+strings.Replace(mailServer, "://", "://sandbox-user:sandbox-smtp-password@", 1))
	}
	server := start(t, args...)
	s := &sendPost{contract: contract, answered: map[string]map[int]bool{}, sandbox: sandbox}
	s.account = firstMatch(t, server.line("X-Account-ApiKey"), `X-Account-ApiKey:\s+(\w{20})`)
	s.sub = firstMatch(t, server.line("X-SubAccount-ApiKey"), `X-SubAccount-ApiKey:\s+(\w{20})`)
	server.decode(`"serving"`, &listening)
	s.url = listening.URL
	s.api = &client.Client{URL: s.url, AccountKey: secret.NewString(s.account), SubAccountKey: secret.NewString(s.sub)}
	made, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: 6, Name: "Relay", Endpoint: mailServer, Key: "sandbox-user", Secret: "sandbox-smtp-password"})
	if err != nil {
		t.Fatal(err)
	}
	s.tpsp, s.pool = made.ID, made.IPPool.Name
	return s
}

// addressOf is the IP of the client with that number.
func addressOf(i int) string { return fmt.Sprintf("203.0.113.%d", 101+i) }

func (s *sendPost) saw(id string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered[id] == nil {
		s.answered[id] = map[int]bool{}
	}
	s.answered[id][status] = true
}

// user is somebody who uses SendPost through one of its clients.
type user struct {
	*sendPost
	t       *testing.T
	client  compat.Client
	name    string // of what they make
	subID   int32  // their sub-account
	subKey  string
	poolID  int32
	address string // their IP
}

// ids are the path's parts of a call.
func ids(list ...int32) []string {
	texts := make([]string, len(list))
	for i, id := range list {
		texts[i] = strconv.Itoa(int(id))
	}
	return texts
}

// key is what the client sends with an operation.
func (u *user) key(o *compat.Operation) string {
	if o.Key == "account" {
		return u.account
	}
	return u.subKey
}

// call makes a request that must succeed as it is documented.
func (u *user) call(id string, c compat.Call, into any) {
	u.t.Helper()
	c.Operation = u.contract.Operation(id)
	if c.Key == "" {
		c.Key = u.key(c.Operation)
	}
	if c.Body != nil {
		c.Body = u.client.Fill(c.Operation, c.Body)
	}
	if err := u.client.Succeed(u.t.Context(), u.contract, u.url, c, into); err != nil {
		u.t.Fatal(err)
	}
	u.saw(id, c.Operation.Status)
}

// refused makes a request that must be refused with that status.
func (u *user) refused(status int, id string, c compat.Call) problem {
	u.t.Helper()
	c.Operation = u.contract.Operation(id)
	if c.Key == "" {
		c.Key = u.key(c.Operation)
	}
	return u.refusedAs(status, c)
}

// refusedAs is refused with the key that the call has, or none.
func (u *user) refusedAs(status int, c compat.Call) problem {
	u.t.Helper()
	a, err := u.client.Do(u.t.Context(), u.url, c)
	if err != nil {
		u.t.Fatal(err)
	}
	var p problem
	if err := json.Unmarshal(a.Body, &p); err != nil || a.Status != status || p.Code == "" || p.Message == "" || a.Header.Get("Content-Type") != "application/json" {
		u.t.Errorf("%s %v %v %v: status %d, want %d: %s (%v)", c.Operation.ID, c.Path, c.Query, c.Body, a.Status, status, a.Body, err)
	}
	u.saw(c.Operation.ID, a.Status)
	return p
}

// deleted checks the answer to a deletion, word by word.
func (u *user) deleted(id string, of int32, name string, c compat.Call) {
	u.t.Helper()
	var got struct {
		ID      int32
		Message string
	}
	u.call(id, c, &got)
	if want := fmt.Sprintf(u.contract.Operation(id).Message, name); got.ID != of || got.Message != want {
		u.t.Errorf("%s: %+v, want %d and %q", id, got, of, want)
	}
}

type named struct {
	ID      int32
	Name    string
	Created int64
}

// TestSendPost calls every operation of SendPost's public API as each of its clients does, reads every answer as strictly as the strictest
// of them, and provokes every refusal that is documented.
func TestSendPost(t *testing.T) {
	t.Parallel()
	s := startSendPost(t)
	t.Run("clients", func(t *testing.T) {
		for i, c := range compat.Clients() {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				u := &user{sendPost: s, t: t, client: c, name: "Hooli \u00e9/<&> " + c.Name, subKey: s.sub, address: addressOf(i)}
				u.keys()
				u.queries()
				u.subAccounts()
				u.domains()
				u.suppressions()
				u.pools()
				messages := u.mail()
				u.statistics(len(messages))
				u.templates()
				u.webhooks()
				u.ips()
				u.end()
			})
		}
	})
	for _, o := range s.contract.Operations {
		for _, status := range append([]int{o.Status}, o.Refusals...) {
			if !s.answered[o.ID][status] {
				t.Errorf("%s never answered %d; it did %v", o.ID, status, slices.Sorted(maps.Keys(s.answered[o.ID])))
			}
		}
	}
}

// anyPath is a path of the operation; what it names need not exist.
func anyPath(o *compat.Operation) []string {
	return slices.Repeat([]string{"999999"}, strings.Count(o.Path, "{"))
}

// keys tries every operation without a key, with one of nobody, and with one of the other kind.
func (u *user) keys() {
	u.t.Helper()
	for i := range u.contract.Operations {
		o := &u.contract.Operations[i]
		c := compat.Call{Operation: o, Path: anyPath(o)}
		if o.Body != "" {
			c.Body = map[string]any{}
		}
		other := u.account
		if o.Key == "account" {
			other = u.sub
		}
		for _, key := range []string{"", "AAAAAAAAAAAAAAAAAAAA", other} {
			c.Key = key
			u.refusedAs(http.StatusUnauthorized, c)
		}
	}
}

// queries tries parameters that are missing or wrong.
func (u *user) queries() {
	u.t.Helper()
	day := func(offset int) string { return time.Now().UTC().AddDate(0, 0, offset).Format(time.DateOnly) }
	var own []named
	u.call("getAllSubAccounts", compat.Call{Query: url.Values{"limit": {"1"}}}, &own)
	for i := range u.contract.Operations {
		o := &u.contract.Operations[i]
		if len(o.Query) == 0 {
			continue
		}
		good := url.Values{}
		for _, name := range o.Required() {
			good.Set(name, day(0))
		}
		try := func(name, value string) {
			q := maps.Clone(good)
			if q.Set(name, value); value == "" {
				q.Del(name)
			}
			path := anyPath(o)
			if len(path) > 0 {
				path = ids(own[0].ID)
			}
			if p := u.refused(http.StatusBadRequest, o.ID, compat.Call{Path: path, Query: q}); p.Field == "" {
				u.t.Errorf("%s with %s=%s: %+v", o.ID, name, value, p)
			}
		}
		for _, name := range o.Required() {
			try(name, "")
		}
		if slices.Contains(o.Query, "from!") {
			try("from", day(1)) // after to
			try("to", "26.11.2026")
			longest := 366
			switch {
			case o.ID == "getSuppressionList":
				longest = 61
			case strings.HasPrefix(o.Answer, "["):
				longest = 31
			}
			try("from", day(-longest))
		}
		if slices.Contains(o.Query, "limit") {
			try("limit", "-1")
			try("offset", "-1")
			try("limit", "many")
		}
	}
}

func (u *user) subAccounts() {
	u.t.Helper()
	var made struct {
		named
		APIKey string `json:"apiKey"`
		Type   int
	}
	u.call("createSubAccount", compat.Call{Body: map[string]any{"name": u.name}}, &made)
	if made.Name != u.name || made.ID == 0 || made.APIKey == "" || time.Since(time.Unix(0, made.Created)).Abs() > time.Minute {
		u.t.Fatalf("%+v", made)
	}
	u.subID, u.subKey = made.ID, made.APIKey
	u.refused(http.StatusForbidden, "createSubAccount", compat.Call{Body: map[string]any{"name": u.name}})
	u.refused(http.StatusUnprocessableEntity, "createSubAccount", compat.Call{Body: map[string]any{}})
	u.refused(http.StatusUnprocessableEntity, "createSubAccount", compat.Call{Body: map[string]any{"name": 5}})

	var all, page []named
	u.call("getAllSubAccounts", compat.Call{}, &all)
	u.call("getAllSubAccounts", compat.Call{Query: url.Values{"limit": {"1"}, "offset": {"0"}, "search": {strings.ToUpper(u.client.Name)}}}, &page)
	if len(all) < 2 || !slices.ContainsFunc(all, func(n named) bool { return n.ID == u.subID }) || len(page) != 1 || !strings.Contains(page[0].Name, u.client.Name) {
		u.t.Errorf("%+v, %+v", all, page)
	}
	u.name += " 2"
	u.call("updateSubAccount", compat.Call{Path: ids(u.subID), Body: map[string]any{"name": u.name}}, &made)
	u.call("getSubAccount", compat.Call{Path: ids(u.subID)}, &made)
	if made.Name != u.name || made.APIKey != u.subKey {
		u.t.Errorf("%+v", made)
	}
	u.refused(http.StatusUnprocessableEntity, "updateSubAccount", compat.Call{Path: ids(u.subID), Body: map[string]any{"name": ""}})
	u.refused(http.StatusForbidden, "updateSubAccount", compat.Call{Path: ids(u.subID), Body: map[string]any{"name": "default"}})
	u.refused(http.StatusNotFound, "updateSubAccount", compat.Call{Path: ids(999999), Body: map[string]any{"name": "x"}})
	u.refused(http.StatusNotFound, "getSubAccount", compat.Call{Path: ids(999999)})
	u.refused(http.StatusNotFound, "deleteSubAccount", compat.Call{Path: ids(999999)})
	i := slices.IndexFunc(all, func(n named) bool { return n.Name == "default" })
	u.refused(http.StatusNotAcceptable, "deleteSubAccount", compat.Call{Path: ids(all[i].ID)})
}

func (u *user) domains() {
	u.t.Helper()
	name := strings.ToLower(u.client.Name) + ".piedpiper.com"
	var made, got named
	u.call("createDomain", compat.Call{Body: map[string]any{"name": name}}, &made)
	u.call("getDomain", compat.Call{Path: ids(made.ID)}, &got)
	if made != got || made.Name != name {
		u.t.Errorf("%+v, %+v", made, got)
	}
	u.refused(http.StatusForbidden, "createDomain", compat.Call{Body: map[string]any{"name": strings.ToUpper(name)}})
	u.refused(http.StatusUnprocessableEntity, "createDomain", compat.Call{Body: map[string]any{"name": "not a domain"}})
	var list []named
	u.call("getAllDomains", compat.Call{Query: url.Values{"search": {"PIEDPIPER"}, "limit": {"10"}, "offset": {"0"}}}, &list)
	if len(list) != 1 || list[0] != made {
		u.t.Errorf("%+v", list)
	}
	u.refused(http.StatusNotAcceptable, "getDomain", compat.Call{Path: []string{"nothing"}})
	u.deleted("deleteDomain", made.ID, name, compat.Call{Path: ids(made.ID)})
	u.refused(http.StatusNotAcceptable, "deleteDomain", compat.Call{Path: ids(made.ID)})
	u.call("getAllDomains", compat.Call{}, &list)
	if len(list) != 0 {
		u.t.Errorf("%+v", list)
	}
}

func (u *user) suppressions() {
	u.t.Helper()
	of := func(emails ...string) []map[string]any {
		var list []map[string]any
		for _, email := range emails {
			list = append(list, map[string]any{"email": email})
		}
		return list
	}
	var made, list []struct {
		ID     int32
		Email  string
		Reason int
	}
	u.call("createSuppression", compat.Call{Body: map[string]any{"hardBounce": of("jackbarker@hooli.com"), "manual": of("jared@hooli.com", "russ@hooli.com"),
		"unsubscribe": of("erlich@hooli.com"), "spamComplaint": of("gavin@hooli.com")}}, &made)
	reasons := map[string]int{}
	for _, one := range made {
		reasons[one.Email] = one.Reason
	}
	if want := map[string]int{"jackbarker@hooli.com": 2, "jared@hooli.com": 0, "russ@hooli.com": 0, "erlich@hooli.com": 1, "gavin@hooli.com": 3}; !maps.Equal(reasons, want) {
		u.t.Errorf("%v", reasons)
	}
	u.call("createSuppression", compat.Call{Body: map[string]any{"manual": of("monica@hooli.com")}}, nil)
	now := time.Now().UTC()
	query := url.Values{"from": {now.AddDate(0, 0, -7).Format(time.DateOnly)}, "to": {now.AddDate(0, 0, 1).Format(time.DateOnly)}}
	u.call("getSuppressionList", compat.Call{Query: query}, &list)
	if len(list) != 6 {
		u.t.Errorf("%+v", list)
	}
	query.Set("type", "manual")
	query.Set("search", "Jared")
	u.call("getSuppressionList", compat.Call{Query: query}, &list)
	if len(list) != 1 || list[0].Email != "jared@hooli.com" || list[0].ID == 0 {
		u.t.Errorf("%+v", list)
	}
	query.Set("type", "nothing")
	u.refused(http.StatusBadRequest, "getSuppressionList", compat.Call{Query: query})
	u.refused(http.StatusNotAcceptable, "createSuppression", compat.Call{Body: map[string]any{}})
	u.refused(http.StatusUnprocessableEntity, "createSuppression", compat.Call{Body: map[string]any{"manual": of("nobody")}})
	var gone []struct {
		ID      int32
		Message string
	}
	u.call("deleteSuppression", compat.Call{Body: map[string]any{"suppressions": of("jared@hooli.com")}}, &gone)
	if len(gone) != 1 || gone[0].Message != "Suppressions have been deleted successfully" || gone[0].ID != list[0].ID {
		u.t.Errorf("%+v", gone)
	}
	u.refused(http.StatusNotAcceptable, "deleteSuppression", compat.Call{Body: map[string]any{"suppressions": []string{}}})
	u.refused(http.StatusUnprocessableEntity, "deleteSuppression", compat.Call{Body: map[string]any{"suppressions": of("")}})
}

// strictReceiver takes webhooks, and reads them as strictly as the strictest of SendPost's clients.
type strictReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	events map[string][]int // types by message, in the order of their ids
	faults []error
}

func (s *sendPost) receive(t *testing.T) *strictReceiver {
	t.Helper()
	r := &strictReceiver{events: map[string][]int{}}
	seen := map[string]bool{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var got struct {
			Event struct {
				EventID   string `json:"eventID"`
				MessageID string `json:"messageID"`
				Type      int
			}
		}
		err = errors.Join(err, s.contract.CheckWebhook(body), json.Unmarshal(body, &got))
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.faults = append(r.faults, fmt.Errorf("%w in %s", err, body))
		}
		if !seen[got.Event.EventID] {
			seen[got.Event.EventID] = true
			r.events[got.Event.MessageID] = append(r.events[got.Event.MessageID], got.Event.Type)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// want waits until the events of a message have come.
func (r *strictReceiver) want(t *testing.T, message string, types ...int) {
	t.Helper()
	eventually(t, fmt.Sprintf("webhooks %v of %s", types, message), 20*time.Second, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.faults) > 0 || slices.Equal(slices.Sorted(slices.Values(r.events[message])), types)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.faults {
		t.Error(err)
	}
}

// pool is what clients read of one.
type pool struct {
	named
	ThirdPartySendingProviders []struct {
		ID   int32
		Name string
	}
	IPs             []struct{ PublicIP string } `json:"ips"`
	RoutingStrategy int
	RoutingMetaData string
	ShouldOverflow  bool
	WarmupInterval  int
}

func (u *user) pools() {
	u.t.Helper()
	name := u.client.Name + "'s pool"
	var made, got, second pool
	u.call("createIPPool", compat.Call{Body: map[string]any{"name": name, "tpsps": []int32{u.tpsp}, "routingStrategy": 0, "routingMetaData": "", "overflowPool": false,
		"warmupInterval": 24, "overflowStrategy": 0}}, &made)
	u.call("getIPPoolById", compat.Call{Path: ids(made.ID)}, &got)
	if made.Name != name || made.WarmupInterval != 24 || len(made.ThirdPartySendingProviders) != 1 || got.ID != made.ID {
		u.t.Fatalf("%+v, %+v", made, got)
	}
	u.poolID = made.ID
	weights := fmt.Sprintf(`{"TPSP_%d":"1"}`, u.tpsp)
	u.call("createIPPool", compat.Call{Body: map[string]any{"name": name + " 2", "tpsps": []int32{u.tpsp}, "routingStrategy": 2, "routingMetaData": weights, "warmupInterval": 24,
		"overflowStrategy": 1, "overflowPoolName": name}}, &second)
	if second.RoutingStrategy != 2 || second.RoutingMetaData != weights || !second.ShouldOverflow {
		u.t.Errorf("%+v", second)
	}
	u.refused(http.StatusForbidden, "createIPPool", compat.Call{Body: map[string]any{"name": name, "tpsps": []int32{u.tpsp}, "warmupInterval": 24}})
	u.refused(http.StatusUnprocessableEntity, "createIPPool", compat.Call{Body: map[string]any{"name": name + " 3", "tpsps": []int32{u.tpsp}, "warmupInterval": 0}})
	u.refused(http.StatusUnprocessableEntity, "createIPPool", compat.Call{Body: map[string]any{"name": name + " 3", "tpsps": []int32{u.tpsp}, "warmupInterval": 24, "overflowStrategy": 1}})
	u.refused(http.StatusNotFound, "getIPPoolById", compat.Call{Path: ids(999999)})
	var list []pool
	u.call("getAllIPPools", compat.Call{Query: url.Values{"search": {strings.ToLower(name)}, "limit": {"10"}, "offset": {"1"}}}, &list)
	if len(list) != 1 || list[0].ID != second.ID {
		u.t.Errorf("%+v", list)
	}

	// A client sends back what it read.
	change := map[string]any{"name": second.Name + "b", "ips": []any{}, "routingStrategy": 0, "routingMetaData": ""}
	o := u.contract.Operation("updateIPPool")
	u.refusedAs(http.StatusUnauthorized, compat.Call{Operation: o, Path: ids(second.ID), Body: change}) // CL-7
	u.call("updateIPPool", compat.Call{Path: ids(second.ID), Body: change}, &second)
	if second.Name != name+" 2b" || second.RoutingStrategy != 0 || len(second.ThirdPartySendingProviders) != 1 {
		u.t.Errorf("%+v", second)
	}
	u.refused(http.StatusForbidden, "updateIPPool", compat.Call{Path: ids(second.ID), Body: map[string]any{"name": name}})
	u.refused(http.StatusNotFound, "updateIPPool", compat.Call{Path: ids(999999), Body: change})
	u.refused(http.StatusBadRequest, "updateIPPool", compat.Call{Path: ids(second.ID), Body: map[string]any{"routingStrategy": 99}})
	u.refused(http.StatusBadRequest, "updateIPPool", compat.Call{Path: ids(second.ID), Body: map[string]any{"routingMetaData": map[string]any{}}})
	u.refusedAs(http.StatusUnauthorized, compat.Call{Operation: u.contract.Operation("deleteIPPool"), Path: ids(second.ID)})
	u.deleted("deleteIPPool", second.ID, second.Name, compat.Call{Path: ids(second.ID)})
	u.refused(http.StatusNotFound, "deleteIPPool", compat.Call{Path: ids(second.ID)})
}

// emails are the two of SendPost's example.
func emails(ippool string) []map[string]any {
	from := map[string]any{"email": "richard@piedpiper.com", "name": "Richard \u00fc"}
	transactional := map[string]any{"from": from, "subject": "Order \u2713 #12345", "htmlBody": "<p>Thank you, \"you\" &amp; yours</p>", "textBody": "Thank you",
		"to": []map[string]any{{"email": "gavin@example.com", "name": "Gavin Belson", "customFields": map[string]any{"customer_id": "67890", "order_value": 99.99,
			"items": []any{"a", 2}}, "cc": []map[string]any{{"email": "cc@example.com", "name": "CC"}}, "bcc": []map[string]any{{"email": "bcc@example.com"}}}},
		"trackOpens": true, "trackClicks": true, "headers": map[string]string{"X-Order-ID": "12345", "X-Email-Type": "transactional"}}
	marketing := map[string]any{"from": from, "subject": "Special offer", "htmlBody": "<p>Offer</p>", "textBody": "Offer",
		"to":         []map[string]any{{"email": "erlich@example.com", "name": "Erlich"}, {"email": "not an address"}},
		"trackOpens": false, "trackClicks": false, "groups": []string{"marketing", "promotional"},
		"headers": map[string]string{"X-Email-Type": "marketing", "X-Campaign-ID": "campaign-001"}}
	for _, one := range []map[string]any{transactional, marketing} {
		if ippool != "" {
			one["ippool"] = ippool
		}
	}
	return []map[string]any{transactional, marketing}
}

// response is what clients read of one message that was sent.
type response struct {
	To          string
	MessageID   string
	SubmittedAt int64
	ErrorCode   int
	Message     string
}

// stored is what they read of a message.
type stored struct {
	MessageID    string
	SubAccountID int32
	SubmittedAt  int64
	Subject      string
	To           struct {
		Email        string
		CC, BCC      []string
		CustomFields map[string]string
	}
	Headers                 map[string]string
	Groups                  []string
	IPPool                  string `json:"ipPool"`
	TrackOpens, TrackClicks bool
	HTMLBody                string
}

// mail sends, and reads each message at once.
func (u *user) mail() (sent []string) {
	u.t.Helper()
	name := u.client.Name + "'s pool"
	var first, second []response
	bodies := emails(name)
	u.call("sendEmail", compat.Call{Body: bodies[0]}, &first)
	u.call("sendEmail", compat.Call{Body: bodies[1]}, &second)
	if len(first) != 1 || first[0].ErrorCode != 0 || first[0].To != "gavin@example.com" || len(second) != 2 || second[0].ErrorCode != 0 || second[1].ErrorCode != 1 ||
		second[1].MessageID != "" || second[1].Message == "" || second[1].To != "not an address" {
		u.t.Fatalf("%+v, %+v", first, second)
	}
	var got stored
	u.call("getMessageById", compat.Call{Path: []string{first[0].MessageID}}, &got)
	if got.MessageID != first[0].MessageID || got.SubAccountID != u.subID || got.SubmittedAt != first[0].SubmittedAt || got.Subject != bodies[0]["subject"] ||
		got.HTMLBody != bodies[0]["htmlBody"] || got.To.Email != "gavin@example.com" || !slices.Equal(got.To.CC, []string{"cc@example.com"}) ||
		!slices.Equal(got.To.BCC, []string{"bcc@example.com"}) || got.To.CustomFields["order_value"] != "99.99" || got.To.CustomFields["items"] != `["a",2]` ||
		got.Headers["X-Order-ID"] != "12345" || got.IPPool != name || !got.TrackOpens || !got.TrackClicks {
		u.t.Errorf("%+v", got)
	}
	u.call("getMessageById", compat.Call{Path: []string{second[0].MessageID}}, &got)
	if !slices.Equal(got.Groups, []string{"marketing", "promotional"}) || got.TrackOpens {
		u.t.Errorf("%+v", got)
	}
	var bare []response // null is taken for what is absent, wherever it stands
	u.call("sendEmail", compat.Call{Body: map[string]any{"from": map[string]any{"email": "richard@piedpiper.com", "name": nil}, "replyTo": nil, "subject": "Hi", "preText": nil,
		"htmlBody": nil, "textBody": "Hi", "ampBody": nil, "ippool": name, "headers": nil, "trackOpens": nil, "trackClicks": nil, "groups": nil, "attachments": nil,
		"webhookEndpoint": nil, "customFields": nil, "tpspTemplate": nil,
		"to": []map[string]any{{"email": "dinesh@example.com", "name": nil, "cc": nil, "bcc": nil, "customFields": nil}}}}, &bare)
	if len(bare) != 1 || bare[0].ErrorCode != 0 {
		u.t.Fatalf("%+v", bare)
	}
	u.call("getMessageById", compat.Call{Path: []string{bare[0].MessageID}}, nil)
	u.refused(http.StatusNotFound, "getMessageById", compat.Call{Path: []string{"0193d7a2-7d8c-7000-8000-000000000000"}})
	for field, bad := range map[string]map[string]any{
		"from":    {"to": bodies[0]["to"], "subject": "x", "textBody": "x", "ippool": name},
		"to":      {"from": bodies[0]["from"], "subject": "x", "textBody": "x", "ippool": name},
		"ippool":  {"from": bodies[0]["from"], "to": bodies[0]["to"], "subject": "x", "textBody": "x", "ippool": "nowhere"},
		"groups":  {"from": bodies[0]["from"], "to": bodies[0]["to"], "subject": "x", "textBody": "x", "groups": "marketing"},
		"headers": {"from": bodies[0]["from"], "to": bodies[0]["to"], "subject": "x", "textBody": "x", "headers": map[string]any{"X-A": 1}},
	} {
		if p := u.refused(http.StatusUnprocessableEntity, "sendEmail", compat.Call{Body: bad}); !strings.HasPrefix(p.Field, field) {
			u.t.Errorf("%s: %+v", field, p)
		}
	}
	return []string{first[0].MessageID, second[0].MessageID, bare[0].MessageID}
}

// statistics reads what was counted of the user's own messages, which the client's dates include.
func (u *user) statistics(messages int) {
	u.t.Helper()
	now := time.Now().UTC()
	query := url.Values{"from": {now.AddDate(0, 0, -7).Format(time.DateOnly)}, "to": {now.AddDate(0, 0, 1).Format(time.DateOnly)}}
	ofGroup := maps.Clone(query)
	ofGroup.Set("group", "marketing")
	type counters struct{ Processed, Delivered, Sent, Spam, Spams int }
	type daily []struct {
		Date string
		Stat counters
	}
	total := func(d daily) (n int) {
		for _, day := range d {
			n += day.Stat.Processed
		}
		return n
	}
	var days daily
	var sum counters
	u.call("getAllStats", compat.Call{Path: ids(u.subID), Query: query}, &days)
	u.call("getAggregateStats", compat.Call{Path: ids(u.subID), Query: query}, &sum)
	if total(days) != messages || sum.Processed != messages {
		u.t.Errorf("%+v, %+v: %d messages", days, sum, messages)
	}
	u.call("getAggregateStatsByGroup", compat.Call{Path: ids(u.subID), Query: ofGroup}, &sum)
	if sum.Processed != 1 {
		u.t.Errorf("of a group: %+v", sum)
	}
	u.call("getAllAccountStats", compat.Call{Query: query}, &days)
	if total(days) < messages {
		u.t.Errorf("of the account: %+v", days)
	}
	for _, instant := range []string{"2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05+00:00"} { // a Date of JavaScript, a DateTime of PHP
		long := url.Values{"from": {now.Format(instant)}, "to": {now.Format(instant)}}
		if u.call("getAggregateStats", compat.Call{Path: ids(u.subID), Query: long}, &sum); sum.Processed != messages {
			u.t.Errorf("with %s: %+v", long.Get("from"), sum)
		}
	}
	u.call("getAccountAggregateStats", compat.Call{Query: query}, &sum)
	u.call("getAccountStatsByGroup", compat.Call{Query: ofGroup}, &days)
	u.call("getAccountAggregateStatsByGroup", compat.Call{Query: ofGroup}, &sum)
	if total(days) == 0 || sum.Processed == 0 {
		u.t.Errorf("of a group of the account: %+v, %+v", days, sum)
	}
	for _, id := range []string{"getAllStats", "getAggregateStats", "getAggregateStatsByGroup"} {
		u.refused(http.StatusNotFound, id, compat.Call{Path: ids(999999), Query: ofGroup})
	}
}

// templates sends with stored templates.
func (u *user) templates() {
	u.t.Helper()
	ctx, account := u.t.Context(), map[string]string{"X-Account-ApiKey": u.account}
	name := "Welcome Mail of " + u.client.Name
	var made struct{ ID int32 }
	status, err := call(ctx, http.MethodPost, u.url+"/api/v1/account/template/", account, map[string]any{"name": name, "subject": "Hi {{name}}",
		"html": "<p>Hi {{name}}, {{code}} &amp; more</p>", "text": "Hi {{name}}, {{code}}"}, &made)
	if err != nil || status != http.StatusOK {
		u.t.Fatalf("create a template: %d, %v", status, err)
	}
	for what, dialect := range map[string]map[string]any{ // all that SendPost's guides have
		"name":        {"template": name, "templateVariables": map[string]string{"name": "Gavin", "code": "BELSON240"}},
		"id":          {"templateId": strconv.Itoa(int(made.ID)), "templateVariables": map[string]string{"name": "Gavin", "code": "BELSON240"}},
		"number":      {"templateId": made.ID, "dynamicData": map[string]any{"name": "Gavin", "code": "BELSON240"}},
		"dynamicData": {"templateId": strconv.Itoa(int(made.ID)), "dynamicData": map[string]any{"name": "Gavin", "code": "BELSON240"}},
		"recipients":  {"template": name, "customFields": map[string]any{"code": "BELSON240", "name": "nobody"}},
	} {
		body := map[string]any{"from": map[string]any{"email": "richard@piedpiper.com"}, "ippool": u.client.Name + "'s pool",
			"to": []map[string]any{{"email": "gavin@example.com", "customFields": map[string]any{"name": "Gavin"}}}}
		maps.Copy(body, dialect)
		var sent []response
		u.call("sendEmailWithTemplate", compat.Call{Body: body}, &sent)
		if len(sent) != 1 || sent[0].ErrorCode != 0 {
			u.t.Fatalf("%s: %+v", what, sent)
		}
		wantEvents(u.t, u.api, sent[0].MessageID, 58, 59)
		if mail := sandboxMail(u.t, u.sandbox, sent[0].MessageID); mail.Subject != "Hi Gavin" || mail.Text != "Hi Gavin, BELSON240" ||
			mail.HTML != "<p>Hi Gavin, BELSON240 &amp; more</p>" {
			u.t.Errorf("%s: %+v", what, mail)
		}
	}
	for field, bad := range map[string]map[string]any{"template": {"template": "nothing"}, "templateId": {"templateId": "999999"}} {
		bad["from"], bad["to"] = map[string]any{"email": "richard@piedpiper.com"}, []map[string]any{{"email": "gavin@example.com"}}
		bad["ippool"] = u.client.Name + "'s pool"
		if p := u.refused(http.StatusUnprocessableEntity, "sendEmailWithTemplate", compat.Call{Body: bad}); p.Code != "unknown_template" || p.Field != field {
			u.t.Errorf("%+v", p)
		}
	}
}

// webhooks makes, changes and deletes one.
func (u *user) webhooks() {
	u.t.Helper()
	at := "https://hooks.example.com/" + strings.ToLower(u.client.Name) + "/"
	toggles := []string{"processed", "delivered", "dropped", "softBounced", "hardBounced", "opened", "clicked", "unsubscribed", "spam"}
	body := map[string]any{"url": at, "enabled": true}
	for _, toggle := range toggles {
		body[toggle] = true
	}
	made := map[string]any{}
	u.call("createWebhook", compat.Call{Body: body}, &made)
	for _, toggle := range append(toggles, "enabled") {
		if made[toggle] != true {
			u.t.Errorf("%s is %v", toggle, made[toggle])
		}
	}
	for _, toggle := range []string{"sent", "smtpDropped", "uniqueOpen", "uniqueClick"} {
		if made[toggle] != false {
			u.t.Errorf("%s is %v", toggle, made[toggle])
		}
	}
	number, _ := made["id"].(float64)
	id := int32(number)
	if made["url"] != at {
		u.t.Errorf("%v", made)
	}
	u.refused(http.StatusForbidden, "createWebhook", compat.Call{Body: body})
	u.refused(http.StatusUnprocessableEntity, "createWebhook", compat.Call{Body: map[string]any{"url": "nowhere", "enabled": true}})
	var list []map[string]any
	u.call("getAllWebhooks", compat.Call{Query: url.Values{"search": {"HOOKS.example.com/" + strings.ToLower(u.client.Name) + "/"}}}, &list)
	if len(list) == 0 || !slices.ContainsFunc(list, func(one map[string]any) bool { return one["id"] == number }) {
		u.t.Errorf("%v", list)
	}
	body["enabled"], body["opened"], body["uniqueOpen"] = false, false, true
	u.call("updateWebhook", compat.Call{Path: ids(id), Body: body}, &made)
	u.call("getWebhook", compat.Call{Path: ids(id)}, &made)
	if made["enabled"] != false || made["opened"] != false || made["uniqueOpen"] != true || made["clicked"] != true {
		u.t.Errorf("%v", made)
	}
	u.refused(http.StatusUnprocessableEntity, "updateWebhook", compat.Call{Path: ids(id), Body: map[string]any{"url": 5}})
	body["url"] = at + "/second"
	u.call("createWebhook", compat.Call{Body: body}, &made)
	number, _ = made["id"].(float64)
	u.refused(http.StatusForbidden, "updateWebhook", compat.Call{Path: ids(int32(number)), Body: map[string]any{"url": at}})
	u.deleted("deleteWebhook", int32(number), at+"/second", compat.Call{Path: ids(int32(number))})
	u.refused(http.StatusNotFound, "updateWebhook", compat.Call{Path: ids(999999), Body: body})
	u.refused(http.StatusNotFound, "getWebhook", compat.Call{Path: ids(999999)})
	u.deleted("deleteWebhook", id, at, compat.Call{Path: ids(id)})
	u.refused(http.StatusNotFound, "deleteWebhook", compat.Call{Path: ids(id)})
}

// ips reads and changes the user's address, sends through it, gives it back and takes it again.
func (u *user) ips() {
	u.t.Helper()
	type ip struct {
		ID       int32
		PublicIP string
		Created  int64
	}
	var list []ip
	var got ip
	u.call("getAllIps", compat.Call{Query: url.Values{"search": {u.address}, "limit": {"10"}, "offset": {"0"}}}, &list)
	if len(list) != 1 || list[0].PublicIP != u.address || list[0].Created == 0 {
		u.t.Fatalf("%+v", list)
	}
	one := list[0]
	u.call("getSpecificIp", compat.Call{Path: ids(one.ID)}, &got)
	if got != one {
		u.t.Errorf("%+v, %+v", got, one)
	}
	u.call("updateIp", compat.Call{Path: ids(one.ID), Body: map[string]any{"autoWarmupEnabled": false}}, &got)
	if got != one {
		u.t.Errorf("%+v, %+v", got, one)
	}
	u.refused(http.StatusUnprocessableEntity, "updateIp", compat.Call{Path: ids(one.ID), Body: map[string]any{"autoWarmupEnabled": "no"}})
	u.refused(http.StatusNotFound, "updateIp", compat.Call{Path: ids(999999), Body: map[string]any{"autoWarmupEnabled": false}})
	u.refused(http.StatusNotFound, "getSpecificIp", compat.Call{Path: ids(999999)})

	// In a pool it shows all that clients need of an IP, and mail through it names it.
	name := "IPs of " + u.client.Name
	var made pool
	u.call("createIPPool", compat.Call{Body: map[string]any{"name": name, "ips": []map[string]any{{"publicIP": u.address}}, "routingStrategy": 0, "warmupInterval": 24,
		"overflowStrategy": 0}}, &made)
	if len(made.IPs) != 1 || made.IPs[0].PublicIP != u.address || len(made.ThirdPartySendingProviders) != 0 {
		u.t.Errorf("%+v", made)
	}
	u.call("updateIPPool", compat.Call{Path: ids(made.ID), Body: map[string]any{"name": name, "ips": []ip{one}, "routingStrategy": 2,
		"routingMetaData": fmt.Sprintf(`{"IP_%d":"1"}`, one.ID)}}, &made)
	var sent []response
	u.call("sendEmail", compat.Call{Body: emails(name)[0]}, &sent)
	wantEvents(u.t, u.api, sent[0].MessageID, 0, 9)
	var message struct {
		PublicIP string
		IPID     int32 `json:"ipID"`
	}
	u.call("getMessageById", compat.Call{Path: []string{sent[0].MessageID}}, &message)
	if message.PublicIP != u.address || message.IPID != one.ID {
		u.t.Errorf("%+v, want the IP %+v", message, one)
	}
	u.deleted("deleteIPPool", made.ID, name, compat.Call{Path: ids(made.ID)})
	u.deleted("deleteIp", one.ID, u.address, compat.Call{Path: ids(one.ID)})
	u.refused(http.StatusNotFound, "deleteIp", compat.Call{Path: ids(one.ID)})
	u.refused(http.StatusUnprocessableEntity, "allocateNewIp", compat.Call{Body: map[string]any{"ips": []string{"192.0.2.99"}, "overflowPool": false}})
	u.refused(http.StatusUnprocessableEntity, "allocateNewIp", compat.Call{Body: map[string]any{"ips": []string{}, "overflowPool": false}})
	u.call("allocateNewIp", compat.Call{Body: map[string]any{"ips": []string{u.address}, "overflowPool": false}}, &got)
	if got.PublicIP != u.address {
		u.t.Errorf("%+v", got)
	}
	u.refused(http.StatusForbidden, "allocateNewIp", compat.Call{Body: map[string]any{"ips": []string{u.address}, "overflowPool": false}})
}

// end deletes what the user made.
func (u *user) end() {
	u.t.Helper()
	eventually(u.t, "the mail left", 20*time.Second, func() bool {
		a, err := u.client.Do(u.t.Context(), u.url, compat.Call{Operation: u.contract.Operation("deleteIPPool"), Path: ids(u.poolID), Key: u.account})
		return err == nil && a.Status == http.StatusOK
	})
	u.deleted("deleteSubAccount", u.subID, u.name, compat.Call{Path: ids(u.subID)})
	u.refused(http.StatusUnauthorized, "getAllDomains", compat.Call{})
}

// TestExampleFlow replays SendPost's published example, call by call, with the key of the first sub-account.
func TestExampleFlow(t *testing.T) {
	t.Parallel()
	for _, c := range compat.Clients()[:3] { // the languages that it is published in
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s := startSendPost(t)
			u := &user{sendPost: s, t: t, client: c, subKey: s.sub}
			var subs []named
			u.call("getAllSubAccounts", compat.Call{}, &subs)
			hooks := s.receive(t)
			body := map[string]any{"url": hooks.URL + "/webhook", "enabled": true}
			for _, toggle := range []string{"processed", "delivered", "dropped", "softBounced", "hardBounced", "opened", "clicked", "unsubscribed", "spam"} {
				body[toggle] = true
			}
			u.call("createWebhook", compat.Call{Body: body}, nil)
			var list []named
			if u.call("getAllWebhooks", compat.Call{}, &list); len(list) != 1 {
				t.Errorf("%+v", list)
			}
			u.call("createDomain", compat.Call{Body: map[string]any{"name": "piedpiper.com"}}, nil)
			var domains []named
			if u.call("getAllDomains", compat.Call{}, &domains); len(domains) != 1 {
				t.Errorf("%+v", domains)
			}
			ippool := u.examplePool()
			var sent []response
			for _, body := range emails(ippool) {
				body["to"] = body["to"].([]map[string]any)[:1]
				var one []response
				u.call("sendEmail", compat.Call{Body: body}, &one)
				sent = append(sent, one...)
			}
			now := time.Now().UTC()
			query := url.Values{"from": {now.AddDate(0, 0, -7).Format(time.DateOnly)}, "to": {now.Format(time.DateOnly)}}
			u.call("getAllStats", compat.Call{Path: ids(subs[0].ID), Query: query}, nil)
			var sum struct{ Processed int }
			u.call("getAggregateStats", compat.Call{Path: ids(subs[0].ID), Query: query}, &sum)
			u.call("getAllAccountStats", compat.Call{Query: query}, nil)
			var got stored
			u.call("getMessageById", compat.Call{Path: []string{sent[0].MessageID}}, &got)
			if sum.Processed != 2 || len(sent) != 2 || got.MessageID != sent[0].MessageID {
				t.Errorf("%+v, %+v, %+v", sum, sent, got)
			}
			// Not the event that it was sent: the example has not asked for it.
			for _, one := range sent {
				events, err := u.api.MessageEvents(t.Context(), one.MessageID)
				if err != nil || len(events) == 0 {
					t.Fatalf("%+v (%v)", events, err)
				}
				hooks.want(t, one.MessageID, events[0].Type)
			}
		})
	}
}

// examplePool makes the pool of the example, with the account's first IP.
func (u *user) examplePool() string {
	u.t.Helper()
	var ips []struct{ PublicIP string }
	u.call("getAllIps", compat.Call{}, nil)
	if u.call("getAllIps", compat.Call{}, &ips); len(ips) == 0 {
		u.t.Fatal("the account has no IP")
	}
	var made, listed pool
	var list []pool
	u.call("createIPPool", compat.Call{Body: map[string]any{"name": "Marketing Pool", "ips": []map[string]any{{"publicIP": ips[0].PublicIP}}, "routingStrategy": 0,
		"warmupInterval": 24, "overflowStrategy": 0}}, &made)
	u.call("getAllIPPools", compat.Call{Query: url.Values{"search": {"Marketing"}}}, &list)
	if len(list) == 1 {
		listed = list[0]
	}
	if len(made.IPs) != 1 || made.IPs[0] != ips[0] || listed.ID != made.ID || len(listed.IPs) != 1 {
		u.t.Fatalf("%+v, %+v", made, list)
	}
	return made.Name
}
