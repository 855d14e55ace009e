package postmark_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider/providertest"
)

// past is a Postmark server that knows some messages, as Past of the suite wants it. Times have fewer digits than webhooks
// give, and another zone; opens and clicks carry no metadata.
type past struct {
	order []mail.ID
	has   map[mail.ID]string
}

func pastOf(has map[mail.ID]string) past {
	return past{slices.SortedFunc(maps.Keys(has), func(a, b mail.ID) int { return cmp.Compare(has[a], has[b]) }), has}
}

func metadataOf(id mail.ID) map[string]string {
	return map[string]string{"messageId": id.String(), "tpspId": "3"}
}

const (
	toldAt = "2026-03-02T12:00:07.1234567Z"
	readAt = "2026-03-02T07:00:07-05:00"
)

// bounce is the complaint about a message, as webhook and as entry of the list.
func (p past) bounce(id mail.ID, at string) map[string]any {
	n := slices.Index(p.order, id)
	return map[string]any{"ID": int64(4323372036854775807) - int64(n), "Type": "SpamComplaint", "TypeCode": 100001, "MessageID": p.has[id],
		"Email": "Ana@example.net", "BouncedAt": at, "ServerID": 42}
}

func engagementEntry(providerID, at string) map[string]any {
	return map[string]any{"MessageID": providerID, "Recipient": "Ana@example.net", "ReceivedAt": at, "UserAgent": "Mozilla/5.0",
		"OriginalLink": "https://shop.example/", "Geo": map[string]any{}}
}

func playPast(w http.ResponseWriter, r *http.Request, has map[mail.ID]string) {
	p := pastOf(has)
	answer := func(key string, entries []any) {
		reply(w, http.StatusOK, map[string]any{"TotalCount": len(entries), key: entries})
	}
	entries := []any{}
	switch rest, isDetails := strings.CutSuffix(r.URL.Path, "/details"); {
	case r.URL.Path == "/messages/outbound":
		for _, id := range p.order {
			if wanted := r.URL.Query().Get("metadata_messageId"); wanted == "" || wanted == id.String() {
				entries = append(entries, map[string]any{"MessageID": has[id], "ReceivedAt": readAt, "Metadata": metadataOf(id),
					"Recipients": []string{"ana@example.net"}})
			}
		}
		answer("Messages", entries)
	case isDetails:
		p.details(w, strings.TrimPrefix(rest, "/messages/outbound/"))
	case r.URL.Path == "/bounces":
		for _, id := range p.order {
			entries = append(entries, p.bounce(id, readAt))
		}
		answer("Bounces", entries)
	case strings.HasSuffix(r.URL.Path, "/suppressions/dump"):
		for _, id := range p.order {
			b := p.bounce(id, readAt)
			entries = append(entries, map[string]any{"EmailAddress": b["Email"], "SuppressionReason": b["Type"], "Origin": "Recipient", "CreatedAt": readAt})
		}
		answer("Suppressions", entries)
	case strings.HasPrefix(r.URL.Path, "/bounces/"):
		for _, id := range p.order {
			if b := p.bounce(id, readAt); strconv.FormatInt(b["ID"].(int64), 10) == strings.TrimPrefix(r.URL.Path, "/bounces/") {
				reply(w, http.StatusOK, b)
			}
		}
	default:
		for _, id := range p.order {
			entries = append(entries, engagementEntry(has[id], readAt))
		}
		answer(map[bool]string{true: "Opens", false: "Clicks"}[strings.HasSuffix(r.URL.Path, "/opens")], entries)
	}
}

func (p past) details(w http.ResponseWriter, providerID string) {
	for _, id := range p.order {
		if p.has[id] != providerID {
			continue
		}
		reply(w, http.StatusOK, map[string]any{"MessageID": providerID, "Metadata": metadataOf(id), "HtmlBody": "<p>hi</p>",
			"MessageEvents": []any{
				map[string]any{"Recipient": "ANA@example.net", "Type": "Delivered", "ReceivedAt": readAt,
					"Details": map[string]any{"DeliveryMessage": "smtp;250 2.0.0 OK"}},
				map[string]any{"Recipient": "ana@example.net", "Type": "Bounced", "ReceivedAt": readAt,
					"Details": map[string]any{"BounceID": strconv.FormatInt(p.bounce(id, "")["ID"].(int64), 10)}},
				map[string]any{"Recipient": "ana@example.net", "Type": "Opened", "ReceivedAt": readAt, "Details": map[string]any{}},
				map[string]any{"Recipient": "ana@example.net", "Type": "SomethingNew"}, "odd",
			}})
		return
	}
	reply(w, http.StatusUnprocessableEntity, map[string]any{"ErrorCode": 701, "Message": "This message was not found."})
}

// told are the webhooks of what playPast shows.
func told(has map[mail.ID]string) (fixtures []providertest.Fixture) {
	p := pastOf(has)
	for _, id := range p.order {
		complaint := p.bounce(id, toldAt)
		open, click := engagementEntry(has[id], toldAt), engagementEntry(has[id], toldAt)
		open["Geo"] = map[string]string{"IP": "203.0.113.42"}
		delivery := map[string]any{"MessageID": has[id], "Recipient": "ana@example.net", "DeliveredAt": toldAt, "Details": "250 2.0.0 OK"}
		for name, body := range map[string]map[string]any{"Delivery": delivery, "SpamComplaint": complaint, "Open": open, "Click": click} {
			body["RecordType"], body["Metadata"] = name, metadataOf(id)
			raw, err := json.Marshal(body)
			if err != nil {
				panic(err)
			}
			fixtures = append(fixtures, providertest.Fixture{Name: name, Body: raw})
		}
	}
	return fixtures
}
