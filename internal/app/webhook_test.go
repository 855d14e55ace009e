package app

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/directory"
)

// report posts a webhook body as the provider would.
func (s *stage) report(body string) {
	s.t.Helper()
	s.reportAs(s.server.directory.Current().AnyTPSP(s.TPSPID), body, http.StatusOK)
}

// reportAs posts it with the credentials of a TPSP, as it is or was.
func (s *stage) reportAs(target *directory.TPSP, body string, status int) {
	s.t.Helper()
	hook, err := s.server.ingesting.Hooks.Hook(target)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/tpsp/postmark/account/1", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth(hook.Credentials.Username, hook.Credentials.Password.Reveal())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != status {
		s.t.Fatalf("webhook: %d", res.StatusCode)
	}
}

// record is the body of a webhook of Postmark's about a message.
func record(kind, id, to string, at time.Time) string {
	r := map[string]any{"RecordType": kind, "MessageStream": "outbound", "ServerID": 77, "MessageID": "3f1c2a9e-8d44-4b7e-9a51-0c6f2d7e1b90",
		"Recipient": to, "Metadata": map[string]string{"messageId": id}}
	stamp := at.UTC().Format(time.RFC3339Nano)
	switch kind {
	case "Delivery":
		r["DeliveredAt"] = stamp
	case "Open":
		r["ReceivedAt"] = stamp
	case "Bounce":
		r["ID"], r["Type"], r["TypeCode"], r["Email"], r["BouncedAt"] = 7, "HardBounce", 1, to, stamp
	}
	body, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// TestEarlyWebhook delivers the event before the answer to the send; the sent event is still written, once.
func TestEarlyWebhook(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings(fault{"webhookBeforeAnswer": true, "duplicateWebhooks": true})
	s.want("[69 70 71]", 1, s.send("a@gmail.com", "b@gmail.com")...)
}

// TestWebhooksInAnyOrder are told apart from copies of each other, and never move a message back.
func TestWebhooksInAnyOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings(fault{"dropWebhooks": true})
	id := s.send("a@gmail.com")[0]
	s.want("[69 70]", 1, id)
	old := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -20) // all of them on one day
	steps := []string{record("Open", id, "a@gmail.com", old.Add(time.Hour)), record("Bounce", id, "a@gmail.com", old.Add(time.Minute)),
		record("Delivery", id, "a@gmail.com", old)}
	for _, body := range append(steps, steps...) {
		s.report(body)
	}
	s.events(id, 5)
	if got := s.types(id); !slices.Equal(slices.Sorted(slices.Values(got)), []int{69, 70, 71, 72, 75}) {
		t.Errorf("events %v", got)
	}
	if e := s.explain(id); e.State != "bounced" {
		t.Errorf("%+v", e)
	}
	counts := s.counted(old.UTC().Format(time.DateOnly))
	for _, typ := range []int{71, 72, 75} { // on the day when it happened
		if counts[typ] != 1 {
			t.Errorf("counters of that day: %v", counts)
		}
	}
}

// counted returns the counters of a day.
func (s *stage) counted(day string) map[int]int64 {
	s.t.Helper()
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		s.t.Fatal(err)
	}
	counters, _, err := s.server.store.Counted(s.t.Context(), s.AccountID, at.Unix()/86400)
	if err != nil {
		s.t.Fatal(err)
	}
	sum := map[int]int64{}
	for c, n := range counters {
		sum[int(c.Type)] += n
	}
	return sum
}

// TestStrangeWebhooks are answered well, whatever is in them, and touch nobody's mail.
func TestStrangeWebhooks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings(fault{"deliveryDelayMs": 1000})
	id := s.send("a@gmail.com")[0]
	for _, body := range []string{"", "null", "[]", `{"RecordType":"Delivery"}`, `{"RecordType":"Surprise"}`, "\x00\xff", strings.Repeat(`{"a":`, 5000),
		record("Bounce", "01930000-0000-7000-8000-000000000001", "z@gmail.com", time.Now()), record("Delivery", "not an id", "a@gmail.com", time.Now())} {
		s.report(body)
	}
	s.want("[69 70 71]", 1, id)
}
