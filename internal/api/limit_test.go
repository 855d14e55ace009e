package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/store"
)

func TestLimitsOfAProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := w.postmark("Postmark", "outbound")
	body["ratePerHour"], body["mailboxLimits"], body["active"] = 500, map[string]int{"gmail": 100, "1": 50, "aol": 0}, false
	var made tpspAnswer
	w.asAccount("POST", tpsps, body).ok(200, &made)
	want := func(got tpspAnswer, perHour int, lanes map[string]int, active bool) {
		t.Helper()
		if got.RatePerHour != perHour || got.Active != active {
			t.Errorf("%d an hour, active %t, want %d, %t", got.RatePerHour, got.Active, perHour, active)
		}
		if diff := cmp.Diff(lanes, got.MailboxLimits); diff != "" {
			t.Error(diff)
		}
	}
	want(made, 500, map[string]int{"gmail": 100, "yahoo": 50}, false)
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	for _, step := range []struct {
		body    string
		perHour int
		lanes   map[string]int
		active  bool
	}{
		{`{}`, 500, map[string]int{"gmail": 100, "yahoo": 50}, false},
		{`{"ratePerHour": null, "mailboxLimits": {}, "active": null}`, 500, map[string]int{"gmail": 100, "yahoo": 50}, false},
		{`{"active": true, "mailboxLimits": {"0": 0, "26": 7}}`, 500, map[string]int{"yahoo": 50, "checkpoint": 7}, true},
		{`{"ratePerHour": 0, "mailboxLimits": {"yahoo": 100000}}`, 0, map[string]int{"yahoo": 100000, "checkpoint": 7}, true},
		{`{"ratePerHour": 100000000}`, 100_000_000, map[string]int{"yahoo": 100000, "checkpoint": 7}, true},
	} {
		before := w.changed.Load()
		var got, read tpspAnswer
		w.asAccount("PUT", path, step.body).ok(200, &got)
		want(got, step.perHour, step.lanes, step.active)
		w.asAccount("GET", path, nil).ok(200, &read)
		want(read, step.perHour, step.lanes, step.active)
		if w.changed.Load() != before+1 {
			t.Errorf("%s: what waits was not told", step.body)
		}
	}
	for body, refusal := range map[string]struct{ code, field, says string }{
		`{"ratePerHour": -1}`:                        {"invalid_limit", "ratePerHour", "100000000"},
		`{"ratePerHour": 100000001}`:                 {"invalid_limit", "ratePerHour", "100000000"},
		`{"ratePerHour": 1.5}`:                       {"wrong_type", "ratePerHour", "whole number"},
		`{"ratePerHour": 99999999999999999999}`:      {"wrong_type", "ratePerHour", ""},
		`{"mailboxLimits": {"gmail": -1}}`:           {"invalid_limit", "mailboxLimits.gmail", "100000"},
		`{"mailboxLimits": {"gmail": 100001}}`:       {"invalid_limit", "mailboxLimits.gmail", "100000"},
		`{"mailboxLimits": {"gmail": "5"}}`:          {"wrong_type", "mailboxLimits.gmail", ""},
		`{"mailboxLimits": [5]}`:                     {"wrong_type", "mailboxLimits", "object"},
		`{"mailboxLimits": {"hotmail": 5}}`:          {"unknown_mailbox_provider", "mailboxLimits", `"hotmail"`},
		`{"mailboxLimits": {"27": 5}}`:               {"unknown_mailbox_provider", "mailboxLimits", `"27"`},
		`{"mailboxLimits": {"00": 5}}`:               {"unknown_mailbox_provider", "mailboxLimits", `"00"`},
		`{"mailboxLimits": {"gmail": 5, "0": 5}}`:    {"duplicate_mailbox_limit", "mailboxLimits.gmail", ""},
		`{"name": "x", "mailboxLimits": {"aol":-2}}`: {"invalid_limit", "mailboxLimits.aol", ""},
	} {
		if p := w.asAccount("PUT", path, body).refused(422, refusal.code, refusal.field); !strings.Contains(p.Message, refusal.says) {
			t.Errorf("%s: %q does not say %q", body, p.Message, refusal.says)
		}
	}
	var got tpspAnswer
	w.asAccount("GET", path, nil).ok(200, &got)
	if want(got, 100_000_000, map[string]int{"yahoo": 100000, "checkpoint": 7}, true); got.Name != "Postmark" {
		t.Errorf("a refused change left something: %+v", got)
	}
}

// TestUsage shows how full the limits are: what a claim took, until an hour and the claim have passed.
func TestUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	w.mail("a@gmail.com", "b@gmail.com", "c@example.com")
	usage := func(total int, lanes map[string]int) {
		t.Helper()
		var got tpspAnswer
		w.asAccount("GET", path, nil).ok(200, &got)
		if got.Usage == nil || got.Usage.Total != total {
			t.Fatalf("%+v, want %d", got.Usage, total)
		}
		if diff := cmp.Diff(lanes, got.Usage.Mailboxes); diff != "" {
			t.Error(diff)
		}
	}
	usage(0, map[string]int{})
	now := time.Now().UTC()
	if claimed, err := w.db.Claim(t.Context(), store.Claim{Egress: route.TPSP(made.ID), Limit: 10, Owner: "o", Now: now, LeaseUntil: now.Add(claimLength)}); err != nil ||
		len(claimed.Jobs) != 3 {
		t.Fatalf("claimed %d (%v)", len(claimed.Jobs), err)
	}
	usage(3, map[string]int{"gmail": 2, "default": 1})
}

// TestHealth shows what keeps mail from a provider.
func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.connect("Postmark", "outbound")
	path := fmt.Sprintf("%s%d", tpsps, made.ID)
	since, probe := time.Now().UTC().Truncate(time.Second), time.Now().UTC().Add(time.Minute).Truncate(time.Second)
	health := func() healthAnswer {
		t.Helper()
		if err := w.dir.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		var raw struct{ Health json.RawMessage }
		w.asAccount("GET", path, nil).ok(200, &raw)
		wantKeys(t, raw.Health, "state", "reason", "since", "probeAt", "refusedSenders")
		var got healthAnswer
		if err := json.Unmarshal(raw.Health, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(state, reason string, since, probe time.Time) {
		t.Helper()
		got := health()
		if got.State != state || !strings.Contains(got.Reason, reason) || got.Since != nanos(since) || got.ProbeAt != nanos(probe) {
			t.Errorf("%+v", got)
		}
	}
	never := time.Time{}
	is("ok", "", never, never)
	must(w.db.Refuse(t.Context(), made.ID, directory.Refusal{Domain: "example.com", Reason: "not verified", Since: since, ProbeAt: probe}))
	is("impaired", "mail from example.com is refused: not verified", since, probe)
	if diff := cmp.Diff([]refusalAnswer{{"example.com", "not verified", nanos(since), nanos(probe)}}, health().RefusedSenders); diff != "" {
		t.Error(diff)
	}
	must(w.db.UpdateHealth(t.Context(), made.ID, directory.Health{Stopped: true, Reason: "no answer", Since: since, ProbeAt: probe}))
	is("stopped", "no answer", since, probe)
	must(w.db.Drill(t.Context(), w.account.ID, made.ID, probe))
	is("drill", "rehearsed", never, probe)
	w.asAccount("PUT", path, map[string]any{"active": false}).ok(200, nil)
	is("paused", "the provider is paused", never, never)
}

// TestMailboxLimitsAreRead lays random limits over others: each class is what was given last, under its key or its id, and what was
// not given stays.
func TestMailboxLimitsAreRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		classes, numbers := rapid.SampledFrom(mailbox.Classes()), rapid.IntRange(-5, 200_000)
		before, given := rapid.MapOf(classes, numbers).Draw(t, "before"), rapid.MapOf(classes, numbers).Draw(t, "given")
		in := limitsRequest{MailboxLimits: map[string]int{}}
		want := maps.Clone(before)
		for class, n := range given {
			name := string(class)
			if rapid.Bool().Draw(t, "by id") {
				name = strconv.Itoa(class.ID())
			}
			in.MailboxLimits[name], want[class] = n, n
		}
		got := limit.Limits{PerHour: 9, Mailbox: maps.Clone(before)}
		if err := in.apply(&got); err != nil || got.PerHour != 9 {
			t.Fatalf("%+v, %v", got, err)
		}
		if diff := cmp.Diff(want, got.Mailbox); diff != "" {
			t.Error(diff)
		}
		foreign := rapid.String().Filter(func(name string) bool {
			n, err := strconv.Atoi(name)
			return !slices.Contains(mailbox.Classes(), mailbox.Class(name)) && (err != nil || n < 0 || n > 26 || strconv.Itoa(n) != name)
		}).Draw(t, "foreign")
		in.MailboxLimits[foreign] = 1
		if bad, ok := errors.AsType[*mail.FieldError](in.apply(&got)); !ok || bad.Code != "unknown_mailbox_provider" || len(bad.Message) > 700 {
			t.Errorf("%q: %v", foreign, bad)
		}
	})
}
