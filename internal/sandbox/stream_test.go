package sandbox_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// streamIDs lists streams.
func (b *bench) streamIDs(query string) []string {
	b.t.Helper()
	var list struct {
		MessageStreams []struct{ ID string }
		TotalCount     int
	}
	b.ok(http.MethodGet, "/message-streams"+query, nil).into(b.t, &list)
	ids := []string{}
	for _, s := range list.MessageStreams {
		ids = append(ids, s.ID)
	}
	if len(ids) != list.TotalCount {
		b.t.Errorf("TotalCount %d for %v", list.TotalCount, ids)
	}
	return ids
}

// PM-sim 31.
func TestStreamLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for query, want := range map[string][]string{
		"":                                   {"outbound", "inbound", "broadcast"},
		"?MessageStreamType=All":             {"outbound", "inbound", "broadcast"},
		"?messageStreamType=transactional":   {"outbound"},
		"?MessageStreamType=Broadcasts":      {"broadcast"},
		"?MessageStreamType=Inbound":         {"inbound"},
		"?IncludeArchivedStreams=true":       {"outbound", "inbound", "broadcast", "retired"},
		"?includearchivedstreams=false&a=b&": {"outbound", "inbound", "broadcast"},
	} {
		if got := b.streamIDs(query); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	b.api(http.MethodGet, "/message-streams?MessageStreamType=nope", nil).want(t, 422, 1221, "")
	one := b.ok(http.MethodGet, "/message-streams/broadcast", nil)
	if one.field(t, "MessageStreamType") != "Broadcasts" || one.field(t, "ServerID") != 1.0 || one.field(t, "ArchivedAt") != nil {
		t.Errorf("%s", one.body)
	}
	if b.ok(http.MethodGet, "/message-streams/retired", nil).field(t, "ArchivedAt") == nil {
		t.Error("the retired stream is not archived")
	}
	b.api(http.MethodGet, "/message-streams/nope", nil).want(t, 422, 1226, "The message stream for the provided 'ID' was not found.")
}

// PM-sim 31: a new server has three streams, archived ones included.
func TestStreamsOfANewServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second"}, http.StatusOK)
	if got := b.as("second", http.MethodGet, "/message-streams?IncludeArchivedStreams=true", nil).field(t, "TotalCount"); got != 3.0 {
		t.Errorf("%v streams", got)
	}
	b.as("second", http.MethodPost, "/message-streams", object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"})
	if got := b.as("second", http.MethodGet, "/message-streams", nil).field(t, "TotalCount"); got != 4.0 {
		t.Errorf("%v streams after one was made", got)
	}
}

// PM-sim 32: archiving can be switched off.
func TestArchivingRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.control(http.MethodPut, "/sandbox/settings", object{"refuseArchive": true}, http.StatusOK)
	b.api(http.MethodPost, "/message-streams/broadcast/archive", nil).want(t, 422, 1241, "Stream is unable to be archived at this time.")
	b.ok(http.MethodPost, "/email", mail(object{"MessageStream": "broadcast"}))
	b.control(http.MethodPut, "/sandbox/settings", object{"refuseArchive": false}, http.StatusOK)
	b.ok(http.MethodPost, "/message-streams/broadcast/archive", nil)
}

// PM-sim 31, 32.
func TestStreamChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream := func(changes object) object {
		return merge(object{"ID": "news", "Name": "News", "MessageStreamType": "Broadcasts"}, changes)
	}
	for _, c := range []struct {
		changes object
		code    int
	}{
		{object{"ID": nil}, 1222}, {object{"ID": "News"}, 1227}, {object{"ID": "9x"}, 1227}, {object{"ID": "pm-x"}, 1233},
		{object{"ID": "all"}, 1237}, {object{"ID": "outbound"}, 1230}, {object{"Name": nil}, 1223}, {object{"MessageStreamType": "x"}, 1221},
		{object{"MessageStreamType": "Inbound"}, 1228}, {object{"Description": "<b>"}, 1234},
		{object{"SubscriptionManagementConfiguration": object{"UnsubscribeHandlingType": "x"}}, 1240},
		{object{"SubscriptionManagementConfiguration": object{"UnsubscribeHandlingType": "None"}}, 1239},
	} {
		b.api(http.MethodPost, "/message-streams", stream(c.changes)).want(t, 422, c.code, "")
	}
	b.ok(http.MethodPost, "/message-streams", stream(nil))
	if got := b.streamIDs(""); len(got) != 4 {
		t.Errorf("%v", got)
	}
	edited := b.ok(http.MethodPatch, "/message-streams/news", object{"Description": "monthly"})
	if edited.field(t, "Name") != "News" || edited.field(t, "Description") != "monthly" || edited.field(t, "UpdatedAt") == nil {
		t.Errorf("%s", edited.body)
	}
	archived := b.ok(http.MethodPost, "/message-streams/news/archive", "{}")
	if got := archived.field(t, "ExpectedPurgeDate"); got != "2026-04-16T10:00:00.0000000Z" {
		t.Errorf("purge %v", got)
	}
	b.api(http.MethodPost, "/email", mail(object{"MessageStream": "news"})).want(t, 422, 1235, "")
	b.ok(http.MethodPost, "/message-streams/news/unarchive", nil)
	b.ok(http.MethodPost, "/email", mail(object{"MessageStream": "news"}))
	b.api(http.MethodPost, "/message-streams/outbound/archive", nil).want(t, 422, 1229, "")
	b.api(http.MethodPost, "/message-streams/inbound/archive", nil).want(t, 422, 1229, "")
	for i := range 6 {
		b.ok(http.MethodPost, "/message-streams", stream(object{"ID": fmt.Sprintf("s%d", i)}))
	}
	b.api(http.MethodPost, "/message-streams", stream(object{"ID": "eleventh"})).want(t, 422, 1225, "")
}
