package providertest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

// day is when the suite's history begins.
const day = 24 * time.Hour

// collector keeps what is yielded.
type collector struct{ reports []provider.Report }

func (c *collector) yield(reports []provider.Report) error {
	c.reports = append(c.reports, reports...)
	return nil
}

func open(context.Context, mail.ID) (bool, error) { return true, nil }

// testLookup: one that can be asked tells what it has; one that cannot must not seem to have nothing.
func testLookup(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	since := time.Now().Add(-time.Minute)
	ids := []mail.ID{newID(t), newID(t), newID(t)}
	if !adapter.Capabilities().CanLookup {
		if found, err := adapter.Lookup(t.Context(), h.serve(t, nil), ids, since); err == nil || len(found) > 0 {
			t.Errorf("%v without an error: messages would be sent again", found)
		}
		return
	}
	has := map[mail.ID]string{ids[0]: "provider-0", ids[2]: "provider-2", newID(t): "somebody-else's"}
	conn := h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) { h.Search(w, r, has) }))
	for name, asked := range map[string][]mail.ID{
		"none": nil, "one that it has": ids[:1], "one that it has not": ids[1:2], "several": ids,
	} {
		found, err := adapter.Lookup(t.Context(), conn, asked, since)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, want := make(map[mail.ID]string), make(map[mail.ID]string)
		for _, f := range found {
			got[f.ID] = f.ProviderMessageID
		}
		for _, id := range asked {
			if providerID, ok := has[id]; ok {
				want[id] = providerID
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// testLookupFails: an answer that is none must not look like "not found": the message would be sent again.
func testLookupFails(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	ids := []mail.ID{newID(t), newID(t)}
	conns := map[string]provider.Connection{
		"down": h.down(t), "locked": h.connection(h.Wire.Locked(t)), "unavailable": h.connection(h.Wire.Unavailable(t)),
	}
	if adapter.Capabilities().CanLookup {
		for name, body := range map[string]string{"empty": "", "object": "{}", "list": "[]", "null": "null", "html": "<html>"} {
			conns[name] = h.connection(always(t, HTTPAnswer(http.StatusOK, body)))
		}
		conns["500"] = h.connection(always(t, HTTPAnswer(http.StatusInternalServerError, "")))
	}
	for name, conn := range conns {
		for _, asked := range [][]mail.ID{ids[:1], ids} {
			_, err := adapter.Lookup(t.Context(), conn, asked, time.Now())
			if err == nil {
				t.Errorf("%s: %d messages looked up without an error", name, len(asked))
				continue
			}
			hidden(t, err.Error())
		}
	}
}

// past starts a provider with a history, and returns what its webhooks told of it.
func (h Harness) past(t *testing.T, adapter provider.Adapter) (conn provider.Connection, has map[mail.ID]string, told []provider.Report) {
	t.Helper()
	has = map[mail.ID]string{newID(t): "provider-0", newID(t): "provider-1", newID(t): "provider-2"}
	conn = h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) { h.Past(w, r, has) }))
	hooks := h.Hooks(t)
	for _, f := range h.Told(has) {
		d := hooks.Deliver(hooks.Ours, f.Body)
		reports, err := adapter.Parse(d.Header, d.Body)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		told = append(told, reports...)
	}
	return conn, has, told
}

// testHistory: what is read back is what webhooks have told, copy for copy, or it would be recorded twice.
func testHistory(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	if !adapter.Capabilities().Recalls {
		yield := func([]provider.Report) error { t.Error("a report"); return nil }
		if missing, err := adapter.History(t.Context(), h.serve(t, nil), provider.Past{Since: time.Now(), Open: open, Yield: yield}); err != nil || len(missing) == 0 {
			t.Errorf("missing %q, %v; want words", missing, err)
		}
		return
	}
	conn, has, told := h.past(t, adapter)
	earliest := time.Now()
	for _, r := range told {
		if r.OccurredAt.Before(earliest) {
			earliest = r.OccurredAt
		}
	}
	var got collector
	missing, err := adapter.History(t.Context(), conn, provider.Past{Since: earliest.Add(-day), Open: open, Yield: got.yield})
	if err != nil || len(missing) > 0 {
		t.Fatalf("History: %v, missing %q", err, missing)
	}
	if diff := cmp.Diff(essence(told), essence(got.reports)); diff != "" {
		t.Errorf("(-webhooks +read back):\n%s", diff)
	}
	for _, r := range got.reports {
		if _, ours := has[r.MessageID]; r.Sample || !ours && r.ProviderMessageID == "" {
			t.Errorf("cannot be attributed: %+v", r)
		}
	}
}

func testFates(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	if !adapter.Capabilities().Recalls {
		yield := func([]provider.Report) error { t.Error("a report"); return nil }
		if missing, err := adapter.Fates(t.Context(), h.serve(t, nil), []provider.Sent{{ID: newID(t)}}, yield); err != nil || len(missing) == 0 {
			t.Errorf("missing %q, %v; want words", missing, err)
		}
		return
	}
	conn, has, told := h.past(t, adapter)
	var sent []provider.Sent
	for id, providerID := range has {
		sent = append(sent, provider.Sent{ID: id, ProviderMessageID: providerID})
	}
	sent[1].ProviderMessageID = "" // to be found by our id
	sent = append(sent, provider.Sent{ID: newID(t), ProviderMessageID: "nobody's"}, provider.Sent{ID: newID(t)})
	var fates collector
	if missing, err := adapter.Fates(t.Context(), conn, sent, fates.yield); err != nil || len(missing) > 0 {
		t.Fatalf("Fates: %v, missing %q", err, missing)
	}
	for _, r := range fates.reports {
		if _, ours := has[r.MessageID]; !ours {
			t.Errorf("cannot be attributed while the provider's id of the message is not known: %+v", r)
		}
	}
	other := func(r provider.Report) bool { return r.Kind != event.Delivered }
	if diff := cmp.Diff(essence(slices.DeleteFunc(told, other)), essence(slices.DeleteFunc(fates.reports, other))); diff != "" {
		t.Errorf("(-webhooks +read back):\n%s", diff)
	}
}

// essence is what the store tells events apart by, sorted and each once.
func essence(reports []provider.Report) []string {
	var list []string
	for _, r := range reports {
		list = append(list, r.OccurredAt.UTC().Format(time.DateOnly)+" "+r.Identity)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func testHistoryFails(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	past := provider.Past{Since: time.Now().Add(-day), Open: open, Yield: func([]provider.Report) error { t.Error("a report"); return nil }}
	var sent []provider.Sent // enough for the fault not to be theirs
	for range 20 {
		sent = append(sent, provider.Sent{ID: newID(t), ProviderMessageID: "provider-0"}, provider.Sent{ID: newID(t)})
	}
	conns := map[string]provider.Connection{
		"down": h.down(t), "locked": h.connection(h.Wire.Locked(t)), "unavailable": h.connection(h.Wire.Unavailable(t)),
	}
	recalls := adapter.Capabilities().Recalls
	if recalls {
		for name, answer := range map[string]http.HandlerFunc{
			"500":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			"429":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
			"html": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
			"cut":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"TotalCount":1,"Mess`) },
		} {
			conns[name] = h.connection(serve(t, answer))
		}
	}
	for name, conn := range conns {
		missing, historyErr := adapter.History(t.Context(), conn, past)
		lost, fatesErr := adapter.Fates(t.Context(), conn, sent, past.Yield)
		for step, err := range map[string]error{"History": historyErr, "Fates": fatesErr} {
			if (err != nil) != recalls {
				t.Errorf("%s: %s: %v", name, step, err)
			}
			if err != nil {
				hidden(t, err.Error())
			}
		}
		if !recalls && (len(missing) == 0 || len(lost) == 0) {
			t.Errorf("%s: nothing is missing", name)
		}
	}
}

// testReaderFails: a reader that fails, and one that has no time left, end it.
func testReaderFails(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	full := errors.New("the disk is full")
	past := provider.Past{Since: time.Unix(1, 0), Open: open, Yield: func([]provider.Report) error { return full }}
	if !adapter.Capabilities().Recalls {
		if _, err := adapter.History(ctx, h.down(t), past); err != nil {
			t.Errorf("what cannot be read at all takes no time: %v", err)
		}
		return
	}
	conn, _, _ := h.past(t, adapter)
	if _, err := adapter.History(t.Context(), conn, past); !errors.Is(err, full) {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, err := adapter.History(ctx, conn, past); err == nil {
		t.Error("no time left: no error")
	}
}
