package doctor

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postyard/internal/catchup"
	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/secret"
	"postyard/internal/ssrf"
	"postyard/internal/store"
	"postyard/internal/template"
)

const accountID, hidden = 1, "a-token-that-nobody-may-see"

// hospital is all that a Service works with. Its providers do as they are told.
type hospital struct {
	provider.Adapter // whatever is not told
	provider.Inspector

	contents directory.Contents
	check    func(context.Context) error
	listed   []template.Listed
	failed   error // of the store
}

func (*hospital) Capabilities() provider.Capabilities {
	return provider.Capabilities{Streams: true, Templates: true}
}
func (*hospital) Profile() provider.Profile {
	return provider.Profile{Fields: []provider.Field{{Name: provider.FieldKey, Holds: "the token"}}}
}
func (h *hospital) Check(ctx context.Context, _ provider.Connection) error {
	return h.check(ctx)
}
func (*hospital) CanCarry(*mail.Content, provider.Terms) *mail.FieldError { return nil }
func (*hospital) InspectHook(context.Context, provider.Connection, provider.Hook) ([]string, error) {
	return nil, nil
}
func (*hospital) InspectTemplate(_ context.Context, _ provider.Connection, alias string) (provider.TemplateStanding, error) {
	return map[string]provider.TemplateStanding{"layout": provider.TemplateLayout, "mine": provider.TemplateReady}[alias] + missing[alias], nil
}
func (*hospital) Clock(context.Context, provider.Connection) (time.Time, error) {
	return time.Now(), nil
}
func (*hospital) Sample(provider.Connection, provider.Credentials) (http.Header, []byte) {
	return http.Header{}, nil
}

var missing = map[string]provider.TemplateStanding{"theirs": provider.TemplateMissing, "broken": provider.TemplateMissing, "nobody's": provider.TemplateMissing}

func (h *hospital) LoadDirectory(context.Context) (directory.Contents, error) { return h.contents, nil }
func (*hospital) DirectoryRevision(context.Context) (int64, error)            { return 0, nil }

func (*hospital) Connection(*directory.TPSP) (provider.Connection, error) {
	return provider.Connection{Key: secret.NewString(hidden)}, nil
}

func (*hospital) Hook(*directory.TPSP) (provider.Hook, error) {
	return provider.Hook{URL: "http://mail.example.com/tpsp/postmark/account/1"}, nil
}

func (*hospital) State(int32) catchup.State      { return catchup.State{} }
func (h *hospital) List(int32) []template.Listed { return h.listed }

func (h *hospital) Delays(context.Context, int32, int32, int) ([]store.Delay, bool, error) {
	return nil, false, h.failed
}

func (h *hospital) FailedAttempts(context.Context, int32, int32, time.Time, int) ([]store.FailedAttempt, error) {
	return nil, h.failed
}

func (h *hospital) Failures(context.Context, int32, int32, time.Time, int) (store.Failures, error) {
	return store.Failures{}, h.failed
}

func (h *hospital) Strange(context.Context, int32, int32, time.Time, int) (store.Strange, error) {
	return store.Strange{Garbage: 1, Reason: "it says " + hidden, Foreign: 2}, h.failed
}

func (*hospital) Permits(context.Context, route.Egress, time.Time, time.Duration) (store.Permits, error) {
	return store.Permits{}, nil
}

func (*hospital) LaneDelays(context.Context, int32, int32, int) (store.LaneDelays, error) {
	return store.LaneDelays{}, nil
}

func (*hospital) SenderPermits(context.Context, []int32, time.Time, time.Duration) (map[int32][]limit.Use, error) {
	return nil, nil
}

// answers is a transport to our own URL.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// open returns a Service for an account with so many providers.
func (h *hospital) open(t *testing.T, providers int32, publicURL string, transport answers) *Service {
	t.Helper()
	for id := int32(1); id <= providers; id++ {
		h.contents.TPSPs = append(h.contents.TPSPs, directory.TPSP{ID: id, AccountID: accountID, Name: "P", Type: provider.Postmark, Stream: "outbound",
			Endpoint: "http://provider.test", Webhook: directory.Webhook{State: directory.WebhookRegistered}})
	}
	dir, err := directory.Open(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	adapters := provider.Registry{provider.Postmark: h}
	return New(Config{Directory: dir, Store: h, Adapters: adapters, Connections: h, CatchUp: h, Templates: h, Planner: plan.New(adapters, time.Now), Webhooks: noHooks{},
		PublicURL: publicURL, Transport: transport, Claim: time.Minute, Now: time.Now})
}

// find returns the check of a provider.
func find(t *testing.T, list []Check, name string, tpsp int32) Check {
	t.Helper()
	for _, c := range list {
		if c.Name == name && c.TPSPID == tpsp {
			return c
		}
	}
	t.Fatalf("no check %s of TPSP %d in %v", name, tpsp, list)
	return Check{}
}

func away(*http.Request) (*http.Response, error) { return nil, errors.New("away") }

// Whatever hangs, an examination ends, and says what it did not look at.
func TestAnExaminationEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &hospital{check: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		hang := func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
		s := h.open(t, 40, "http://mail.example.com", hang)
		began := time.Now()
		list, err := s.Examine(t.Context(), accountID, Question{Template: "mine"})
		if took := time.Since(began); err != nil || took > Longest {
			t.Fatalf("%v after %s", err, took)
		}
		silent, left := 0, 0
		for id := int32(1); id <= 40; id++ {
			switch c := find(t, list, Provider, id); {
			case c.Status == Fail && strings.Contains(c.Message, "no answer in time"):
				silent++
			case c.Status == Warn && strings.HasPrefix(c.Fix, "postyard doctor --tpsp "):
				left++
			}
			find(t, list, Waiting, id)
		}
		if silent < 2*atOnce || silent+left != 40 {
			t.Errorf("%d did not answer, %d were not asked", silent, left)
		}
		if c := find(t, list, PublicURL, 0); c.Status != Fail {
			t.Errorf("%+v", c)
		}
	})
}

// An account whose providers hang, and which asks again and again, takes nothing from another one.
func TestAccountsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const other, theirs = accountID + 1, 100
		h := &hospital{}
		h.check = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		h.contents.TPSPs = []directory.TPSP{{ID: theirs, AccountID: other, Name: "P", Type: provider.Postmark, Stream: "outbound", Endpoint: "http://provider.test"}}
		s := h.open(t, 20, "http://mail.example.com", away)
		var asking sync.WaitGroup
		var running, done atomic.Int32
		for range 10 {
			asking.Go(func() {
				switch _, err := s.Examine(t.Context(), accountID, Question{}); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrRunning):
					running.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if running.Load() != 9 {
			t.Errorf("%d were told that one runs", running.Load())
		}
		list, err := s.Examine(t.Context(), other, Question{})
		if err != nil {
			t.Fatal(err)
		}
		if c := find(t, list, Provider, theirs); !strings.Contains(c.Message, "no answer in time") { // its own provider was asked
			t.Errorf("%+v", c)
		}
		asking.Wait()
		if done.Load() != 1 {
			t.Errorf("%d examinations", done.Load())
		}
		if _, err := s.Examine(t.Context(), accountID, Question{TPSPID: 1}); err != nil { // when it has ended, another one begins
			t.Error(err)
		}
	})
}

// A public URL that nobody outside can reach is told without a provider's help.
func TestPublicURLs(t *testing.T) {
	t.Parallel()
	blocked := func(*http.Request) (*http.Response, error) {
		return nil, &ssrf.BlockedError{Addr: netip.MustParseAddr("10.0.0.1"), Rule: "private"}
	}
	for url, want := range map[string]Status{"http://127.0.0.1:8025": Fail, "http://localhost:8025": Fail, "https://10.0.0.1": Fail, "https://mail.example.com": Warn} {
		h := &hospital{check: func(context.Context) error { return nil }}
		list, err := h.open(t, 1, url, blocked).Examine(t.Context(), accountID, Question{})
		if err != nil {
			t.Fatal(err)
		}
		if c := find(t, list, PublicURL, 0); c.Status != want || !strings.Contains(c.Fix, "--public-url") {
			t.Errorf("%s: %+v", url, c)
		}
		if c := find(t, list, Delivery, 1); c.Status != Warn {
			t.Errorf("%s: %+v", url, c)
		}
	}
	// Private addresses may be allowed here; the provider's public service cannot reach them all the same.
	h := &hospital{check: func(context.Context) error { return nil }}
	alive := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}
	s := h.open(t, 1, "http://127.0.0.1:8025", alive)
	h.contents.TPSPs[0].Endpoint = ""
	if err := s.Directory.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.Examine(t.Context(), accountID, Question{})
	if c := find(t, list, Delivery, 1); err != nil || c.Status != Fail || !strings.Contains(c.Message, "cannot reach it") {
		t.Errorf("%+v (%v)", c, err)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	h := &hospital{check: func(context.Context) error { return nil }}
	s := h.open(t, 2, "http://mail.example.com", away)
	for alias, fault := range map[string]string{"theirs": "", "broken": "it is odd", "mine": "it is odd"} {
		at := int32(2)
		if alias == "mine" {
			at = 1
		}
		h.listed = append(h.listed, template.Listed{TPSP: &h.contents.TPSPs[at-1],
			MirroredTemplate: store.MirroredTemplate{Template: provider.Template{Alias: alias}, TPSPID: at, Fault: fault}})
	}
	for alias, want := range map[string]struct {
		status Status
		words  string
	}{
		"mine":     {Warn, "other providers cannot be given it: it is odd"},
		"layout":   {Fail, "is a layout"},
		"theirs":   {OK, `it is given what "theirs" of "P" (2) looks like`},
		"broken":   {Fail, "cannot be rendered here: it is odd"},
		"nobody's": {Fail, "no other has it"},
		"":         {Warn, `1 of the 1 templates and layouts that were read cannot be given to other providers: "mine" (it is odd)`},
	} {
		list, err := s.Examine(t.Context(), accountID, Question{TPSPID: 1, Template: alias})
		if c := find(t, list, Template, 1); err != nil || c.Status != want.status || !strings.Contains(c.Message, want.words) {
			t.Errorf("%q: %+v (%v)", alias, c, err)
		}
	}
}

// Foreign words may hold anything: no secret, and no line, leaves in them.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	h := &hospital{check: func(context.Context) error {
		return &provider.SetupError{Code: "invalid_token", Field: "key", Message: "the token " + hidden + "\nis wrong"}
	}}
	list, err := h.open(t, 1, "http://mail.example.com", away).Examine(t.Context(), accountID, Question{})
	if err != nil {
		t.Fatal(err)
	}
	if c := find(t, list, Token, 1); c.Message != "the token "+secret.Redacted+" is wrong" {
		t.Errorf("%q", c.Message)
	}
	if c := find(t, list, Unreadable, 1); c.Status != Warn || !strings.Contains(c.Message, "it says "+secret.Redacted) || !strings.Contains(c.Message, "2 reports") {
		t.Errorf("%+v", c)
	}
	for _, c := range list {
		if strings.Contains(c.Message+c.Fix, hidden) {
			t.Errorf("%+v", c)
		}
	}
}

func TestAStoreThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	h := &hospital{check: func(context.Context) error { return nil }, failed: store.ErrUnavailable}
	if list, err := h.open(t, 2, "http://mail.example.com", away).Examine(t.Context(), accountID, Question{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, %v", list, err)
	}
}

func TestWordsOfAShell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"pool-1": "pool-1", "": "''", "my pool": "'my pool'", "it's $HOME": `'it'\''s $HOME'`} {
		if got := word(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
