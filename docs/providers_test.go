package docs

import (
	"fmt"
	"strings"
	"testing"

	"postyard/internal/app"
	"postyard/internal/event"
	"postyard/internal/provider"
)

// TestProviderPage writes what the adapters say of their providers.
func TestProviderPage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# Providers

Written from the adapters; ` + "`go test ./docs -update`" + ` writes it anew. A provider is connected with ` + "`POST /api/v1/account/tpsp/`" + `
([API](api.md)); the fields below are those of its body, beside a name and the type. Each kind has passed the same conformance suite.
How another kind is added is in [adding-a-provider.md](adding-a-provider.md). SendPost's type ids without a provider here are reserved.

| provider | type | name in URLs and filters |
|---|---|---|
`)
	adapters := app.Adapters()
	for _, a := range adapters {
		p := a.Profile()
		fmt.Fprintf(&b, "| [%s](#%s) | %d | `%s` |\n", p.Title, anchor(p.Title), p.Type, p.Name)
	}
	for _, a := range adapters {
		writeProvider(&b, a)
	}
	fresh(t, "providers.md", b.String())
}

// anchor is where a heading is.
func anchor(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") }

func writeProvider(b *strings.Builder, a provider.Adapter) {
	p, c := a.Profile(), a.Capabilities()
	fmt.Fprintf(b, "\n## %s\n\n| it can | |\n|---|---|\n", p.Title)
	for _, row := range abilities(a) {
		fmt.Fprintf(b, "| %s | %s |\n", row[0], row[1])
	}
	b.WriteString("\n| field | holds | |\n|---|---|---|\n")
	for _, f := range p.Fields {
		need := ""
		if f.Required {
			need = "required"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name, f.Holds, need)
	}
	b.WriteString("\n| limit of | is |\n|---|---|\n")
	for _, l := range p.Limits {
		fmt.Fprintf(b, "| %s | %s |\n", l.Of, l.Most)
	}
	if len(p.Events) > 0 {
		fmt.Fprintf(b, "\n| %s's word | becomes | |\n|---|---|---|\n", p.Title)
	}
	for _, w := range p.Events {
		becomes := "no event"
		if !w.None {
			typ, _ := event.TypeOf(c.Family, w.Kind)
			info, _ := event.Describe(typ)
			becomes = fmt.Sprintf("%d %s", typ, info.Name)
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", w.Word, becomes, w.Note)
	}
	for _, list := range []struct {
		head  string
		texts []string
	}{{"Not exactly as asked for", p.Approximations}, {"Not possible", p.Impossible}} {
		if len(list.texts) > 0 {
			fmt.Fprintf(b, "\n%s:\n\n- %s.\n", list.head, strings.Join(list.texts, ";\n- "))
		}
	}
}

// abilities are the adapter's capabilities in words.
func abilities(a provider.Adapter) [][2]string {
	c := a.Capabilities()
	say := func(able bool) string {
		if able {
			return "yes"
		}
		return "no"
	}
	perHour := "none"
	if c.PerHour > 0 {
		perHour = fmt.Sprintf("%d messages an hour", c.PerHour)
	}
	_, suppressor := a.(provider.Suppressor)
	return [][2]string{
		{"take several messages in one call", upTo(c.BatchSize)},
		{"limit of a new connection, unless one is given", perHour},
		{"report events", say(!c.Silent)},
		{"tell of opens and clicks by itself", say(c.Tracks)},
		{"be asked whether it has a message", say(c.CanLookup)},
		{"be read back, when events were missed", say(c.Recalls)},
		{"render templates that it holds", say(c.Templates)},
		{"take messages without a template", map[bool]string{false: "yes", true: "where `allowRaw` is set"}[c.Reluctant]},
		{"have its suppression list kept in step", say(suppressor)},
		{"use an IP pool of its own that a message names (`tpspIppool`)", say(c.Pools)},
	}
}

func upTo(n int) string {
	if n == 1 {
		return "no"
	}
	return fmt.Sprintf("up to %d", n)
}
