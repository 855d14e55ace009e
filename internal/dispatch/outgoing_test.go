package dispatch

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// press renders a text for every message that names a template.
type press struct {
	text    string
	calls   int
	missing []string
}

func (p *press) Outgoing(_ context.Context, _ *directory.TPSP, _ provider.Capabilities, j *store.Job) (*mail.Content, *provider.Outcome) {
	if j.Content.Template == "" {
		return j.Content, nil
	}
	p.calls++
	return &mail.Content{HTML: p.text}, nil
}

func (p *press) Missing(_ *directory.TPSP, alias string) { p.missing = append(p.missing, alias) }

// What a call renders is bounded; what has no room in it goes back to the queue at once, and does not count as a failure.
func TestRenderedTextIsBounded(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	p := &press{text: strings.Repeat("x", size)}
	r := runnerAt(func() time.Time { return clock })
	r.d.Templates, r.d.Providers = p, provider.Registry{provider.Postmark: postmark{}}
	jobs := make([]store.Job, 100)
	for i, out := range outgoing(len(jobs)) {
		jobs[i].ID, jobs[i].Content = out.ID, &mail.Content{Template: "t"}
	}
	outcomes := make([]provider.Outcome, len(jobs))
	list, places := r.outgoing(t.Context(), &directory.TPSP{Type: provider.Postmark}, jobs, outcomes)
	if len(list) != 4 || !slices.Equal(places, []int{0, 1, 2, 3}) || p.calls != 4 {
		t.Errorf("%d messages of %d bytes in a call, at %v; %d were rendered", len(list), size, places, p.calls)
	}
	for i, o := range outcomes[4:] {
		s := decide(&jobs[i], &o, capable, modelRules, clock, 0.5, func(route.Egress) bool { return true })
		if o.Class != provider.Transient || !o.Unsent || s.Failed || !s.DueAt.IsZero() {
			t.Fatalf("outcome %d: %+v, then %+v", i, o, s)
		}
	}
	// What is as it came is in memory already.
	for i := range jobs {
		jobs[i].Content = &mail.Content{HTML: p.text}
	}
	if list, _ := r.outgoing(t.Context(), &directory.TPSP{Type: provider.Postmark}, jobs, outcomes); len(list) != len(jobs) {
		t.Errorf("%d messages without a template", len(list))
	}
}

// A provider that refuses a message lacks a template only when the message names one.
func TestMissingTemplates(t *testing.T) {
	t.Parallel()
	p := &press{}
	r := runnerAt(func() time.Time { return clock })
	r.d.Connections, r.d.Templates = connections{}, p
	r.d.Providers = provider.Registry{provider.Postmark: postmark{sender: sender{send: func(_ context.Context, batch []provider.Outgoing) []provider.Outcome {
		return same(len(batch), provider.Outcome{Class: provider.Rejected, Elsewhere: true})
	}}}}
	jobs := make([]store.Job, 2)
	for i, out := range outgoing(2) {
		jobs[i].ID, jobs[i].Content = out.ID, &mail.Content{Text: "x"}
	}
	send := func() {
		r.send(t.Context(), &directory.TPSP{Type: provider.Postmark}, jobs, &flight{until: clock.Add(modelTimeout), now: r.d.Now, line: &r.line})
	}
	if send(); len(p.missing) != 0 {
		t.Errorf("%q is asked for", p.missing)
	}
	r.d.Templates = &named{p}
	jobs[1].Content.Template = "welcome"
	if send(); !slices.Equal(p.missing, []string{"welcome"}) {
		t.Errorf("%q is asked for", p.missing)
	}
}

// named leaves contents as they are.
type named struct{ *press }

func (*named) Outgoing(_ context.Context, _ *directory.TPSP, _ provider.Capabilities, j *store.Job) (*mail.Content, *provider.Outcome) {
	return j.Content, nil
}
