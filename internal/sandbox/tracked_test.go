package sandbox_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// PM-sim 48: the read API lists first opens and clicks, newest first, without metadata.
func TestListedOpensAndClicks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	html := object{"HtmlBody": `<a href="https://example.com/a">a</a> <a href="https://example.com/b">b</a>`, "TrackOpens": true,
		"TrackLinks": "HtmlOnly", "Metadata": object{"k": "v"}}
	first := b.send(html)
	html["To"], html["Tag"] = "bob@example.net", "news"
	second := b.send(html)
	for _, wish := range []struct{ id, body string }{
		{first, "open"}, {second, "open"}, {first, "open"}, {first, "click"},
	} {
		b.control(http.MethodPost, "/sandbox/messages/"+wish.id+"/events", object{"kind": wish.body}, 200)
	}
	b.control(http.MethodPost, "/sandbox/messages/"+first+"/events", object{"kind": "click", "url": "https://example.com/b"}, 200)
	type entry struct {
		MessageID, Recipient, OriginalLink, UserAgent, ReceivedAt string
		Metadata                                                  object
	}
	var got struct {
		TotalCount    int
		Opens, Clicks []entry
	}
	for path, want := range map[string][]string{
		"opens?count=9&offset=0":                           {second, first},
		"opens?count=1&offset=1":                           {first},
		"opens?count=9&offset=0&tag=news":                  {second},
		"opens?count=9&offset=0&recipient=BOB@example.net": {second},
		"opens?count=9&offset=0&messagestream=broadcast":   nil,
		"opens/" + first + "?count=9&offset=0":             {first},
		"clicks?count=9&offset=0":                          {first, first},
		"opens?count=9&offset=0&client_name=chrome+140&client_company=Google&client_family=Chrome&os_name=macOS&" +
			"os_company=Apple+Computer,+Inc.&os_family=macOS&platform=webmail&country=United+States&region=Texas&city=Houston": {second, first},
		"opens?count=1&offset=1&platform=WebMail":       {first},
		"opens?count=9&offset=0&platform=Mobile":        nil,
		"opens?count=9&offset=0&os_family=Windows":      nil,
		"opens?count=9&offset=0&client_family=Safari":   nil,
		"opens?count=9&offset=0&city=Boston":            nil,
		"clicks?count=9&offset=0&country=Germany":       nil,
		"clicks?count=9&offset=0&client_company=google": {first, first},
		"clicks/" + second + "?count=9&offset=0":        nil,
	} {
		got.TotalCount, got.Opens, got.Clicks = 0, nil, nil
		b.ok(http.MethodGet, "/messages/outbound/"+path, nil).into(t, &got)
		var ids []string
		for _, e := range slices.Concat(got.Opens, got.Clicks) {
			ids = append(ids, e.MessageID)
			if e.Metadata != nil || e.UserAgent == "" || e.ReceivedAt == "" || e.Recipient == "" {
				t.Errorf("%s: %+v", path, e)
			}
		}
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	b.ok(http.MethodGet, "/messages/outbound/clicks?count=9&offset=0", nil).into(t, &got)
	if got.TotalCount != 2 || got.Clicks[0].OriginalLink != "https://example.com/b" {
		t.Errorf("%+v", got)
	}
	b.api(http.MethodGet, "/messages/outbound/opens?count=501&offset=0", nil).want(t, 422, 700, "")
	b.api(http.MethodGet, "/messages/outbound/opens/nope?count=1&offset=0", nil).want(t, 422, 701, "")
}
