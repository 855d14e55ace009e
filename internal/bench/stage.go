package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"postyard/internal/client"
	"postyard/internal/demo"
	"postyard/internal/secret"
)

// stage is a server with its provider, and nothing in it.
type stage struct {
	dir             string
	sandbox, server *child
	scene           *demo.Scene
	api             *client.Client
	address         string // of the server, host:port
	providers       int
	began           time.Time
}

var (
	serves = regexp.MustCompile(`"url":"(http://[^"]+)"`)
	keys   = regexp.MustCompile(`account (\d+) +X-Account-ApiKey: +(\S+)`)
)

// newStage starts both processes and connects them. What was started has ended when it fails.
func newStage(ctx context.Context, o *Options) (_ *stage, err error) {
	if !o.Database.IsZero() {
		if err := checkEmpty(ctx, o.Database); err != nil {
			return nil, err
		}
	}
	s := &stage{began: time.Now(), providers: o.MailboxProviders}
	if s.dir, err = os.MkdirTemp("", "postyard-bench-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) start(ctx context.Context, o *Options) (err error) {
	environ := foreign(o.Environ)
	if s.sandbox, err = spawn(ctx, environ, "sandbox", "--listen", "127.0.0.1:0", "--log-format", "json"); err != nil {
		return err
	}
	at, err := s.sandbox.read(ctx, &s.sandbox.err, serves)
	if err != nil {
		return err
	}
	if !o.Database.IsZero() {
		environ = append(environ, "POSTYARD_DATABASE="+o.Database.Reveal())
	}
	if s.server, err = spawn(ctx, environ, "serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--allow-private", "--dns", "off", "--rate-limit", "0",
		"--data", filepath.Join(s.dir, "server")); err != nil {
		return err
	}
	printed, err := s.server.read(ctx, &s.server.out, keys)
	if err != nil {
		return err
	}
	account, err := strconv.ParseInt(printed[1], 10, 32)
	if err != nil {
		return fmt.Errorf("read the account's id: %w", err)
	}
	serving, err := s.server.read(ctx, &s.server.err, serves)
	if err != nil {
		return err
	}
	return s.connect(ctx, o, demo.Config{URL: serving[1], AccountID: int32(account), AccountKey: secret.NewString(printed[2]), SandboxURL: at[1],
		NoTraffic: true})
}

func (s *stage) connect(ctx context.Context, o *Options, c demo.Config) (err error) {
	if s.scene, err = demo.SetUp(ctx, c); err != nil {
		return err
	}
	s.api = (&client.Client{URL: c.URL, AccountKey: c.AccountKey}).Unhurried()
	s.address = strings.TrimPrefix(c.URL, "http://")
	return s.control(ctx, http.MethodPut, "/sandbox/settings",
		map[string]any{"sendLatencyMs": o.ProviderLatency.Milliseconds(), "deliveryDelayMs": 0, "dropWebhooks": true}, nil)
}

// foreign is the environment without options of ours: the processes run with the defaults.
func foreign(environ []string) []string {
	var rest []string
	for _, one := range environ {
		if !strings.HasPrefix(one, "POSTYARD_") {
			rest = append(rest, one)
		}
	}
	return rest
}

// close ends both processes, the server first, so that its last calls find their provider, and removes what they left.
func (s *stage) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.server.end(), s.sandbox.end(), os.RemoveAll(s.dir))
}

// hold has the provider turn everything away, with the wish to come back in five seconds, the shortest that the server takes.
// It does so with one small call, opens no breaker, and needs no longer than that to notice that it is over.
func (s *stage) hold(ctx context.Context) error {
	return s.control(ctx, http.MethodPut, "/sandbox/faults",
		[]map[string]any{{"path": "/email", "kind": "status", "status": http.StatusTooManyRequests, "retryAfter": 5}}, nil)
}

func (s *stage) release(ctx context.Context) error {
	return s.control(ctx, http.MethodDelete, "/sandbox/faults", nil, nil)
}

// report has the provider deliver at once, and recipients open at once, and tell of both.
func (s *stage) report(ctx context.Context) error {
	return s.control(ctx, http.MethodPut, "/sandbox/settings", map[string]any{"dropWebhooks": false, "openDelivered": true}, nil)
}

// arrivals notes in the ledger what the provider got until now, instead of what it had got before.
func (s *stage) arrivals(ctx context.Context, l *ledger) error {
	l.forgetArrivals()
	for offset := 0; ; {
		var page struct {
			Arrivals []struct {
				ID, MessageID string
				ReceivedAt    time.Time
			}
		}
		if err := s.control(ctx, http.MethodGet, fmt.Sprintf("/sandbox/arrivals?limit=10000&offset=%d", offset), nil, &page); err != nil {
			return err
		}
		for _, a := range page.Arrivals {
			id, err := uuid.Parse(a.MessageID)
			if err != nil {
				return fmt.Errorf("the provider got a message with the id %q: %w", a.MessageID, err)
			}
			provider, err := uuid.Parse(a.ID)
			if err != nil {
				return fmt.Errorf("the provider gave the id %q: %w", a.ID, err)
			}
			l.arrived(id, provider, a.ReceivedAt)
		}
		if len(page.Arrivals) == 0 {
			return nil
		}
		offset += len(page.Arrivals)
	}
}

// reports prepares reports about messages that have arrived, with the credentials of the webhook that the server registered.
func (s *stage) reports(ctx context.Context, l *ledger) (*reports, error) {
	var registered struct {
		Webhooks []struct {
			URL      string                              `json:"Url"`
			HTTPAuth struct{ Username, Password string } `json:"HttpAuth"`
		}
	}
	if err := s.control(ctx, http.MethodGet, "/webhooks", nil, &registered); err != nil {
		return nil, err
	}
	if len(registered.Webhooks) != 1 {
		return nil, fmt.Errorf("the provider has %d webhooks, not one", len(registered.Webhooks))
	}
	hook := registered.Webhooks[0]
	target, err := url.Parse(hook.URL)
	if err != nil {
		return nil, fmt.Errorf("read the webhook's URL: %w", err)
	}
	var sample struct {
		Messages []struct{ Metadata map[string]string }
	}
	if err := s.control(ctx, http.MethodGet, "/sandbox/messages?limit=1", nil, &sample); err != nil {
		return nil, err
	}
	if len(sample.Messages) != 1 {
		return nil, errors.New("the provider shows no message")
	}
	metadata, err := otherMetadata(sample.Messages[0].Metadata)
	if err != nil {
		return nil, err
	}
	credentials := base64.StdEncoding.EncodeToString([]byte(hook.HTTPAuth.Username + ":" + hook.HTTPAuth.Password))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nUser-Agent: Postmark\r\n"+
		"X-Pm-Webhook-Trace-Id: ", target.RequestURI(), s.address, credentials)
	return &reports{ledger: l, providers: s.providers, head: []byte(head), metadata: metadata, stream: s.scene.Stream,
		began: time.Now().Add(-time.Hour).Truncate(time.Second)}, nil
}

// control calls the sandbox: its control API, or the provider's.
func (s *stage) control(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.scene.SandboxURL+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("X-Postmark-Server-Token", s.scene.SandboxToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("call sandbox: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("status %d: %.200s", res.StatusCode, raw)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		return fmt.Errorf("sandbox: %s %s: %w", method, path, err)
	}
	return nil
}
