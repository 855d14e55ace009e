package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postyard/internal/client"
	"postyard/internal/provider"
)

// withoutIDs returns the address of a way to the sandbox on which the answers to sends lose their MessageID, or have one that is
// none; "" leaves them as they are.
func (s *stage) withoutIDs(id any) (address string, passed *atomic.Int32) {
	s.t.Helper()
	passed = &atomic.Int32{}
	transport := &http.Transport{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), r.Method, s.SandboxURL+r.URL.RequestURI(), r.Body)
		if err != nil {
			s.t.Error(err)
			return
		}
		out.Header = r.Header
		res, err := transport.RoundTrip(out)
		if err != nil {
			s.t.Error(err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			s.t.Error(err)
		}
		if strings.HasPrefix(r.URL.Path, "/email") && res.StatusCode == http.StatusOK {
			if bytes.Contains(body, []byte("ErrorCode")) {
				s.t.Errorf("it is not degraded: %s", body)
			}
			passed.Add(1)
			if id != "" {
				body = spoil(body, id)
			}
		}
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(body)
	}))
	s.t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
	return server.URL, passed
}

// spoil replaces the MessageID of the results in an answer; nil leaves none.
func spoil(body []byte, id any) []byte {
	single := !bytes.HasPrefix(bytes.TrimSpace(body), []byte("["))
	var list []map[string]any
	if single {
		body = fmt.Appendf(nil, "[%s]", body)
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return body
	}
	var out any = list
	for _, result := range list {
		if delete(result, "MessageID"); id != nil {
			result["MessageID"] = id
		}
	}
	if single {
		out = list[0]
	}
	changed, err := json.Marshal(out)
	if err != nil {
		return body
	}
	return changed
}

// TestDegraded sends while Postmark answers without an ErrorCode: mail counts as sent once and as delivered once, also when the answer
// names no message, or one that is none of Postmark's: then only the metadata of the events tells whose they are.
func TestDegraded(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]any{"with its id": "", "without an id": nil, "with an odd id": "delayed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.settings(fault{"degraded": true})
			const key = "another-server" // the first one is connected already
			s.control(http.MethodPost, "/sandbox/servers", fault{"name": "Another", "token": key}, nil)
			endpoint, changed := s.withoutIDs(id)
			made, err := s.api.CreateTPSP(t.Context(), client.NewTPSP{Type: int(provider.Postmark), Name: "Degraded", Key: key, Endpoint: endpoint,
				MessageStream: "outbound", AllowRaw: true})
			if err != nil || made.WebhookStatus.State != "registered" {
				t.Fatalf("%+v, %v", made, err)
			}
			pool := made.IPPool.Name
			ids := s.sendRaw(pool, "a@gmail.com", "b@gmail.com", "c@yahoo.com") // a batch
			s.want("[69 70 71]", 1, ids...)
			one := s.sendRaw(pool, "d@gmail.com")[0]
			s.want("[69 70 71]", 1, one)
			s.settled()
			ids = append(ids, one)
			for _, m := range ids {
				if got := fmt.Sprint(s.types(m)); got != "[69 70 71]" {
					t.Errorf("events %s", got)
				}
				e := s.explain(m)
				if e.State != "delivered" || len(e.Attempts) != 1 || e.Mark != "" || s.attempts(m)[0].Class != provider.Accepted {
					t.Errorf("%+v", e)
				}
			}
			if changed.Load() == 0 {
				t.Error("no answer to a send passed")
			}
			s.balanced()
		})
	}
}
