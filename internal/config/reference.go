package config

import (
	"fmt"
	"strings"
)

const referenceIntro = `# Configuration

<!-- Printed by the program's own table of options. Do not edit: run go test ./internal/config -update -->

Every option can be set in three places; the first that has it counts:

1. a flag: ` + "`--batch-size 50`" + `
2. an environment variable: ` + "`POSTYARD_BATCH_SIZE=50`" + `; one that is set to nothing counts as not set
3. a key of the YAML file that ` + "`--config`" + ` or ` + "`POSTYARD_CONFIG`" + ` names: ` + "`batch-size: 50`" + `

What none of them has takes its default. One file and one environment may serve all commands: each takes its own options
and passes over the others'. A key that no command knows, a bad value, and values that do not fit each other stop the
start with a message that names the option, the place and the rule.

Durations have units (` + "`90s`, `15m`, `72h`" + `); lists are separated by commas, in the file they may be YAML lists; sizes are
bytes or have units (` + "`256MiB`, `1.5GB`" + `). Relative paths start at the directory in which the program was started. Secrets are
never logged or printed.
`

// Reference returns the reference of all options as a Markdown document.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceIntro)
	for _, section := range []struct {
		scope Scope
		title string
	}{
		{Serve, "`postyard serve`"},
		{Sandbox, "`postyard sandbox`"},
		{Demo, "`postyard demo`"},
		{Bench, "`postyard bench`"},
		{Record, "`postyard record`"},
		{Client, "`postyard send`, `events`, `message`, `catch-up`, `templates`, `verify`, `doctor`"},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n", section.title)
		b.WriteString("| flag | environment | file | type | default | meaning |\n|---|---|---|---|---|---|\n")
		for _, o := range table() {
			if def, ok := o.defaults[section.scope]; ok {
				writeRow(&b, o, def)
			}
		}
		writeFixed(&b, section.scope)
	}
	return b.String()
}

func writeRow(b *strings.Builder, o option, def string) {
	flag, key := code(o.flag()), code(o.name)
	if o.noFlag {
		flag = "–"
	}
	if o.noFile {
		key = "–"
	}
	typ := o.value.typ
	if o.value.limit != "" {
		typ += ": " + o.value.limit
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", flag, code(o.env()), key, cell(typ), code(def), cell(o.doc))
}

// writeFixed names the options of the server that a scope sets by itself, where they differ from the server's default.
func writeFixed(b *strings.Builder, scope Scope) {
	var list []string
	for _, o := range table() {
		if fixed, ok := o.fixed[scope]; ok && fixed != o.defaults[Serve] {
			list = append(list, code(o.name+": "+fixed))
		}
	}
	if len(list) > 0 {
		fmt.Fprintf(b, "\nThe server in it runs with the defaults of `serve`, but %s.\n", strings.Join(list, ", "))
	}
}

func code(s string) string {
	if s == "" {
		return "*empty*"
	}
	return "`" + cell(s) + "`"
}

// cell keeps text inside its cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
