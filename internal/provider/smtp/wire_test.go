package smtp

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/provider"
)

// talk has the adapter send one message to a server that says what script holds: one answer for the greeting and one for each line that the
// client says, until the script is over. Then the server ends the connection. It returns what the client said.
func talk(t testing.TB, ctx context.Context, script []string) (provider.Outcome, []string) {
	t.Helper()
	var mu sync.Mutex
	var said []string
	var serving sync.WaitGroup
	a := New(Config{AllowPrivate: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		serving.Go(func() {
			defer func() { _ = server.Close() }()
			lines := bufio.NewReader(server)
			for i, answer := range script {
				if i > 0 {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					if mu.Lock(); len(said) < 1000 {
						said = append(said, strings.TrimSpace(line))
					}
					mu.Unlock()
				}
				if _, err := server.Write([]byte(answer)); err != nil {
					return
				}
			}
		})
		return client, nil
	}})
	o := a.Send(ctx, provider.Connection{Endpoint: "smtp://mail.example.com"}, []provider.Outgoing{*outgoing()})[0]
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	serving.Wait()
	mu.Lock()
	defer mu.Unlock()
	return o, said
}

// greetingToData is what a server says until the content begins.
var greetingToData = []string{"220 hi\r\n", "250 hello\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"}

// An answer cut anywhere is no proof of anything: before the content, the server has no message; after it, nobody knows.
func TestCutAnswers(t *testing.T) {
	t.Parallel()
	for i, answer := range greetingToData {
		for cut := range len(answer) - len("\r\n") {
			script := append(append([]string{}, greetingToData[:i]...), answer[:cut])
			if o, _ := talk(t, t.Context(), script); o.Class != provider.Transient || o.Unsent {
				t.Errorf("answer %d cut to %q: %v %+v", i, answer[:cut], o.Class, o)
			}
		}
	}
}

// A server that never stops talking is not listened to for ever.
func TestTalkativeServer(t *testing.T) {
	t.Parallel()
	for i := range greetingToData {
		script := append(append([]string{}, greetingToData[:i]...), strings.Repeat("250-and\r\n", 100_000))
		if o, _ := talk(t, t.Context(), script); o.Class != provider.Transient {
			t.Errorf("answer %d: %v %+v", i, o.Class, o)
		}
	}
}

// clock is a wall clock that may jump.
type clock struct {
	mu    sync.Mutex
	calls int
	late  int // from which call on it is late
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.calls > c.late {
		return time.Unix(1000, 0)
	}
	return time.Unix(0, 0)
}

// When the time of a call is over, nothing more leaves, at whatever step that is noticed: neither a command nor a part of the
// message. As the dot has not left, the server does not have it.
func TestFence(t *testing.T) {
	t.Parallel()
	script := append(append([]string{}, greetingToData...), "") // the content is taken and not answered
	for late := range 5 {
		c := &clock{late: late}
		ctx := provider.WithWatch(t.Context(), provider.Watch{Until: time.Unix(500, 0), Now: c.now, Asked: func() {}, Heard: func() {}})
		o, said := talk(t, ctx, script)
		if o.Class != provider.Transient || !o.Unsent {
			t.Errorf("late after %d pieces: %v %+v", late, o.Class, o)
		}
		if len(said) > late {
			t.Errorf("late after %d pieces, the server heard %q", late, said)
		}
	}
}

// FuzzServer: whatever a server says, there is one outcome that claims no more than it knows.
func FuzzServer(f *testing.F) {
	f.Add(strings.Join(greetingToData, "|"))
	f.Add("220 hi\r\n|250-hello\r\n250-SIZE 10\r\n250 AUTH PLAIN\r\n|250 ok\r\n")
	f.Add("220 hi\r\n|250-STARTTLS\r\n250 STARTTLS\r\n|220 go\r\n|\x16\x03\x01")
	f.Add("|\x00|999 \xff|250-")
	f.Fuzz(func(t *testing.T, said string) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		o, _ := talk(t, ctx, strings.Split(said, "|"))
		if o.Class == provider.Accepted && !strings.Contains(said, "2") || o.Class != provider.Accepted && o.Text == "" || len(o.Text) > provider.MaxText {
			t.Errorf("%q: %+v", said, o)
		}
	})
}
