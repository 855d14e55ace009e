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

// testHistory: what is read back is what webhooks have told, copy for copy, or it would be recorded twice.
func testHistory(t *testing.T, h Harness) {
	adapter := h.adapter(t)
	has := map[mail.ID]string{newID(t): "provider-0", newID(t): "provider-1", newID(t): "provider-2"}
	conn := h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) { h.Past(w, r, has) }))
	var told []provider.Report
	earliest := time.Now()
	for _, f := range h.Told(has) {
		reports, err := adapter.Parse(f.Header, f.Body)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		for _, r := range reports {
			if r.OccurredAt.Before(earliest) {
				earliest = r.OccurredAt
			}
		}
		told = append(told, reports...)
	}
	var got collector
	missing, err := adapter.History(t.Context(), conn, provider.Past{Since: earliest.Add(-day), Open: open, Yield: got.yield})
	if err != nil || len(missing) > 0 {
		t.Fatalf("History: %v, missing %q", err, missing)
	}
	if diff := cmp.Diff(essence(told), essence(got.reports)); diff != "" {
		t.Errorf("History (-webhooks +read back):\n%s", diff)
	}
	for _, r := range got.reports {
		if _, ours := has[r.MessageID]; r.Sample || !ours && r.ProviderMessageID == "" {
			t.Errorf("cannot be attributed: %+v", r)
		}
	}

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
	delivered := slices.DeleteFunc(told, func(r provider.Report) bool { return r.Kind != event.Delivered })
	got.reports = slices.DeleteFunc(fates.reports, func(r provider.Report) bool { return r.Kind != event.Delivered })
	if diff := cmp.Diff(essence(delivered), essence(got.reports)); diff != "" {
		t.Errorf("Fates (-webhooks +read back):\n%s", diff)
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
	var sent []provider.Sent // enough for the fault not to be theirs
	for range 20 {
		sent = append(sent, provider.Sent{ID: newID(t), ProviderMessageID: "provider-0"}, provider.Sent{ID: newID(t)})
	}
	past := provider.Past{Since: time.Now().Add(-day), Open: open, Yield: func([]provider.Report) error { return nil }}
	for name, answer := range map[string]http.HandlerFunc{
		"500":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"429":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"html": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"cut":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"TotalCount":1,"Mess`) },
		"key": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, Key)
		},
	} {
		conn := h.connection(serve(t, answer))
		_, historyErr := adapter.History(t.Context(), conn, past)
		_, fatesErr := adapter.Fates(t.Context(), conn, sent, past.Yield)
		for step, err := range map[string]error{"History": historyErr, "Fates": fatesErr} {
			if err == nil {
				t.Errorf("%s: %s without an error", name, step)
				continue
			}
			secretless(t, name, err)
		}
	}
	// A reader that fails, and one that has no time left, end it.
	has := map[mail.ID]string{newID(t): "provider-0"}
	conn := h.connection(serve(t, func(w http.ResponseWriter, r *http.Request) { h.Past(w, r, has) }))
	full := errors.New("the disk is full")
	past.Since = time.Unix(1, 0)
	past.Yield = func([]provider.Report) error { return full }
	if _, err := adapter.History(t.Context(), conn, past); !errors.Is(err, full) {
		t.Errorf("a reader that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := adapter.History(ctx, conn, past); err == nil {
		t.Error("no time left: no error")
	}
}
