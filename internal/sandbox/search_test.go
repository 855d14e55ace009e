package sandbox_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// search returns the ids of a message search, and its total.
func (b *bench) search(query string) (total int, ids []string) {
	b.t.Helper()
	var list struct {
		TotalCount int
		Messages   []struct{ MessageID string }
	}
	b.ok(http.MethodGet, "/messages/outbound?"+query, nil).into(b.t, &list)
	for _, m := range list.Messages {
		ids = append(ids, m.MessageID)
	}
	return list.TotalCount, ids
}

// PM-sim 48.
func TestMessageSearch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var sent []string
	for i := range 5 {
		sent = append(sent, b.send(object{"To": fmt.Sprintf("u%d@example.net", i%2), "Subject": fmt.Sprintf("Number %d", i),
			"Tag": fmt.Sprintf("tag%d", i%3), "Metadata": object{"messageId": fmt.Sprint("m", i), "tpspId": "7"}}))
		b.clock.Advance(time.Hour)
	}
	b.settled(sent[4])
	other := b.send(object{"MessageStream": "broadcast", "Metadata": object{"messageId": "m9"}})
	queued := b.send(object{"From": "second@example.com"})
	slices.Reverse(sent)
	pick := func(at ...int) []string {
		var ids []string
		for _, i := range at {
			ids = append(ids, sent[4-i])
		}
		return ids
	}
	for query, want := range map[string][]string{
		"metadata_messageId=m3":                            pick(3),
		"METADATA_MESSAGEID=m3&messagestream=outbound":     pick(3),
		"metadata_tpspid=7":                                pick(4, 3, 2, 1, 0),
		"metadata_tpspid=7&metadata_messageid=m9":          nil,
		"metadata_messageid=m9&messageStream=broadcast":    {other},
		"metadata_messageid=M3":                            nil,
		"recipient=U1@example.net":                         pick(3, 1),
		"tag=tag0":                                         pick(3, 0),
		"subject=" + url.QueryEscape("number 2"):           pick(2),
		"fromemail=second@example.com":                     {queued},
		"status=queued":                                    {queued},
		"status=sent&tag=tag1":                             pick(4, 1),
		"status=processed&metadata_messageid=m0":           pick(0),
		"fromdate=2026-03-02T12:00:00Z&metadata_tpspid=7":  pick(4, 3, 2),
		"todate=2026-03-02T06:30:00&metadata_tpspid=7":     pick(1, 0), // Eastern: 11:30 UTC
		"fromdate=2026-3-2&todate=2026-03-02&tag=tag2":     pick(2),
		"fromdate=2026-3-3&metadata_tpspid=7":              nil,
		"recipient=u1@example.net&tag=tag0&unknown_key=on": pick(3),
	} {
		total, got := b.search("count=500&offset=0&" + query)
		if total != len(want) || !slices.Equal(got, want) {
			t.Errorf("%s: %d %v, want %v", query, total, got, want)
		}
	}
	if total, got := b.search("count=2&offset=1&metadata_tpspid=7"); total != 5 || !slices.Equal(got, pick(3, 2)) {
		t.Errorf("page: %d %v", total, got)
	}
	for _, bad := range []string{"", "count=0&offset=0", "count=501&offset=0", "count=5", "count=500&offset=9501", "count=1&offset=-1",
		"count=1&offset=0&status=lost", "count=1&offset=0&fromdate=yesterday"} {
		b.api(http.MethodGet, "/messages/outbound?"+bad, nil).want(t, 422, 700, "")
	}
}

// PM-sim 48: an item and the details have the documented keys; the bounce's id is a string there.
func TestMessageDetails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(object{"To": "Ana <hardbounce+1@bounce.sandbox.test>", "Metadata": object{"k": "v"}})
	b.api(http.MethodGet, "/messages/outbound/00000000-0000-4000-8000-000000000000/details", nil).
		want(t, 422, 701, "This message was not found.")
	if status := b.ok(http.MethodGet, "/messages/outbound/"+id+"/details", nil).field(t, "Status"); status != "Queued" {
		t.Errorf("before anything happened it is %v", status)
	}
	b.pass()
	b.await(id, "bounce")
	b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", object{"kind": "open"}, 200)
	b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", object{"kind": "click"}, 200)
	var got object
	b.ok(http.MethodGet, "/messages/outbound/"+strings.ToUpper(id)+"/details/", nil).into(t, &got)
	if diff := cmp.Diff(fields("Tag MessageID MessageStream To Cc Bcc Recipients ReceivedAt From Subject Attachments Status TrackOpens "+
		"TrackLinks Metadata Sandboxed TextBody HtmlBody Body MessageEvents"), keysOf(got)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{object{"Email": "hardbounce+1@bounce.sandbox.test", "Name": "Ana"}}, got["To"]); diff != "" {
		t.Error(diff)
	}
	if got["Status"] != "Sent" || got["Subject"] != "Hello" {
		t.Errorf("%v, subject %v", got["Status"], got["Subject"])
	}
	dump, _ := b.ok(http.MethodGet, "/messages/outbound/"+id+"/dump", nil).field(t, "Body").(string)
	if !strings.HasPrefix(dump, "From: app@example.com\r\n") || !strings.HasSuffix(dump, "See https://example.com/b.") {
		t.Errorf("dump %q", dump)
	}
	var types []string
	for _, e := range got["MessageEvents"].([]any) {
		event := e.(object)
		types = append(types, event["Type"].(string))
		if event["Type"] == "Bounced" {
			if _, isString := event["Details"].(object)["BounceID"].(string); !isString {
				t.Errorf("%v", event)
			}
		}
	}
	if want := []string{"Bounced", "SubscriptionChanged", "Opened", "LinkClicked"}; !slices.Equal(types, want) {
		t.Errorf("%v, want %v", types, want)
	}
}

// PM-sim 48: what delayed a message is told like what delivered it.
func TestTransientDetails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(object{"To": "transient@bounce.sandbox.test"})
	b.pass()
	b.await(id, "bounce")
	var got struct {
		MessageEvents []struct {
			Type    string
			Details map[string]string
		}
	}
	b.ok(http.MethodGet, "/messages/outbound/"+id+"/details", nil).into(t, &got)
	want := map[string]string{"DeliveryMessage": "smtp;451 4.3.0 Temporary failure, please try again later.", "DestinationServer": "mx.sandbox.test",
		"DestinationIP": "127.0.0.1"}
	if len(got.MessageEvents) != 1 || got.MessageEvents[0].Type != "Transient" || !cmp.Equal(got.MessageEvents[0].Details, want) {
		t.Errorf("%+v", got)
	}
}

// PM-sim 48: a message shows in the search only after the lag.
func TestSearchLag(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/settings", object{"searchLagMs": 5000}, 200)
	id := b.send(object{"Metadata": object{"messageId": "m"}})
	b.clock.Advance(4999 * time.Millisecond)
	if total, _ := b.search("count=1&offset=0&metadata_messageId=m"); total != 0 {
		t.Error("found before its time")
	}
	b.api(http.MethodGet, "/messages/outbound/"+id+"/details", nil).want(t, 422, 701, "")
	b.clock.Advance(time.Millisecond)
	if total, _ := b.search("count=1&offset=0&metadata_messageId=m"); total != 1 {
		t.Error("not found after the lag")
	}
	b.ok(http.MethodGet, "/messages/outbound/"+id+"/details", nil)
}

// PM-sim 49.
func TestBounces(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hard := b.send(object{"To": "hardbounce+1@bounce.sandbox.test", "Tag": "a"})
	soft := b.send(object{"To": "softbounce+2@bounce.sandbox.test"})
	b.pass()
	b.await(hard, "bounce")
	b.await(soft, "bounce")
	var list struct {
		TotalCount int
		Bounces    []struct {
			ID        int64
			MessageID string
			Inactive  bool
		}
	}
	for query, want := range map[string][]string{"": {soft, hard}, "&type=hardbounce": {hard}, "&inactive=true": {hard}, "&inactive=false": {soft},
		"&tag=a": {hard}, "&emailFilter=%2B2@": {soft}, "&messageID=" + hard: {hard}, "&messagestream=broadcast": nil,
		"&fromdate=2026-03-02": {soft, hard}, "&todate=2026-03-01": nil} {
		list.Bounces = nil
		b.ok(http.MethodGet, "/bounces?count=50&offset=0"+query, nil).into(t, &list)
		var got []string
		for _, bounce := range list.Bounces {
			got = append(got, bounce.MessageID)
		}
		if !slices.Equal(got, want) || list.TotalCount != len(want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	b.ok(http.MethodGet, "/bounces?count=1&offset=0&type=HardBounce", nil).into(t, &list)
	one := b.ok(http.MethodGet, fmt.Sprintf("/bounces/%d", list.Bounces[0].ID), nil)
	if one.field(t, "MessageID") != hard || one.field(t, "Content") == nil || strings.Contains(string(one.body), "Metadata") {
		t.Errorf("%s", one.body)
	}
	path := fmt.Sprintf("/bounces/%d", list.Bounces[0].ID)
	if dump, _ := b.ok(http.MethodGet, path+"/dump", nil).field(t, "Body").(string); !strings.Contains(dump, "could not be delivered") {
		t.Errorf("%q", dump)
	}
	rounded := strconv.FormatFloat(float64(list.Bounces[0].ID), 'f', -1, 64) // as JavaScript has it
	if got := b.ok(http.MethodGet, "/bounces/"+rounded, nil).field(t, "MessageID"); got != hard || rounded == fmt.Sprint(list.Bounces[0].ID) {
		t.Errorf("by the rounded id %s: %v", rounded, got)
	}
	b.api(http.MethodGet, "/bounces/7", nil).want(t, 422, 1001, "")
	b.api(http.MethodGet, "/bounces?count=-1&offset=0", nil).want(t, 422, 1000, "")
	b.api(http.MethodGet, "/bounces?count=1&offset=0&type=nope", nil).want(t, 422, 1000, "")
}

// PM-sim 49, 44: activating takes the recipient off the list, once, with nulls in the SubscriptionChange; complaints stay.
func TestActivateBounce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := listen(t, nil)
	b.hook(r, object{"SubscriptionChange": object{"Enabled": true}})
	hard := b.send(object{"To": "hardbounce+1@bounce.sandbox.test", "Tag": "a", "Metadata": object{"k": "v"}})
	spam := b.send(object{"To": "complaint+1@bounce.sandbox.test"})
	b.pass()
	r.drain(t, 2)
	var stats, want object
	b.ok(http.MethodGet, "/deliveryStats", nil).into(t, &stats)
	want = object{"InactiveMails": 2.0, "Bounces": []any{object{"Name": "All", "Count": 2.0},
		object{"Type": "HardBounce", "Name": "Hard bounce", "Count": 1.0}, object{"Type": "SpamComplaint", "Name": "Spam complaint", "Count": 1.0}}}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Error(diff)
	}
	path := func(id string) string {
		var list struct{ Bounces []struct{ ID int64 } }
		b.ok(http.MethodGet, "/bounces?count=1&offset=0&messageID="+id, nil).into(t, &list)
		return fmt.Sprintf("/bounces/%d/activate", list.Bounces[0].ID)
	}
	b.api(http.MethodPut, path(spam), "{}").want(t, 422, 1003, "")
	for range 2 {
		a := b.ok(http.MethodPut, path(hard), "null")
		if bounce, _ := a.field(t, "Bounce").(object); a.field(t, "Message") != "OK" || bounce["Inactive"] != false {
			t.Errorf("%s", a.body)
		}
	}
	want = object{"RecordType": "SubscriptionChange", "MessageID": nil, "ServerID": 1.0, "MessageStream": "outbound",
		"ChangedAt": "2026-03-02T10:00:00.2000000Z", "Recipient": "hardbounce+1@bounce.sandbox.test", "Origin": "Customer",
		"SuppressSending": false, "SuppressionReason": nil, "Tag": nil, "Metadata": object{}}
	if diff := cmp.Diff(want, r.next(t).json(t)); diff != "" {
		t.Error(diff)
	}
	b.settled(hard)
	if len(r.events) != 0 {
		t.Error("activating twice raised two events")
	}
	b.ok(http.MethodPost, "/email", mail(object{"To": "hardbounce+1@bounce.sandbox.test"}))
}

// PM-sim 50.
func TestSuppressions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.send(object{"To": "complaint+1@bounce.sandbox.test"})
	b.pass()
	b.await(id, "subscription")
	var results struct {
		Suppressions []struct {
			EmailAddress, Status string
			Message              *string
		}
	}
	statuses := func(a answer) string {
		results.Suppressions = nil
		a.into(t, &results)
		var list []string
		for _, s := range results.Suppressions {
			list = append(list, s.Status)
		}
		return strings.Join(list, " ")
	}
	items := func(addresses ...string) object {
		list := []object{}
		for _, a := range addresses {
			list = append(list, object{"EmailAddress": a})
		}
		return object{"Suppressions": list}
	}
	const base = "/message-streams/outbound/suppressions"
	if got := statuses(b.ok(http.MethodPost, base, items("a@example.net", "bad", "b@example.net"))); got != "Suppressed Failed Suppressed" {
		t.Error(got)
	}
	dump := func(query string) string {
		var list struct {
			Suppressions []struct{ EmailAddress string }
		}
		b.ok(http.MethodGet, base+"/dump?"+query, nil).into(t, &list)
		var got []string
		for _, s := range list.Suppressions {
			got = append(got, s.EmailAddress)
		}
		slices.Sort(got)
		return strings.Join(got, " ")
	}
	for query, want := range map[string]string{
		"":                                    "a@example.net b@example.net complaint+1@bounce.sandbox.test",
		"SuppressionReason=SpamComplaint":     "complaint+1@bounce.sandbox.test",
		"suppressionReason=ManualSuppression": "a@example.net b@example.net",
		"Origin=Customer&EmailAddress=A@example.net": "a@example.net",
		"todate=2026-03-01":                          "",
	} {
		if got := dump(query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	got := statuses(b.ok(http.MethodPost, base+"/delete", items("A@example.net", "never@example.net", "complaint+1@bounce.sandbox.test")))
	if got != "Deleted Deleted Failed" || *results.Suppressions[2].Message != "You do not have the required authority to change this suppression." {
		t.Error(got)
	}
	b.ok(http.MethodPost, "/email", mail(object{"To": "a@example.net"}))
	b.api(http.MethodPost, base, items(strings.Fields(strings.Repeat("x@example.net ", 51))...)).want(t, 422, 1410, "")
	b.api(http.MethodPost, base, "").want(t, 422, 1409, "")
	b.api(http.MethodPost, "/message-streams/nope/suppressions", items("a@example.net")).want(t, 422, 1226, "")
	b.api(http.MethodGet, base+"/dump?SuppressionReason=x", nil).want(t, 422, 1404, "")
	b.api(http.MethodGet, base+"/dump?Origin=x", nil).want(t, 422, 1405, "")
}
