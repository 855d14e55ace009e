package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const referenceFile = "../../docs/configuration.md"

// The document in docs is what the table prints.
func TestReferenceFile(t *testing.T) {
	t.Parallel()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Reference() {
		t.Errorf("%s is stale: run go test ./internal/config -update", referenceFile)
	}
}

func TestReferenceHasEveryOptionOfEveryScope(t *testing.T) {
	t.Parallel()
	sections := strings.Split(Reference(), "\n## ")[1:]
	if len(sections) != 6 {
		t.Fatalf("%d sections, want 6", len(sections))
	}
	for i, scope := range []Scope{Serve, Sandbox, Demo, Bench, Record, Client} {
		for _, o := range table() {
			_, want := o.defaults[scope]
			if got := strings.Contains(sections[i], "| `"+o.env()+"` |"); got != want {
				t.Errorf("%s in the section of %s: %v, want %v", o.name, scope, got, want)
			}
		}
		for line := range strings.Lines(sections[i]) {
			if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 7 {
				t.Errorf("a row without six cells: %s", line)
			}
		}
	}
}

func TestTableIsConsistent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range table() {
		if seen[o.name] {
			t.Errorf("%s stands twice in the table", o.name)
		}
		seen[o.name] = true
		if o.doc == "" || !strings.HasSuffix(o.doc, ".") || strings.Contains(o.doc, "`") {
			t.Errorf("%s: the doc %q is not a sentence without back quotes", o.name, o.doc)
		}
		if o.value.typ == "" || o.value.set == nil && o.name != configOption {
			t.Errorf("%s has no type", o.name)
		}
		for scope := range o.fixed {
			if _, both := o.defaults[scope]; both {
				t.Errorf("%s is fixed and settable in %s", o.name, scope)
			}
		}
	}
}

func TestFlagsOfAScope(t *testing.T) {
	t.Parallel()
	for scope, names := range map[Scope]string{
		Sandbox: "config data listen log-format log-level seed smtp-listen smtps-listen",
		Demo:    "config data database dns json listen log-format log-level mail-host no-traffic rate-limit sandbox-listen sandbox-url smtp-listen",
		Bench:   "config database json",
		Record:  "",
		Client:  "account-key config json subaccount-key url",
		Serve: "allow-private ambiguous-wait ask-after batch-size call-timeout clock-offset config data database dns ip listen log-format log-level mail-host max-backlog " +
			"message-ttl min-free-disk provider-concurrency public-url rate-limit shutdown-grace suppression-interval tracking-domains trusted-proxies",
	} {
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		Flags(fs, scope)
		var got []string
		fs.VisitAll(func(f *pflag.Flag) { got = append(got, f.Name) })
		if strings.Join(got, " ") != names {
			t.Errorf("%s has the flags %v, want %s", scope, got, names)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(fs, Serve)
	help := strings.Join(strings.Fields(fs.FlagUsages()), " ")
	for _, want := range []string{
		"--batch-size integer Messages in one call", "(default 100)", "--call-timeout duration", "(default 60s)",
		"--allow-private Accept provider endpoints", "--listen host:port", "(default 127.0.0.1:8025)",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %q:\n%s", want, fs.FlagUsages())
		}
	}
}
