package plan_test

import (
	"strings"
	"testing"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/plan"
	"postyard/internal/provider"
	"postyard/internal/route"
)

// mirror knows one template.
type mirror string

func (m mirror) Carried(_ *directory.TPSP, capable provider.Capabilities, c *mail.Content) (*mail.Content, *mail.FieldError) {
	if c.Template != "" && c.Template != string(m) && !capable.Templates {
		return nil, mail.Invalid("unknown_tpsp_template", "tpspTemplate", "not known")
	}
	return c, nil
}

func (m mirror) Usable(int32) string { return string(m) }

// An egress without templates carries what the mirror knows, and warnings are about a template that is known.
func TestMirroredTemplates(t *testing.T) {
	t.Parallel()
	view := world(t, nil, route.Pool{Strategy: route.RoundRobin, Members: []route.Egress{1, 4}})
	pool := view.Pools(7)[0]
	p := planner()
	p.Templates = mirror("known")
	for alias, want := range map[string]int{"known": 2, "unknown": 1} {
		course := p.Course(view, pool, content(alias))
		prepared, bad := course.To(mailbox.Default)
		if bad != nil {
			t.Fatal(bad)
		}
		made := course.Plan(prepared, 0)
		if len(made.Egresses) != want || len(made.Skipped) != 2-want {
			t.Errorf("%s: %+v", alias, made)
		}
	}
	for _, tc := range []struct {
		known mirror
		want  bool
	}{{"known", false}, {"", true}} {
		p.Templates = tc.known
		warned := false
		for _, w := range p.Warnings(view, pool) {
			warned = warned || w.Code == plan.CannotCarry && strings.Contains(w.Message, "with a tpspTemplate")
		}
		if warned != tc.want {
			t.Errorf("%q: warned %t", tc.known, warned)
		}
	}
}
