package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/event"
	"postyard/internal/mailbox"
	"postyard/internal/provider/postmark"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDomainsAreOfDifferentMailboxProviders(t *testing.T) {
	t.Parallel()
	of := map[mailbox.Class]string{}
	for _, domain := range domains {
		class := mailbox.ByDomain(domain)
		if of[class] != "" {
			t.Errorf("%s and %s are both %s", domain, of[class], class)
		}
		of[class] = domain
	}
}

// read takes a request apart as a server would.
func read(t *testing.T, wire []byte) (*http.Request, []byte) {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	return req, body
}

func theStage() *stage {
	return &stage{address: "127.0.0.1:1", providers: 3, scene: &demo.Scene{Pool: "p", Template: "t", Stream: "outbound",
		SubAccounts: []client.SubAccountInfo{{APIKey: "key"}}}}
}

// Every request is for a recipient of its own, and has the size that is promised.
func TestRequests(t *testing.T) {
	t.Parallel()
	m := newMails(theStage(), 3)
	a, b := m.worker(), m.worker()
	for n := range 24 {
		w := a
		if n%5 == 0 {
			w = b
		}
		req, body := read(t, w.request())
		if !strings.Contains(string(body), `"email":"`+recipient(n, 3)+`"`) || len(body) != requestBytes || req.Header.Get("X-SubAccount-ApiKey") != "key" {
			t.Errorf("request %d: %d bytes: %s", n, len(body), body)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	w := newMails(theStage(), 1).worker()
	w.request()
	for answer, good := range map[string]bool{
		`[{"messageId":"` + id.String() + `"}]`: true, `[]`: false, `[{"errorCode":1,"messageId":"` + id.String() + `"}]`: false, `[{"messageId":"x"}]`: false, `no`: false,
	} {
		if err := w.answer(200, []byte(answer)); (err == nil) != good {
			t.Errorf("%s: %v", answer, err)
		}
	}
	if err := w.answer(503, []byte(`[{"messageId":"`+id.String()+`"}]`)); err == nil {
		t.Error("503 acknowledges")
	}
	if diff := cmp.Diff([]acknowledgement{{id, 0}}, w.acknowledged, cmp.AllowUnexported(acknowledgement{})); diff != "" {
		t.Error(diff)
	}
}

func TestLosses(t *testing.T) {
	t.Parallel()
	id := func(n byte) uuid.UUID { return uuid.UUID{n} }
	l := newLedger()
	l.add([]acknowledgement{{id(1), 0}, {id(2), 1}, {id(3), 2}})
	l.add([]acknowledgement{{id(3), 3}}) // the same id for two messages
	at := time.Unix(100, 0)
	for _, n := range []byte{2, 3, 3, 3, 9, 9} { // 1 is lost; nobody answered for 9
		l.arrived(id(n), uuid.UUID{n, n}, at)
		at = at.Add(time.Second)
	}
	if lost, doubled := l.losses(); lost != 1 || doubled != 1+2+1 {
		t.Errorf("%d lost, %d doubled", lost, doubled)
	}
	if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second}, l.delays(time.Unix(99, 0))); diff != "" {
		t.Error(diff)
	}
	if !l.firstArrival.Equal(time.Unix(100, 0)) {
		t.Error(l.firstArrival)
	}
}

// Each report is an event for the server's own adapter, and is known again by what the log has of it.
func TestReports(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add([]acknowledgement{{uuid.New(), 5}, {uuid.New(), 1}})
	for i := range l.list {
		l.arrived(l.list[i].id, uuid.New(), time.Now())
	}
	more, err := otherMetadata(map[string]string{"messageId": "x", "accountId": "1"})
	if err != nil {
		t.Fatal(err)
	}
	r := &reports{ledger: l, providers: 3, head: []byte("POST /tpsp HTTP/1.1\r\nHost: x\r\nTrace: "), metadata: more, stream: "outbound",
		began: time.Now().Add(-time.Hour).Truncate(time.Second)}
	w, adapter := r.worker(), postmark.New(postmark.Config{Now: time.Now})
	identities := map[string]bool{}
	for n := range 8 {
		_, body := read(t, w.request())
		if n != 6 {
			if err := w.answer(200, nil); err != nil {
				t.Fatal(err)
			}
		}
		reported, err := adapter.Parse(nil, body)
		if err != nil || len(reported) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		got := reported[0]
		identities[got.Identity] = true
		kind := []event.Kind{event.Delivered, event.Opened, event.Clicked, event.Clicked}[n/2]
		e := l.list[n%2]
		if got.Kind != kind || got.MessageID != e.id || got.ProviderMessageID != e.provider.String() || got.Recipient != recipient(int(e.n), 3) {
			t.Errorf("%d: %+v", n, got)
		}
		logged := client.Event{Type: int(got.Type), MessageID: got.MessageID.String(), SubmittedAt: got.OccurredAt.UnixNano()}
		if m, ok := r.numberOf(&logged); !ok || m != n {
			t.Errorf("%d is known as %d (%v)", n, m, ok)
		}
		logged.SubmittedAt += int64(time.Hour)
		if m, ok := r.numberOf(&logged); ok {
			t.Errorf("an event of another time is known as %d", m)
		}
	}
	if len(identities) != 8 || r.acknowledged() != 7 || r.size() != 8 || r.wanted(6) || !r.wanted(7) {
		t.Errorf("%d identities, %d acknowledged", len(identities), r.acknowledged())
	}
}

// echo is a worker that sends one request again and again.
type echo struct{ answered *atomic.Int64 }

func (echo) request() []byte {
	return []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
}
func (e echo) answer(status int, _ []byte) error {
	e.answered.Add(1)
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// Failed requests are counted, whatever the failure, and a server that only fails ends the load.
func TestDriver(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]http.HandlerFunc{
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"leaves":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
		"cuts":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server := httptest.NewServer(handle)
		d := driver{address: server.Listener.Addr().String(), until: time.Now().Add(time.Hour), problems: &problems{}}
		var answered atomic.Int64
		took := d.run(t.Context(), 2, func() worker { return echo{&answered} })
		if failed, texts := d.problems.all(); len(took) != 0 || failed < maxFailed || len(texts) != maxTexts {
			t.Errorf("%s: %d succeeded, %d failed: %v", name, len(took), failed, texts)
		}
		server.Close()
	}
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer server.Close()
	d := driver{address: server.Listener.Addr().String(), until: time.Now().Add(time.Hour), problems: &problems{}}
	ctx, stop := context.WithCancel(t.Context())
	var answered atomic.Int64
	go func() {
		for answered.Load() < 100 {
			runtime.Gosched()
		}
		stop()
	}()
	took := d.run(ctx, 4, func() worker { return echo{&answered} })
	if failed, texts := d.problems.all(); failed != 0 || len(took) < 90 || int64(len(took)) > served.Load() {
		t.Errorf("%d of %d, failed %d: %v", len(took), served.Load(), failed, texts)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	cpu, err := parseCPU([]byte("7 (a) b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0"))
	if err != nil || cpu != 3*time.Second {
		t.Errorf("%v (%v)", cpu, err)
	}
	peak, err := parsePeak([]byte("VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n"))
	if err != nil || peak != 2<<20 {
		t.Errorf("%d (%v)", peak, err)
	}
	for _, bad := range []string{"", "7 (a) R 1", "7 (a) R 1 2 3 4 5 6 7 8 9 10 x 50", "VmHWM: kB"} {
		if cpu, err := parseCPU([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, cpu)
		}
		if peak, err := parsePeak([]byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, peak)
		}
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		if peak, err := peakOf(os.Getpid()); err != nil || peak < 1<<20 {
			t.Errorf("%d (%v)", peak, err)
		}
		if _, err := cpuOf(os.Getpid()); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is broken makes an error that says so.
func TestErr(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Result{
		"":                              {Messages: 5},
		"2 lost":                        {Lost: 2},
		"1 doubled, 3 failed\n  status": {Doubled: 1, Failed: 3, Problems: []string{"status"}},
		"4 differences in the books":    {BooksDiffer: 4},
		"something went wrong\n  why":   {Problems: []string{"why"}},
	} {
		got := ""
		if err := r.Err(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"PATH=/bin"}, foreign([]string{"POSTYARD_DATABASE=x", "PATH=/bin", "POSTYARD_CONFIG=y"})); diff != "" {
		t.Error(diff)
	}
}

// What came since the last look counts, and what was seen then does not count again.
func TestLateArrivals(t *testing.T) {
	t.Parallel()
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	var list atomic.Pointer[[]uuid.UUID]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		type arrival struct {
			ID, MessageID uuid.UUID
			ReceivedAt    time.Time
		}
		page := struct{ Arrivals []arrival }{}
		if r.FormValue("offset") == "0" {
			for i, id := range *list.Load() {
				page.Arrivals = append(page.Arrivals, arrival{uuid.New(), id, time.Unix(int64(100+i), 0)})
			}
		}
		if err := json.NewEncoder(w).Encode(page); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	s, l := theStage(), newLedger()
	s.scene.SandboxURL = server.URL
	l.add([]acknowledgement{{ids[0], 0}, {ids[1], 1}, {ids[2], 2}})
	for i, look := range []struct {
		arrived       []uuid.UUID
		lost, doubled int
	}{
		{ids[:2], 1, 0}, {ids, 0, 0}, {append(slices.Clone(ids), ids[1]), 0, 1},
		{append(slices.Clone(ids), uuid.UUID{9}, uuid.UUID{9}), 0, 1}, // nobody answered for it
	} {
		list.Store(&look.arrived)
		if err := s.arrivals(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if lost, doubled := l.losses(); lost != look.lost || doubled != look.doubled || !l.firstArrival.Equal(time.Unix(100, 0)) {
			t.Errorf("look %d: %d lost, %d doubled, the first at %s", i, lost, doubled, l.firstArrival)
		}
	}
}
