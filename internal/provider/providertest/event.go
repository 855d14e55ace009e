package providertest

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

// told are the reports of a fixture.
type told struct {
	Fixture
	delivery provider.Delivery
	reports  []provider.Report
}

// read has the adapter read all fixtures; none for a silent adapter.
func (h Harness) read(t *testing.T) ([]told, provider.Adapter) {
	t.Helper()
	hooks, adapter := h.hooks(t)
	if hooks == nil {
		return nil, adapter
	}
	var list []told
	for _, f := range h.Fixtures {
		d := hooks.Deliver(hooks.Ours, f.Body)
		reports, err := adapter.Parse(d.Header, d.Body)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		list = append(list, told{f, d, reports})
	}
	return list, adapter
}

// testKind: each kind that the profile names has a fixture that becomes it, and no fixture becomes another one.
func testKind(t *testing.T, h Harness, kind event.Kind) {
	list, adapter := h.read(t)
	p := adapter.Profile()
	want := slices.Contains(p.Kinds(), kind)
	typ, _ := event.TypeOf(adapter.Capabilities().Family, kind)
	found := false
	for _, f := range list {
		for _, r := range f.reports {
			if r.Kind != kind {
				continue
			}
			found = true
			if r.Type != typ {
				t.Errorf("%s: type %d, and the family has %d", f.Name, r.Type, typ)
			}
		}
	}
	if found != want {
		t.Errorf("the profile has the kind: %t; a fixture becomes it: %t", want, found)
	}
}

func testTypes(t *testing.T, h Harness) {
	list, adapter := h.read(t)
	for _, f := range list {
		var types []event.Type
		for _, r := range f.reports {
			types = append(types, r.Type)
			if want, _ := event.TypeOf(adapter.Capabilities().Family, r.Kind); want != r.Type {
				t.Errorf("%s: kind %d is type %d in this family, not %d", f.Name, r.Kind, want, r.Type)
			}
			if r.Tracked {
				t.Errorf("%s: only a pixel or link of ours is Tracked", f.Name)
			}
		}
		if diff := cmp.Diff(f.Want, types); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
}

func testAttributed(t *testing.T, h Harness) {
	list, _ := h.read(t)
	latest := time.Now().Add(day)
	ours := len(list) == 0
	for _, f := range list {
		for i, r := range f.reports {
			if r.OccurredAt.IsZero() || r.OccurredAt.After(latest) {
				t.Errorf("%s, report %d: it happened at %v", f.Name, i, r.OccurredAt)
			}
			if r.MessageID == (mail.ID{}) && r.ProviderMessageID == "" && !r.Sample {
				t.Errorf("%s, report %d is of no message", f.Name, i)
			}
			ours = ours || r.MessageID != (mail.ID{})
			if r.Recipient == "" {
				t.Errorf("%s, report %d is of no recipient", f.Name, i)
			}
			if !utf8.ValidString(r.Recipient + r.SMTPDescription + r.ProviderMessageID + r.Identity) {
				t.Errorf("%s, report %d has invalid text", f.Name, i)
			}
		}
	}
	if !ours {
		t.Error("no report has our id of its message: one that overtakes the answer to the send would be of no message")
	}
}

func testIdentities(t *testing.T, h Harness) {
	list, _ := h.read(t)
	seen := make(map[string]string)
	for _, f := range list {
		for _, r := range f.reports {
			if other, ok := seen[r.Identity]; ok || r.Identity == "" {
				t.Errorf("%s has the identity %q, as has %s", f.Name, r.Identity, other)
			}
			seen[r.Identity] = f.Name
		}
	}
}

// testCopies: whatever came before it, and however often, an event is the same.
func testCopies(t *testing.T, h Harness) {
	hooks, _ := h.hooks(t)
	if hooks == nil {
		return
	}
	list, adapter := h.read(t)
	for _, f := range slices.Backward(list) {
		for range 2 {
			reports, err := adapter.Parse(f.delivery.Header, bytes.Clone(f.delivery.Body))
			if diff := cmp.Diff(f.reports, reports); err != nil || diff != "" {
				t.Errorf("%s: a copy differs: %v\n%s", f.Name, err, diff)
			}
		}
		again := hooks.Deliver(hooks.Ours, f.Body) // with a signature of its own
		reports, err := adapter.Parse(again.Header, again.Body)
		if err != nil || len(reports) != len(f.reports) {
			t.Fatalf("%s again: %d reports, %v", f.Name, len(reports), err)
		}
		for i := range reports {
			if reports[i].Identity != f.reports[i].Identity {
				t.Errorf("%s, delivered again: report %d is another event", f.Name, i)
			}
		}
	}
	if h.Join == nil {
		return
	}
	var bodies [][]byte
	var want []string
	for _, f := range slices.Backward(list) {
		bodies = append(bodies, f.Body, f.Body)
		for range 2 {
			for _, r := range f.reports {
				want = append(want, r.Identity)
			}
		}
	}
	d := hooks.Deliver(hooks.Ours, h.Join(bodies))
	reports, err := adapter.Parse(d.Header, d.Body)
	var got []string
	for _, r := range reports {
		got = append(got, r.Identity)
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("all in one body, twice and in disorder: %v\n%s", err, diff)
	}
}

func testSuppressions(t *testing.T, h Harness) {
	list, _ := h.read(t)
	for _, f := range list {
		var reasons []provider.Reason
		for _, r := range f.reports {
			if r.Suppresses {
				reasons = append(reasons, r.Reason)
				if r.Recipient == "" {
					t.Errorf("%s: it suppresses nobody", f.Name)
				}
			}
			switch r.Kind {
			case event.Spam, event.Unsubscribed:
				if !r.Suppresses {
					t.Errorf("%s: who wants nothing goes on getting mail", f.Name)
				}
			case event.Opened, event.Clicked, event.Delivered, event.Deferred, event.Processed, event.Sent, event.GroupResubscribe:
				if r.Suppresses {
					t.Errorf("%s: an event of kind %d suppresses", f.Name, r.Kind)
				}
			}
		}
		if diff := cmp.Diff(f.Suppresses, reasons); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
}

func testTakenBack(t *testing.T, h Harness) {
	list, _ := h.read(t)
	for _, f := range list {
		var classes []provider.Class
		for _, r := range f.reports {
			if r.SenderOnly && r.Refused != provider.Account {
				t.Errorf("%s: it is about the sender, and refused as %v", f.Name, r.Refused)
			}
			if r.Refused == provider.Accepted {
				continue
			}
			classes = append(classes, r.Refused)
			if r.Kind != event.Dropped || r.Suppresses {
				t.Errorf("%s: taken back by kind %d, suppressing: %t", f.Name, r.Kind, r.Suppresses)
			}
			if !slices.Contains([]provider.Class{provider.Transient, provider.Throttled, provider.Account}, r.Refused) {
				t.Errorf("%s: taken back as %v", f.Name, r.Refused)
			}
		}
		if diff := cmp.Diff(f.Refused, classes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
}

// garbage are bodies and items that are no events of anybody's.
var garbage = []string{"null", "7", "[]", "{}", `"text"`, `{"event":7}`, `{"a":{"b":[1,2]}}`}

// testBadItem: one odd item must not cost the events beside it, because the provider will not repeat them.
func testBadItem(t *testing.T, h Harness) {
	list, adapter := h.read(t)
	if len(list) == 0 {
		return
	}
	hooks := h.Hooks(t)
	if h.Join == nil {
		for _, odd := range garbage {
			d := hooks.Deliver(hooks.Ours, []byte(odd))
			if reports, err := adapter.Parse(d.Header, d.Body); err == nil && len(reports) > 0 {
				t.Errorf("%s: %d reports", odd, len(reports))
			}
		}
		return
	}
	for _, odd := range garbage {
		if odd == "[]" {
			continue
		}
		for place := range 3 {
			bodies, want := [][]byte{}, []provider.Report{}
			for i, f := range list[:min(2, len(list))] {
				if i == place {
					bodies = append(bodies, []byte(odd))
				}
				bodies, want = append(bodies, f.Body), append(want, f.reports...)
			}
			if place == 2 {
				bodies = append(bodies, []byte(odd))
			}
			d := hooks.Deliver(hooks.Ours, h.Join(bodies))
			got, err := adapter.Parse(d.Header, d.Body)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s at place %d: %v\n%s", odd, place, err, diff)
			}
		}
	}
}

func testParseGarbage(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	for _, body := range append(slices.Clone(garbage), "", "<html>", "\x00\xff", strings.Repeat(`{"a":`, 20_000), strings.Repeat("[", 20_000)) {
		reports, err := adapter.Parse(http.Header{}, []byte(body))
		if len(reports) > 0 {
			t.Errorf("Parse(%.20q) = %d reports", body, len(reports))
		}
		if err == nil && (h.Join == nil || body == "" || body[0] != '[') { // an empty list says nothing, which is no fault
			t.Errorf("Parse(%.20q) has no error", body)
		}
	}
}

func testParseCut(t *testing.T, h Harness) {
	list, adapter := h.read(t)
	for _, f := range list {
		whole := bytes.TrimSpace(f.delivery.Body)
		for cut := range whole {
			if reports, err := adapter.Parse(f.delivery.Header, whole[:cut]); err == nil && len(reports) > 0 {
				t.Fatalf("%s cut to %d bytes still gives %d reports", f.Name, cut, len(reports))
			}
		}
	}
}

func testParseDented(t *testing.T, h Harness) {
	list, adapter := h.read(t)
	dents := []byte{0x80, 0x20, 0x01} // no UTF-8; another case; another letter or digit
	for n, f := range list {
		for i := range f.delivery.Body {
			dented := bytes.Clone(f.delivery.Body)
			dented[i] ^= dents[(i+n)%len(dents)]
			reports, err := adapter.Parse(f.delivery.Header, dented)
			if err != nil {
				continue
			}
			for _, r := range reports {
				if !utf8.ValidString(r.Recipient+r.SMTPDescription+r.ProviderMessageID+r.Identity) || r.Identity == "" || r.OccurredAt.IsZero() {
					t.Fatalf("%s with byte %d changed: %+v", f.Name, i, r)
				}
			}
		}
	}
}
