package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/client"
)

// statistics are the answers of statistics, as they are.
func (s *stage) statistics(by string) string {
	s.t.Helper()
	now := time.Now().UTC()
	var raw json.RawMessage
	if err := s.api.Stats(s.t.Context(), client.StatsQuery{By: by, TPSPID: s.TPSPID, From: now.AddDate(0, 0, -1).Format(time.DateOnly),
		To: now.Format(time.DateOnly)}, &raw); err != nil {
		s.t.Fatal(err)
	}
	return string(raw)
}

// balances checks that the books of the account balance.
func (s *stage) balances() {
	s.t.Helper()
	v, err := s.api.Verify(s.t.Context(), time.Hour)
	if err != nil || !v.OK {
		s.t.Errorf("%+v, %v", v.Differences, err)
	}
}

// TestStatisticsOfDoubledWebhooks: each webhook comes twice, before and after the answer to the send; each event counts once.
func TestStatisticsOfDoubledWebhooks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings(fault{"duplicateWebhooks": true, "openDelivered": true})
	ids := s.send("ana@gmail.com", "bob@yahoo.com", "HardBounce@bounce.sandbox.test")
	s.events(ids[0], 4)
	s.events(ids[1], 4)
	s.events(ids[2], 3)
	p := &pair{stage: s}
	p.raise(ids[0], fault{"kind": "click", "url": "https://example.com/a"}, fault{"kind": "click", "url": "https://example.com/b"})
	s.events(ids[0], 6)
	last := s.send("late@gmail.com") // webhooks are taken in order: the copies of the others have come
	s.events(last[0], 4)
	for by, want := range map[string]string{
		"engagement": `{"opened":3,"uniqueOpened":3,"clicked":2,"uniqueClicked":1}`,
		"reason":     `[{"reason":"HardBounce","hardBounced":1,"softBounced":0}]`,
		"total": `{"processed":4,"sent":4,"delivered":3,"dropped":0,"hardBounced":1,"softBounced":0,"opened":3,"clicked":2,"unsubscribed":0,` +
			`"smtpDropped":0,"spam":0}`,
	} {
		if diff := cmp.Diff(want, strings.TrimSpace(s.statistics(by))); diff != "" {
			t.Errorf("%s: %s", by, diff)
		}
	}
	s.balances()
}

// TestStatisticsCaughtUp: nothing is reported and all of it is read back, twice; then it counts once, as it does when webhooks
// bring it as well.
func TestStatisticsCaughtUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.control(http.MethodPut, "/sandbox/settings", map[string]any{"dropWebhooks": true}, nil)
	want := p.plot()
	p.engage(want)
	var figures string
	for range 2 {
		if got, err := p.api.CatchUp(t.Context(), client.CatchUp{Since: "1h"}); err != nil || got[0].Error != "" {
			t.Fatalf("%+v, %v", got, err)
		}
		var all []string
		for _, by := range []string{"total", "engagement", "reason", "device", "client", "os", "country", "delay", "provider", "subaccount"} {
			all = append(all, by+" "+p.statistics(by))
		}
		now := strings.Join(all, "\n")
		if figures == "" {
			figures = now
		}
		if diff := cmp.Diff(figures, now); diff != "" {
			t.Errorf("counted again: %s", diff)
		}
	}
	for _, part := range []string{`{"opened":1,"uniqueOpened":1,"clicked":2,"uniqueClicked":1}`, `"reason":"HardBounce"`, `"reason":"AutoResponder"`,
		fmt.Sprintf(`"sid":%d`, p.SubAccounts[0].ID), `"delivered":3,"meanMs":`} {
		if !strings.Contains(figures, part) {
			t.Errorf("no %s in %s", part, figures)
		}
	}
	p.balances()
}
