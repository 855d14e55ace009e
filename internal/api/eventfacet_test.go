package api

import (
	"bytes"
	"fmt"
	"net/url"
	"testing"
	"time"

	"postyard/internal/event"
)

// Behind every number of statistics by reason, by reader and by domain are as many events: in the list, in its pages, in the count and
// in an export.
func TestEventsBehindNumbers(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	types := map[string]string{"hardBounced": "72", "softBounced": "73", "opened": "75", "clicked": "76", "uniqueOpened": "75&first=true", "uniqueClicked": "76&first=true",
		"processed": "69", "delivered": "71", "spam": "77"}
	numbers := 0
	for _, by := range []string{"reason", "device", "client", "os", "country", "domain"} {
		var rows []map[string]any
		w.asAccount("GET", "/api/v1/account/stat/aggregate/"+by+days3(), nil).ok(200, &rows)
		if len(rows) == 0 {
			t.Errorf("there is nothing by %s", by)
		}
		for _, row := range rows {
			key := by
			if by == "domain" {
				key = "name"
			}
			for counter, typ := range types {
				n, counted := row[counter].(float64)
				if !counted {
					continue
				}
				numbers++
				want := int(n)
				query := days3("&type="+typ, "&", url.Values{by: {fmt.Sprint(row[key])}}.Encode())
				var listed []eventAnswer
				if w.asAccount("GET", eventPath+query, nil).ok(200, &listed); len(listed) != want {
					t.Errorf("%s: %d events are listed, %d counted", query, len(listed), want)
				}
				if got := w.eventCount(query); got != want {
					t.Errorf("%s: the count is %d, want %d", query, got, want)
				}
				if got := bytes.Count(w.export(query+"&format=ndjson").body, []byte("\n")); got != want {
					t.Errorf("%s: %d are exported, want %d", query, got, want)
				}
				for i := range listed {
					var page []eventAnswer
					w.asAccount("GET", fmt.Sprintf("%s%s&limit=1&offset=%d", eventPath, query, i), nil).ok(200, &page)
					if len(page) != 1 || page[0].EventID != listed[i].EventID {
						t.Errorf("%s: page %d is %v", query, i, page)
					}
				}
			}
		}
	}
	if numbers < 20 {
		t.Errorf("only %d numbers", numbers)
	}
	if n := w.eventCount("?device=desktop&os=WINDOWS&country=de&client=chrome&type=75"); n != 2 {
		t.Errorf("in any case: %d", n)
	}
	if got := w.asAccount("POST", eventPath+"/export", `{"format":"ndjson","device":"Desktop","first":true}`); bytes.Count(got.body, []byte("\n")) != 3 {
		t.Errorf("by the body: %s", got.body)
	}
	for query, rule := range map[string]string{
		"reason=nonsense":  "must be a type of bounces, such as HardBounce, or the code of a reply, such as 5.1.1 or 550, (other) or (unknown)",
		"reason=2.1.1":     "must be a type of bounces, such as HardBounce, or the code of a reply, such as 5.1.1 or 550, (other) or (unknown)",
		"device=Fridge":    "must be Desktop, Mobile, Tablet, WebMail, (other) or (unknown)",
		"client=x":         "must be a name that statistics have, such as AirMail, (other) or (unknown)",
		"os=x":             "must be a name that statistics have, such as Android, (other) or (unknown)",
		"country=Germany":  "must be a country's code of two letters, such as DE, (other) or (unknown)",
		"first=perhaps":    "must be true or false",
		"country=%C3%9Cx1": "must be a country's code of two letters, such as DE, (other) or (unknown)",
	} {
		field, _, _ := bytes.Cut([]byte(query), []byte("="))
		for _, path := range []string{"", "/count", "/stream"} {
			a := w.asAccount("GET", eventPath+path+"?"+query, nil)
			a.refused(400, "invalid_parameter", string(field))
			if !bytes.Contains(a.body, []byte(rule)) {
				t.Errorf("%s: %s", query, a.body)
			}
		}
	}
}

// A stream has what its filter selects.
func TestTailOfAReason(t *testing.T) {
	t.Parallel()
	w := newTraffic(t)
	mail := email("ann@gmail.com")
	mail["ippool"] = w.poolNames[0]
	var sent []emailResponse
	w.asSub("POST", "/api/v1/subaccount/email/", mail).ok(200, &sent)
	w.carry(w.one)
	w.happen(w.one, sent[0].MessageID, "ann@gmail.com", event.SoftBounced, time.Second, event.Detail{SMTPDescription: "450 4.2.2 full"})
	w.happen(w.one, sent[0].MessageID, "ann@gmail.com", event.HardBounced, time.Second, event.Detail{SMTPDescription: "550 5.1.1 no"})
	w.happen(w.one, sent[0].MessageID, "ann@gmail.com", event.SoftBounced, time.Second, event.Detail{SMTPDescription: "450 4.2.2 full"})
	for reason, want := range map[string][]string{"5.1.1": {"eve@gmail.com", "ann@gmail.com"}, "4.2.2": {"ann@gmail.com", "ann@gmail.com"}} {
		stream := w.stream("after=&reason="+reason, nil)
		got, _ := nextOf(t, stream.lines, len(want))
		for i := range want {
			if got[i].To != want[i] {
				t.Errorf("%s: %s, want %s", reason, got[i].To, want[i])
			}
		}
		stream.end()
	}
}
