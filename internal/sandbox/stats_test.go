package sandbox_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stats returns an answer of /stats/outbound.
func (b *bench) stats(path string) (got object) {
	b.t.Helper()
	b.ok(http.MethodGet, "/stats/outbound"+path, nil).into(b.t, &got)
	return got
}

// PM-sim 51: every shape, counted per recipient and by day in the eastern United States, which 03:00 UTC is the day before of.
func TestStatistics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raise := func(id string, wishes ...object) {
		b.await(id, "delivery")
		for _, wish := range wishes {
			b.control(http.MethodPost, "/sandbox/messages/"+id+"/events", wish, http.StatusOK)
		}
	}
	open, click := object{"kind": "open"}, object{"kind": "click"}
	b.suppress("outbound", "gone@example.net")
	first := b.send(object{"Cc": "bob@example.net, gone@example.net", "Tag": "a"}) // two that get it; two links tracked
	b.pass()
	raise(first, open, open, click, object{"kind": "click", "url": "https://example.com/b"}, object{"kind": "open", "recipient": "bob@example.net"})
	b.clock.Advance(17 * time.Hour) // 03:00 UTC on the third: still the second
	plain := b.send(object{"HtmlBody": nil, "TrackLinks": "None", "Tag": "a"})
	var bounced []string
	for _, to := range []string{"hardbounce", "softbounce", "smtpapierror"} {
		bounced = append(bounced, b.send(object{"To": to + "@bounce.sandbox.test", "MessageStream": "broadcast", "TrackLinks": "None"}))
	}
	b.pass()
	b.await(plain, "delivery")
	for _, id := range bounced {
		b.await(id, "bounce")
	}
	b.clock.Advance(3 * time.Hour)
	third := b.send(object{"To": "complaint@bounce.sandbox.test"})
	b.pass()
	raise(third, open)

	const second, next = "2026-03-02", "2026-03-03"
	day := func(date string, counts object) any { return merge(object{"Date": date}, counts) }
	days := func(totals object, list ...any) object { return merge(object{"Days": list}, totals) }
	for path, want := range map[string]object{
		"/sends":   days(object{"Sent": 7.0}, day(second, object{"Sent": 6.0}), day(next, object{"Sent": 1.0})),
		"/bounces": days(object{"HardBounce": 1.0, "SoftBounce": 1.0, "SMTPApiError": 1.0, "Transient": 0.0}, day(second, object{"HardBounce": 1.0, "SoftBounce": 1.0, "SMTPApiError": 1.0})),
		"/spam":    days(object{"SpamComplaint": 1.0}, day(next, object{"SpamComplaint": 1.0})),
		"/tracked": days(object{"Tracked": 6.0}, day(second, object{"Tracked": 5.0}), day(next, object{"Tracked": 1.0})),
		"/opens": days(object{"Opens": 4.0, "Unique": 3.0}, day(second, object{"Opens": 3.0, "Unique": 2.0}),
			day(next, object{"Opens": 1.0, "Unique": 1.0})),
		"/opens/platforms": days(object{"Desktop": 0.0, "Mobile": 0.0, "Unknown": 0.0, "WebMail": 3.0}, day(second, object{"WebMail": 2.0}),
			day(next, object{"WebMail": 1.0})),
		"/opens/emailClients":     days(object{"Chrome 140": 3.0}, day(second, object{"Chrome 140": 2.0}), day(next, object{"Chrome 140": 1.0})),
		"/opens/readTimes":        days(object{"5s": 3.0}, day(second, object{"5s": 2.0}), day(next, object{"5s": 1.0})),
		"/clicks":                 days(object{"Clicks": 2.0, "Unique": 2.0}, day(second, object{"Clicks": 2.0, "Unique": 2.0})),
		"/clicks/browserFamilies": days(object{"Chrome": 2.0}, day(second, object{"Chrome": 2.0})),
		"/clicks/platforms":       days(object{"Desktop": 0.0, "Mobile": 0.0, "Unknown": 0.0, "WebMail": 2.0}, day(second, object{"WebMail": 2.0})),
		"/clicks/location":        days(object{"HTML": 1.0, "Text": 1.0}, day(second, object{"HTML": 1.0, "Text": 1.0})),

		"/sends?tag=a":                                  days(object{"Sent": 3.0}, day(second, object{"Sent": 3.0})),
		"/sends?tag=nothing":                            days(nil, []any{}...),
		"/sends?MessageStream=Broadcast":                days(object{"Sent": 3.0}, day(second, object{"Sent": 3.0})),
		"/sends?fromDate=2026-3-3":                      days(object{"Sent": 1.0}, day(next, object{"Sent": 1.0})),
		"/opens?todate=2026-03-02":                      days(object{"Opens": 3.0, "Unique": 2.0}, day(second, object{"Opens": 3.0, "Unique": 2.0})),
		"/spam?fromdate=2026-03-02&todate=2026-03-02":   days(nil, []any{}...),
		"/clicks?messagestream=broadcast&unknown=thing": days(nil, []any{}...),

		"": {"Sent": 7.0, "Bounced": 2.0, "SMTPApiErrors": 1.0, "BounceRate": 28.571, "SpamComplaints": 1.0, "SpamComplaintsRate": 14.286, "Tracked": 6.0,
			"Opens": 4.0, "UniqueOpens": 3.0, "TotalClicks": 2.0, "UniqueLinksClicked": 2.0, "WithClientRecorded": 3.0, "WithPlatformRecorded": 3.0,
			"WithReadTimeRecorded": 3.0, "WithLinkTracking": 3.0, "WithOpenTracking": 6.0, "TotalTrackedLinksSent": 6.0},
		"?tag=nothing": {"Sent": 0.0, "Bounced": 0.0, "SMTPApiErrors": 0.0, "BounceRate": 0.0, "SpamComplaints": 0.0, "SpamComplaintsRate": 0.0, "Tracked": 0.0,
			"Opens": 0.0, "UniqueOpens": 0.0, "TotalClicks": 0.0, "UniqueLinksClicked": 0.0, "WithClientRecorded": 0.0, "WithPlatformRecorded": 0.0,
			"WithReadTimeRecorded": 0.0, "WithLinkTracking": 0.0, "WithOpenTracking": 0.0, "TotalTrackedLinksSent": 0.0},
	} {
		if list, ok := want["Days"].([]any); ok && len(list) == 0 {
			want["Days"] = []any{}
		}
		if diff := cmp.Diff(want, b.stats(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	b.api(http.MethodGet, "/stats/outbound/sends?fromdate=yesterday", nil).want(t, 422, 900, "")
	b.api(http.MethodGet, "/stats/outbound?messagestream=nope", nil).want(t, 422, 1226, "")

	// Another server's are its own.
	b.control(http.MethodPost, "/sandbox/servers", object{"name": "Second", "token": "second"}, http.StatusOK)
	if got := b.as("second", http.MethodGet, "/stats/outbound", nil).field(t, "Sent"); got != 0.0 {
		t.Errorf("another server has sent %v", got)
	}
}
