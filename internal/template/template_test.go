package template

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/mustachio"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

type ownTemplates = store.StoredTemplates

// shelf is a store in memory, and a provider whose templates are what the test says.
type shelf struct {
	away bool // the store is not there
	provider.Adapter
	ownTemplates // which these tests do not need
	mu           sync.Mutex
	now          func() time.Time
	contents     directory.Contents
	held         map[string]string
	synced       map[int32]time.Time
	kept         map[int32][]store.MirroredTemplate
	revision     int64
	loads        int

	server map[int32][]provider.Template // by TPSP
	err    error
	asked  []int32 // whose templates were read
	wait   chan struct{}
}

func (*shelf) Capabilities() provider.Capabilities { return provider.Capabilities{Templates: true} }

func (f *shelf) Templates(ctx context.Context, conn provider.Connection) ([]provider.Template, error) {
	f.mu.Lock()
	f.asked = append(f.asked, conn.TPSPID)
	list, err, wait := f.server[conn.TPSPID], f.err, f.wait
	f.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return list, err
}

func (f *shelf) Connection(t *directory.TPSP) (provider.Connection, error) {
	return provider.Connection{TPSPID: t.ID}, nil
}

func (f *shelf) LoadDirectory(context.Context) (directory.Contents, error) { return f.contents, nil }
func (f *shelf) DirectoryRevision(context.Context) (int64, error)          { return 0, nil }

func (f *shelf) Lease(_ context.Context, name, holder string, _ time.Duration) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if by := f.held[name]; by != "" && by != holder {
		return false, nil
	}
	f.held[name] = holder
	return true, nil
}

func (f *shelf) Release(_ context.Context, name, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.held, name)
	return nil
}

func (f *shelf) SaveTemplates(_ context.Context, id int32, list []store.MirroredTemplate, at time.Time) (change store.MirrorChange, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list = slices.Clone(list)
	for i := range list {
		list[i].AccountID, list[i].TPSPID = 1, id
	}
	change.Added, change.Removed = len(list), len(f.kept[id])
	f.kept[id], f.synced[id] = list, at
	f.revision++
	return change, nil
}

func (f *shelf) DropTemplates(_ context.Context, id int32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[id] = nil
	f.revision++
	return nil
}

func (f *shelf) TemplateRevision(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revision, nil
}

func (f *shelf) TemplateIndex(context.Context) (x store.TemplateIndex, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x.Revision = f.revision
	for id := int32(0); id < 100; id++ {
		if at, ok := f.synced[id]; ok {
			x.Mirrors = append(x.Mirrors, store.Mirror{TPSPID: id, SyncedAt: at})
		}
		for _, m := range f.kept[id] {
			m.Subject, m.HTML, m.Text = "", "", ""
			x.Templates = append(x.Templates, m)
		}
	}
	return x, nil
}

func (f *shelf) Template(_ context.Context, id int32, alias string) (*store.MirroredTemplate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads++
	if f.away {
		return nil, fmt.Errorf("%w: a restart", store.ErrUnavailable)
	}
	for _, m := range f.kept[id] {
		if m.Alias == alias {
			return &m, nil
		}
	}
	return nil, store.ErrNotFound
}

func (f *shelf) reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// newShelf has TPSPs of account 1; the last one is of a kind without templates.
func newShelf(t *testing.T, n int32) (*shelf, *Service) {
	t.Helper()
	f := &shelf{held: map[string]string{}, synced: map[int32]time.Time{}, kept: map[int32][]store.MirroredTemplate{},
		server: map[int32][]provider.Template{}, now: time.Now}
	f.contents.Accounts = []directory.Account{{ID: 1}}
	for id := int32(1); id <= n; id++ {
		f.contents.TPSPs = append(f.contents.TPSPs, directory.TPSP{ID: id, AccountID: 1, Type: provider.Postmark})
	}
	f.contents.TPSPs = append(f.contents.TPSPs, directory.TPSP{ID: n + 1, AccountID: 1, Type: provider.CustomSMTP})
	return f, f.service(t)
}

// plain is an adapter of a provider without templates.
type plain struct{ provider.Adapter }

func (f *shelf) service(t *testing.T) *Service {
	t.Helper()
	dir, err := directory.Open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Config{Store: f, Directory: dir, Connections: f, Holder: "me", Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Providers: provider.Registry{provider.Postmark: f, provider.CustomSMTP: plain{}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(alias, body string) provider.Template {
	return provider.Template{Alias: alias, Name: alias, Subject: "S {{x}}", Text: body}
}

func (f *shelf) sync(t *testing.T, s *Service) []Result {
	t.Helper()
	results, err := s.Sync(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestWhoseTemplate(t *testing.T) {
	t.Parallel()
	f, _ := newShelf(t, 5)
	for id := int32(1); id <= 4; id++ {
		f.server[id] = []provider.Template{text("welcome", fmt.Sprint("of ", id))}
	}
	f.server[2] = append(f.server[2], text("only", "two"), text("Case", "upper"), text("case", "lower"))
	f.server[3] = append(f.server[3], text("broken", "fine"))
	f.server[1] = append(f.server[1], text("broken", "{{#if x}}"), provider.Template{Alias: "frame", Layout: true, Text: "{{{@content}}}"})
	f.server[1] = append(f.server[1], text("left", "{{#if x}}"))
	f.server[4] = append(f.server[4], text("left", "well"), text("gone", "x"))
	s := f.service(t)
	f.sync(t, s)
	f.contents.TPSPs[3].Deleted = time.Now() // TPSP 4
	if err := s.Directory.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		alias  string
		prefer []int32
		want   string
	}{
		{"welcome", nil, "of 1"},
		{"welcome", []int32{6, 3, 2}, "of 3"},
		{"welcome", []int32{5, 4, 2}, "of 2"}, // in use before deleted
		{"WELCOME", []int32{2}, "of 2"},
		{"only", []int32{1, 3}, "two"},
		{"Case", nil, "upper"},
		{"case", nil, "lower"},
		{"broken", []int32{1, 3}, "fine"},
		{"left", nil, `?the template "left" cannot be used here: its text cannot be parsed: `}, // that of TPSP 4 is well, but it was deleted
		{"gone", []int32{4}, "?" + ErrUnknown.Error()},
		{"nowhere", nil, "?" + ErrUnknown.Error()},
		{"frame", nil, "?" + ErrUnknown.Error()},
	} {
		r, err := s.Render(t.Context(), 1, tc.prefer, tc.alias, json.RawMessage(`{"x":1}`))
		got := r.Text
		if err != nil {
			got = "?" + err.Error()
		}
		if got != tc.want && (tc.alias != "left" || !strings.HasPrefix(got, tc.want)) {
			t.Errorf("%s %v: %q, want %q", tc.alias, tc.prefer, got, tc.want)
		}
	}
	if _, err := s.Render(t.Context(), 2, nil, "welcome", json.RawMessage("{}")); !errors.Is(err, ErrUnknown) {
		t.Errorf("another account: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	frame := provider.Template{Alias: "Frame", Layout: true, HTML: "<{{{ @content }}}>", Text: "no placeholder"}
	bad := provider.Template{Alias: "bad", Layout: true, Text: "{{#x}}{{{@content}}}"}
	framed := func(around string) provider.Template {
		return provider.Template{Alias: "a", Around: around, HTML: "{{x}}", Text: "t"}
	}
	for name, tc := range map[string]struct {
		t     provider.Template
		fault string
	}{
		"well":                    {framed("frame"), ""},
		"no layout":               {framed("gone"), `its layout "gone" is not there`},
		"a layout that is broken": {framed("bad"), "its text cannot be parsed: line 1, column 1"},
		"subject":                 {provider.Template{Alias: "a", Subject: "{{a-b}}", Text: "x"}, "its subject cannot be parsed"},
		"unsubscribe":             {text("a", "{{{ pm:unsubscribe_url }}}"), "unsubscribe placeholder"},
		"nothing":                 {provider.Template{Alias: "a", Subject: "x"}, "no body"},
	} {
		list := mirror([]provider.Template{frame, bad, tc.t, tc.t})
		if len(list) != 3 {
			t.Fatalf("%d templates: one alias is one template", len(list))
		}
		if got := list[2].Fault; tc.fault == "" && got != "" || !strings.Contains(got, tc.fault) {
			t.Errorf("%s: %q", name, got)
		}
	}
	p, err := compile(new(framed("Frame")), &frame)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.render(map[string]any{"x": "&"}); err != nil || got != (Rendered{HTML: "<&amp;>", Text: "t"}) {
		t.Errorf("%+v %v", got, err)
	}
}

// A model must not write headers, and cannot make much work.
func TestHostileModels(t *testing.T) {
	t.Parallel()
	f, s := newShelf(t, 1)
	f.server[1] = []provider.Template{text("a", "{{#each l}}{{#each ../../l}}{{#each ../../../../l}}x{{/each}}{{/each}}{{/each}}")}
	f.sync(t, s)
	render := func(model string) (Rendered, error) {
		return s.Render(t.Context(), 1, nil, "a", json.RawMessage(model))
	}
	if r, err := render(`{"x":"a\r\nBcc: b@example.com\n\u0000c"}`); err != nil || r.Subject != "S a Bcc: b@example.com c" {
		t.Errorf("%+v %v", r, err)
	}
	for name, model := range map[string]string{
		"a long subject": `{"x":"` + strings.Repeat("é", mail.MaxSubject) + `"}`,
		"much work":      `{"l":[` + strings.Repeat("1,", 999) + `1]}`,
		"no object":      `[]`,
		"depth":          strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
	} {
		_, err := render(model)
		if unusable, ok := errors.AsType[*UnusableError](err); !ok || len(unusable.Why) > provider.MaxText {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWays(t *testing.T) {
	t.Parallel()
	f, s := newShelf(t, 3)
	f.server[1] = []provider.Template{text("known", "x"), text("broken", "{{#if x}}")}
	f.sync(t, s)
	s.index.Load().synced = map[int32]time.Time{1: {}, 2: {}} // TPSP 3 was never read
	holds, none := provider.Capabilities{Templates: true}, provider.Capabilities{}
	with, without := "<p>body</p>", ""
	for name, tc := range map[string]struct {
		tpsp     int32
		raw      bool
		capable  provider.Capabilities
		template string
		body     string
		want     string // "" as it is
	}{
		"no template":                      {4, false, none, "", with, ""},
		"its own server":                   {1, false, holds, "known", with, ""},
		"its own server, raw":              {1, true, holds, "known", with, ""},
		"another server":                   {2, false, holds, "known", with, ""},
		"another server, raw":              {2, true, holds, "known", with, "rendered"},
		"a server that was not read, raw":  {3, true, holds, "known", with, ""},
		"nowhere, raw":                     {2, true, holds, "nowhere", with, "body"},
		"nowhere, raw, no body":            {2, true, holds, "nowhere", without, ""},
		"plain":                            {4, false, none, "known", with, "rendered"},
		"plain, case":                      {4, false, none, "KNOWN", without, "rendered"},
		"plain, nowhere":                   {4, false, none, "nowhere", with, "body"},
		"plain, nowhere, no body":          {4, false, none, "nowhere", without, "unknown_tpsp_template"},
		"plain, broken":                    {4, false, none, "broken", with, "unusable_tpsp_template"},
		"plain, a broken one's own server": {1, false, holds, "broken", with, ""},
	} {
		target := *s.Directory.Current().AnyTPSP(tc.tpsp)
		target.AllowRaw = tc.raw
		c := &mail.Content{Template: tc.template, HTML: tc.body, Subject: "mine"}
		job := &store.Job{AccountID: 1, Content: c, Plan: route.Plan{Egresses: []route.Egress{target.Egress()}}}
		before := *c
		carried, bad := s.Carried(&target, tc.capable, c)
		outgoing, outcome := s.Outgoing(t.Context(), &target, tc.capable, job)
		got := ""
		switch {
		case bad != nil:
			got = bad.Code
			if outcome == nil || outcome.Class != provider.Rejected || !outcome.Elsewhere || !outcome.Unsent || outcome.Text == "" {
				t.Errorf("%s: %+v", name, outcome)
			}
		case outcome != nil:
			t.Errorf("%s: %+v", name, outcome)
		case carried == c && outgoing == c:
		case carried.Template == "" && outgoing.Template == "" && outgoing.Text == "x" && outgoing.Subject == "S " && outgoing.HTML == "":
			got = "rendered"
		case cmp.Equal(carried, outgoing) && outgoing.Template == "" && outgoing.HTML == tc.body:
			got = "body"
		default:
			t.Errorf("%s: %+v, then %+v", name, carried, outgoing)
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		if diff := cmp.Diff(before, *c); diff != "" {
			t.Errorf("%s: the message was changed: %s", name, diff)
		}
	}
}

// The template of a deleted provider is for messages that were accepted before, and have nothing else.
func TestTemplateOfADeletedProvider(t *testing.T) {
	t.Parallel()
	f, s := newShelf(t, 1)
	f.server[1] = []provider.Template{text("gone", "x")}
	f.sync(t, s)
	deleted := time.Now()
	f.contents.TPSPs[0].Deleted = deleted
	if err := s.Directory.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	target := s.Directory.Current().AnyTPSP(2)
	for name, tc := range map[string]struct {
		accepted time.Time
		body     string
		want     string
	}{
		"before, with a body":    {deleted.Add(-time.Second), "<p>", "<p>"},
		"before, without a body": {deleted.Add(-time.Second), "", "x"},
		"since, with a body":     {deleted.Add(time.Second), "<p>", "<p>"},
		"since, without a body":  {deleted.Add(time.Second), "", "refused"},
	} {
		c := &mail.Content{Template: "gone", HTML: tc.body}
		job := &store.Job{AccountID: 1, Content: c, SubmittedAt: tc.accepted, Plan: route.Plan{Egresses: []route.Egress{target.Egress()}}}
		out, outcome := s.Outgoing(t.Context(), target, provider.Capabilities{}, job)
		got := "refused"
		if outcome == nil {
			got = out.HTML + out.Text
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		// What is accepted now cannot use it.
		carried, bad := s.Carried(target, provider.Capabilities{}, c)
		if tc.body == "" && (bad == nil || bad.Code != "unknown_tpsp_template") || tc.body != "" && (bad != nil || carried.HTML != tc.body) {
			t.Errorf("%s: %+v %v", name, carried, bad)
		}
	}
}

func TestSyncIsDueDaily(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, s := newShelf(t, 2)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		synctest.Wait()
		after := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := f.reads(); got != want {
				t.Errorf("after %s: %d reads, want %d", d, got, want)
			}
		}
		after(0, 2) // two providers were connected
		after(23*time.Hour, 2)
		after(time.Hour+time.Minute, 4)
		f.mu.Lock()
		f.err = errors.New("away")
		f.mu.Unlock()
		after(23*time.Hour+58*time.Minute, 4)
		after(90*time.Second, 6)
		after(time.Minute, 8) // again after a minute,
		after(time.Minute, 8)
		after(time.Minute, 10) // then after two
		stop()
		<-ended
	})
}

func TestUnknownAliases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, s := newShelf(t, 1)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		before := f.reads()
		target := s.Directory.Current().AnyTPSP(1)
		for i := range 1000 { // an alias, and many others
			c := &mail.Content{Template: fmt.Sprint("alias", i%10), Text: "x"}
			if _, bad := s.Carried(target, provider.Capabilities{Templates: true}, c); bad != nil {
				t.Error(bad)
			}
		}
		synctest.Wait()
		if n := f.reads() - before; n != 1 {
			t.Errorf("%d reads at once", n)
		}
		f.mu.Lock()
		f.server[1] = []provider.Template{text("new", "x")}
		f.mu.Unlock()
		s.Missing(target, "new")
		synctest.Wait()
		if n := f.reads() - before; n != 1 {
			t.Errorf("%d reads within a minute", n)
		}
		time.Sleep(time.Minute + 2*lookEvery)
		synctest.Wait()
		if n := f.reads() - before; n != 2 || len(s.List(1)) != 1 {
			t.Errorf("%d reads after a minute, %+v", n, s.List(1))
		}
		for i := range maxAsked + 100 {
			s.want(1, fmt.Sprint("flood", i))
		}
		s.want(2, "new")
		s.mu.Lock()
		if n := len(s.asked[1]); n > maxAsked || len(s.asked[2]) != 1 {
			t.Errorf("%d aliases of one account are remembered, and %d of another", n, len(s.asked[2]))
		}
		s.mu.Unlock()
		time.Sleep(time.Minute + lookEvery)
		synctest.Wait()
		if s.mu.Lock(); len(s.asked) != 0 {
			t.Errorf("%v is remembered for longer than it is of use", s.asked)
		}
		s.mu.Unlock()
		stop()
		<-ended
	})
}

// A sync that is under way ends with the service, and nothing begins any more.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, s := newShelf(t, 1)
		f.wait = make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		synctest.Wait()
		if _, err := s.Sync(t.Context(), 1, 1); !errors.Is(err, ErrRunning) {
			t.Errorf("%v", err)
		}
		stop()
		<-ended
		if _, err := s.Sync(t.Context(), 1, 1); !errors.Is(err, ErrStopped) {
			t.Errorf("%v", err)
		}
		if _, err := s.Sync(t.Context(), 1, 2); !errors.Is(err, ErrNoSource) {
			t.Errorf("%v", err)
		}
		if _, err := s.Sync(t.Context(), 2, 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

// What another node has read is taken over, and not read again; what a deleted TPSP had is dropped after a month.
func TestOtherNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, s := newShelf(t, 1)
		f.server[1] = []provider.Template{text("a", "x")}
		other := f.service(t)
		other.Holder = "other"
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { s.Run(ctx) })
		ended.Go(func() { other.Run(ctx) })
		time.Sleep(2*24*time.Hour + time.Hour)
		synctest.Wait()
		if n := f.reads(); n != 3 {
			t.Errorf("%d reads by two nodes in two days", n)
		}
		if len(s.List(1)) != 1 || len(other.List(1)) != 1 {
			t.Error("a node does not know what the other has read")
		}
		f.contents.TPSPs[0].Deleted = time.Now().Add(-keepDeleted + time.Hour)
		for _, node := range []*Service{s, other} {
			if err := node.Directory.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		target := s.Directory.Current().AnyTPSP(2)
		job := &store.Job{AccountID: 1, Content: &mail.Content{Template: "a"}, SubmittedAt: time.Now().Add(-keepDeleted)}
		if _, outcome := s.Outgoing(t.Context(), target, provider.Capabilities{}, job); outcome != nil {
			t.Errorf("messages may still need it: %+v", outcome)
		}
		if len(s.List(1)) != 0 {
			t.Error("a deleted provider is listed")
		}
		time.Sleep(time.Hour)
		if out, outcome := s.Outgoing(t.Context(), target, provider.Capabilities{}, job); outcome == nil {
			t.Errorf("after a month: %+v", out)
		}
		stop()
		ended.Wait()
	})
}

func TestCache(t *testing.T) {
	t.Parallel()
	f, s := newShelf(t, 1)
	s.cache.limit = 1000
	for i := range 10 {
		f.server[1] = append(f.server[1], text(fmt.Sprint("t", i), strings.Repeat(fmt.Sprint(i), 300)))
	}
	f.sync(t, s)
	render := func(i int) {
		t.Helper()
		if _, err := s.Render(t.Context(), 1, nil, fmt.Sprint("t", i), json.RawMessage("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		render(1)
	}
	if f.loads != 1 {
		t.Errorf("%d loads of one template", f.loads)
	}
	for i := range 10 {
		render(i)
		if s.cache.size > 1000 || len(s.cache.byKey) != s.cache.order.Len() {
			t.Fatalf("%d bytes are kept", s.cache.size)
		}
	}
	f.server[1][9].Text = "new"
	f.sync(t, s)
	if r, err := s.Render(t.Context(), 1, nil, "t9", json.RawMessage("{}")); err != nil || r.Text != "new" {
		t.Errorf("%+v %v", r, err)
	}
}

// What is rendered from the mirror is what the engine gives for the same sources, whatever they are.
func TestRenderingIsTheEngines(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"{{x}}", "{{{x}}}", "{{#x}}a{{/x}}", "{{^y}}b{{/y}}", "{{#each l}}{{.}}{{/each}}", "é<&>", "\n", "{{a.b}}", "{ "})
	model := map[string]any{"x": "<X>", "l": []any{json.Number("1"), "two"}, "a": map[string]any{"b": true}}
	raw := json.RawMessage(`{"x":"<X>","l":[1,"two"],"a":{"b":true}}`)
	f, s := newShelf(t, 1)
	rapid.Check(t, func(rt *rapid.T) {
		body := strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(rt, "body"), "")
		before := strings.Join(rapid.SliceOf(piece).Draw(rt, "before"), "")
		after := strings.Join(rapid.SliceOf(piece).Draw(rt, "after"), "")
		f.server[1] = []provider.Template{{Alias: "f", Layout: true, HTML: before + "{{{ @content }}}" + after},
			{Alias: "t", Around: "f", HTML: body, Text: body}}
		f.sync(t, s)
		got, err := s.Render(t.Context(), 1, nil, "t", raw)
		if err != nil {
			rt.Fatal(err)
		}
		html, err := mustachio.Parse(before+body+after, mustachio.EscapeHTML())
		if err != nil {
			rt.Fatal(err)
		}
		want, err := html.Render(model)
		if err != nil || got.HTML != want {
			rt.Errorf("%q, want %q (%v)", got.HTML, want, err)
		}
		plain, err := mustachio.Parse(body)
		if err != nil {
			rt.Fatal(err)
		}
		if want, err = plain.Render(model); err != nil || got.Text != want {
			rt.Errorf("%q, want %q (%v)", got.Text, want, err)
		}
	})
}

func FuzzMirror(f *testing.F) {
	f.Add("<{{{ @content }}}>", "{{#each l}}{{.}}{{/each}}", `{"l":[1]}`)
	f.Add("{{#x}}{{{@content}}}{{/x}}", "{{{ pm:unsubscribe }}}", `{}`)
	f.Fuzz(func(t *testing.T, around, body, model string) {
		layout := provider.Template{Alias: "f", Layout: true, HTML: around, Text: around}
		list := mirror([]provider.Template{layout, {Alias: "t", Around: "f", Subject: body, HTML: body, Text: body}})
		p, err := compile(&list[1].Template, &layout)
		if (err == nil) != (list[1].Fault == "") || len(list[1].Fault) > provider.MaxText {
			t.Errorf("%v, but %q", err, list[1].Fault)
		}
		values, bad := mustachio.ParseModel([]byte(model))
		if err != nil || bad != nil {
			return
		}
		if r, err := p.render(values); err == nil && strings.ContainsAny(r.Subject, "\r\n\x00") {
			t.Errorf("subject %q", r.Subject)
		}
	})
}

// A template that cannot be read because the store is away has its messages wait for a moment, and not leave otherwise.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	f, s := newShelf(t, 1)
	f.server[1] = []provider.Template{text("known", "x")}
	f.sync(t, s)
	target := s.Directory.Current().AnyTPSP(2)
	job := &store.Job{AccountID: 1, Content: &mail.Content{Template: "known", HTML: "<p>body</p>"}, Plan: route.Plan{Egresses: []route.Egress{target.Egress()}}}
	f.away = true
	content, outcome := s.Outgoing(t.Context(), target, provider.Capabilities{}, job)
	if content != nil || outcome == nil || outcome.Class != provider.Transient || !outcome.Unsent || outcome.RetryAfter != time.Second {
		t.Errorf("%+v, %+v", content, outcome)
	}
	f.away = false
	if content, outcome = s.Outgoing(t.Context(), target, provider.Capabilities{}, job); outcome != nil || content.Text != "x" {
		t.Errorf("when it is back: %+v, %+v", content, outcome)
	}
}
