package postmark_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/postmark"
	"postyard/internal/provider/providertest"
	"postyard/internal/secret"
)

// TestSplit sends more than one call can hold: the calls go out in order, and the outcomes come back joined.
func TestSplit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limit, messages int
		want            []int // messages of each call
	}{
		"by size":              {1050, 7, []int{3, 3, 1}},
		"each one is too much": {10, 3, []int{1, 1, 1}},
		"by number":            {40 << 20, 501, []int{500, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batch := outgoing(tc.messages)
			refused := batch[len(batch)-1].Recipient.Email
			var rec recorder
			conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
				playSend(w, r, map[string]bool{refused: true})
			})))
			adapter := newAdapter(t)
			adapter.SetBodyLimit(tc.limit)
			outcomes := adapter.Send(t.Context(), conn, batch)
			next := 0
			for i, r := range rec.all() {
				messages := decodeMessages(t, r)
				if i >= len(tc.want) || len(messages) != tc.want[i] {
					t.Fatalf("call %d has %d messages, want %v", i, len(messages), tc.want)
				}
				for _, m := range messages {
					if m.To != batch[next].Recipient.Email {
						t.Fatalf("message %d goes to %s", next, m.To)
					}
					next++
				}
			}
			for i, o := range outcomes {
				if (o.Class == provider.Rejected) != (i == len(batch)-1) || o.Class != provider.Accepted && o.Class != provider.Rejected {
					t.Errorf("outcome %d: %+v", i, o)
				}
			}
			if next != len(batch) {
				t.Errorf("%d of %d messages were sent", next, len(batch))
			}
		})
	}
}

func decodeMessages(t *testing.T, r request) []wire {
	t.Helper()
	if r.path == "/email/withTemplate" {
		var one wire
		if err := json.Unmarshal(r.body, &one); err != nil {
			t.Fatal(err)
		}
		return []wire{one}
	}
	var several struct{ Messages []wire }
	if err := json.Unmarshal(r.body, &several); err != nil {
		t.Fatal(err)
	}
	return several.Messages
}

// TestSplitStopsWithTheContext: what was not sent when the context ends is not sent, and says so.
func TestSplitStopsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int32
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 2 {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
			return
		}
		playSend(w, r, nil)
	}))
	adapter := newAdapter(t)
	adapter.SetBodyLimit(1)
	outcomes := adapter.Send(ctx, conn, outgoing(4))
	for i, want := range []provider.Class{provider.Accepted, provider.Ambiguous, provider.Transient, provider.Transient} {
		if outcomes[i].Class != want {
			t.Errorf("outcome %d: %+v, want %v", i, outcomes[i], want)
		}
	}
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
}

// TestBadModel: a message that cannot be encoded is refused by itself and leaves the others in their places.
func TestBadModel(t *testing.T) {
	t.Parallel()
	batch := outgoing(3)
	batch[1].Content.CustomFields = json.RawMessage(`{"a":1}`)
	batch[1].Recipient.CustomFields = json.RawMessage(`{broken`)
	conn := connection(serve(t, func(w http.ResponseWriter, r *http.Request) { playSend(w, r, nil) }))
	outcomes := newAdapter(t).Send(t.Context(), conn, batch)
	for i, want := range []provider.Class{provider.Accepted, provider.Rejected, provider.Accepted} {
		if outcomes[i].Class != want || outcomes[i].Class == provider.Rejected && outcomes[i].Text == "" {
			t.Errorf("outcome %d: %+v, want %v", i, outcomes[i], want)
		}
	}
}

// TestUnusableConnection: settings that cannot work are the connection's fault, and nothing goes out.
func TestUnusableConnection(t *testing.T) {
	t.Parallel()
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a call to %s", r.URL) })
	for name, spoil := range map[string]func(*provider.Connection){
		"no key":            func(c *provider.Connection) { c.Key = secret.String{} },
		"key with a break":  func(c *provider.Connection) { c.Key = secret.NewString("abc\r\nX-Evil: 1") },
		"no stream":         func(c *provider.Connection) { c.Stream = "" },
		"endpoint":          func(c *provider.Connection) { c.Endpoint = "ftp://example.com" },
		"endpoint password": func(c *provider.Connection) { c.Endpoint = "http://user:" + testKey + "@example.com" },
		"endpoint words":    func(c *provider.Connection) { c.Endpoint = "not a url\x7f" },
	} {
		conn := connection(url)
		spoil(&conn)
		for _, o := range newAdapter(t).Send(t.Context(), conn, outgoing(2)) {
			if o.Class != provider.Account || o.Text == "" || strings.Contains(o.Text, testKey) {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

// TestEndpointWithPath: the base URL may have a path, and spaces around the key do not matter.
func TestEndpointWithPath(t *testing.T) {
	t.Parallel()
	var rec recorder
	conn := connection(serve(t, rec.wrap(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"ErrorCode": 0, "MessageID": "m", "Message": "OK"})
	})) + "/gateway/postmark/")
	conn.Key = secret.NewString(" " + testKey + "\n")
	newAdapter(t).Send(t.Context(), conn, outgoing(1))
	if r := rec.all()[0]; r.path != "/gateway/postmark/email/withTemplate" || r.header.Get("X-Postmark-Server-Token") != testKey {
		t.Errorf("%s with %v", r.path, r.header)
	}
}

// TestPartOfTheRequest: Postmark cannot have a message of which only a part was written.
func TestPartOfTheRequest(t *testing.T) {
	t.Parallel()
	address := providertest.Listen(t, func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 1000))
		providertest.Reset(conn)
	})
	batch := outgoing(4) // together they are more than a connection takes in before it is read from
	for i := range batch {
		batch[i].Content.Attachments = []mail.Attachment{{Filename: "big.bin", Content: strings.Repeat("A", 8<<20)}}
	}
	for _, got := range newAdapter(t).Send(t.Context(), connection("http://"+address), batch) {
		if got.Class != provider.Transient || got.Unsent {
			t.Errorf("%+v", got)
		}
	}
}

// silent is a transport that tells nothing of its progress, as one may that wraps another.
type silent struct{ reads bool }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.reads {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the connection is gone")
}

// TestSilentTransport: without a report of the transport's, a body that was read may have left.
func TestSilentTransport(t *testing.T) {
	t.Parallel()
	for reads, want := range map[bool]provider.Class{true: provider.Ambiguous, false: provider.Transient} {
		adapter := postmark.New(postmark.Config{Transport: silent{reads}})
		if got := adapter.Send(t.Context(), connection(""), outgoing(1))[0]; got.Class != want {
			t.Errorf("body read %t: %+v, want %v", reads, got, want)
		}
	}
}

// TestHTTP2 repeats the stages over HTTP/2, whose transport reports them in other ways.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("User-Agent") {
		case "abort":
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		case "hang":
			_, _ = io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		default:
			if r.ProtoMajor != 2 {
				t.Errorf("HTTP/%d", r.ProtoMajor)
			}
			playSend(w, r, nil)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	for agent, want := range map[string]provider.Class{
		"": provider.Accepted, "abort": provider.Ambiguous, "hang": provider.Ambiguous,
	} {
		adapter := postmark.New(postmark.Config{Transport: server.Client().Transport, UserAgent: agent})
		sendCtx := t.Context()
		if agent == "hang" {
			sendCtx = ctx
		}
		for _, o := range adapter.Send(sendCtx, connection(server.URL), outgoing(2)) {
			if o.Class != want {
				t.Errorf("%q: %+v, want %v", agent, o, want)
			}
		}
	}
	// A certificate that nobody vouches for ends the call before anything is said.
	strict := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	t.Cleanup(strict.CloseIdleConnections)
	got := postmark.New(postmark.Config{Transport: strict}).Send(t.Context(), connection(server.URL), outgoing(1))[0]
	if got.Class != provider.Transient || !strings.Contains(got.Text, "certificate") {
		t.Errorf("%+v", got)
	}
}

// TestConnectionsAreKept: a thousand mails must not be a thousand handshakes.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { playSend(w, r, nil) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	adapter := newAdapter(t)
	for range 20 {
		adapter.Send(t.Context(), connection(server.URL), outgoing(2))
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections for 20 calls", opened.Load())
	}
}

// TestAnswerTooLong: an answer without an end is not read to its end, and proves nothing.
func TestAnswerTooLong(t *testing.T) {
	t.Parallel()
	conn := connection(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, `{"ErrorCode":0,"MessageID":"m","Message":"OK"}`)
		for err == nil {
			_, err = io.WriteString(w, strings.Repeat(" ", 1<<16))
		}
	}))
	if got := newAdapter(t).Send(t.Context(), conn, outgoing(1))[0]; got.Class != provider.Ambiguous {
		t.Errorf("%+v", got)
	}
}

// TestCutAnswers: an answer that ends early counts by what its head says, and otherwise proves nothing.
func TestCutAnswers(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]provider.Class{
		"422 Unprocessable Entity":                                provider.Ambiguous,
		"422 Unprocessable Entity\r\nX-PM-ApiErrorCode: 412":      provider.Account,
		"400 Bad Request":                                         provider.Ambiguous,
		"401 Unauthorized":                                        provider.Account,
		"413 Content Too Large":                                   provider.Rejected,
		"429 Too Many Requests\r\nRetry-After: 3":                 provider.Throttled,
		"500 Internal Server Error":                               provider.Ambiguous,
		"503 Service Unavailable":                                 provider.Transient,
		"200 OK\r\nContent-Type: application/json; charset=utf-8": provider.Ambiguous,
	} {
		address := providertest.Listen(t, func(conn net.Conn) {
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 "+head+"\r\nContent-Length: 99\r\n\r\n"+`{"ErrorCode":300,`)
			}
		})
		got := newAdapter(t).Send(t.Context(), connection("http://"+address), outgoing(1))[0]
		if got.Class != want || got.Text == "" {
			t.Errorf("%.3s: %+v, want %v", head, got, want)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	batch := outgoing(100)
	results := make([]string, len(batch))
	for i := range results {
		results[i] = fmt.Sprintf(`{"To":"x","SubmittedAt":"2026-03-02T12:00:00Z","MessageID":"%d","ErrorCode":0,"Message":"OK"}`, i)
	}
	body := "[" + strings.Join(results, ",") + "]"
	conn := connection("")
	for b.Loop() {
		adapter := postmark.New(postmark.Config{Transport: canned{http.StatusOK, http.Header{}, strings.NewReader(body)}})
		if got := adapter.Send(b.Context(), conn, batch); got[99].Class != provider.Accepted {
			b.Fatalf("%+v", got[99])
		}
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "messages/s")
}
