package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestBadValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ option, text, rule string }{
		{"batch-size", "0", "from 1 to 500"},
		{"batch-size", "501", "from 1 to 500"},
		{"batch-size", "ten", "from 1 to 500"},
		{"batch-size", "1e2", "from 1 to 500"},
		{"max-backlog", "-1", "from 1 to 1000000000"},
		{"max-backlog", "99999999999999999999", "from 1 to 1000000000"},
		{"provider-concurrency", "0", "from 1 to 256"},
		{"allow-private", "yes", "true or false"},
		{"log-level", "trace", "debug, info, warn, error"},
		{"log-format", "xml", "text, json"},
		{"min-free-disk", "lots", "256MiB"},
		{"min-free-disk", "-1", "256MiB"},
		{"min-free-disk", "9EiB", "256MiB"},
		{"call-timeout", "60", "duration with its unit"},
		{"call-timeout", "999ms", "1s to 10m"},
		{"call-timeout", "11m", "1s to 10m"},
		{"message-ttl", "721h", "1m to 720h"},
		{"shutdown-grace", "-1s", "0s to 10m"},
		{"ask-after", "10s,5s", "ascending"},
		{"ask-after", "10s,10s", "ascending"},
		{"ask-after", "10s,,20s", "duration with its unit"},
		{"ask-after", "0s", "1s to 24h"},
		{"trusted-proxies", "nginx", "addresses or networks"},
		{"trusted-proxies", "192.0.2.1,", "addresses or networks"},
		{"trusted-proxies", "none,192.0.2.1", "addresses or networks"},
		{"trusted-proxies", "192.0.2.1/24", "addresses or networks"}, // is it the address or the network?
		{"trusted-proxies", "fe80::1%eth0", "addresses or networks"},
		{"trusted-proxies", "::ffff:192.0.2.1", "addresses or networks"},
		{"listen", "8025", "host:port"},
		{"listen", "127.0.0.1", "host:port"},
		{"listen", "127.0.0.1:http", "port number"},
		{"listen", "127.0.0.1:65536", "port number"},
		{"listen", "http://127.0.0.1:8025", "host:port"},
		{"dns", "on", "system, off, or host:port"},
		{"dns", "127.0.0.1", "system, off, or host:port"},
		{"dns", ":53", "system, off, or host:port"},
		{"dns", "udp://127.0.0.1:53", "system, off, or host:port"},
		{"dns", "127.0.0.1:0", "port number from 1"},
		{"dns", "127.0.0.1:domain", "port number from 1"},
		{"public-url", "mail.example.com", "http:// or https://"},
		{"public-url", "/yard", "http:// or https://"},
		{"public-url", "ftp://mail.example.com", "http:// or https://"},
		{"public-url", "https://", "http:// or https://"},
		{"public-url", "https://mail.example.com/?a=1", "query"},
		{"public-url", "https://mail.example.com/?", "query"},
		{"public-url", "https://mail.example.com/#x", "fragment"},
		{"public-url", "https://me:pw-leak@mail.example.com", "user name"},
		{"public-url", "https://me:pw-leak@mail example.com", "http:// or https://"},
		{"public-url", "https://mail.example.com:0", "port number"},
		{"public-url", "https://mail.example.com:", "port number"},
		{"secret-key", "key-leak", "32 bytes"},
		{"ip", "203.0.113.7", "URL for 203.0.113.7"},
		{"ip", "smarthost=smtp://u:pw-leak@host", "ADDRESS=URL"},
		{"ip", "0.0.0.0=smtp://u:pw-leak@host", "ADDRESS=URL"},
		{"ip", "203.0.113.7=https://u:pw-leak@host", "smtp://, smtp+starttls:// or smtps://"},
		{"ip", "203.0.113.7=smtp://u:pw-leak@", "names a host"},
		{"ip", "203.0.113.7=smtp://u:pw-leak%zz@host", "%2C for a comma"},
		{"ip", "203.0.113.7=smtp://one,::ffff:203.0.113.7=smtp://u:pw-leak@two", "203.0.113.7 once only"},
	} {
		t.Run(tc.option+"="+tc.text, func(t *testing.T) {
			t.Parallel()
			name := option{name: tc.option}.env()
			_, err := load(t, Serve, "", []string{name + "=" + tc.text}, nil)
			e := wantError(t, err, tc.option, "environment variable "+name, tc.rule)
			if hidden := tc.option == "public-url" || tc.option == "secret-key" || tc.option == "ip"; hidden != (e.Value == "") {
				t.Errorf("the error's value is %q", e.Value)
			}
			if strings.Contains(err.Error(), "leak") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// wantError fails unless err is exactly one *Error with that option, source and rule.
func wantError(t *testing.T, err error, option, source, rule string) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || strings.Count(err.Error(), "\n") != 0 {
		t.Fatalf("err = %v, want one *Error", err)
	}
	if e.Option != option || !strings.HasPrefix(string(e.Source), source) || !strings.Contains(e.Rule, rule) {
		t.Fatalf("option %q, source %q, rule %q; want %q, %q, %q", e.Option, e.Source, e.Rule, option, source, rule)
	}
	for _, part := range []string{option, source, rule} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the text %q does not name %q", err, part)
		}
	}
	return e
}

func TestErrorNamesTheSourceThatCounts(t *testing.T) {
	t.Parallel()
	const file = "batch-size: 0\n"
	env := []string{"POSTYARD_BATCH_SIZE=0"}
	for _, tc := range []struct {
		env, args []string
		source    string
	}{
		{nil, nil, "file /"},
		{env, nil, "environment variable POSTYARD_BATCH_SIZE"},
		{env, []string{"--batch-size", "0"}, "flag --batch-size"},
	} {
		_, err := load(t, Serve, file, tc.env, tc.args)
		_ = wantError(t, err, "batch-size", tc.source, "from 1 to 500")
	}
	if _, err := load(t, Serve, file, env, []string{"--batch-size", "1"}); err != nil {
		t.Errorf("a bad value that does not count: %v", err)
	}
	_, err := load(t, Serve, "", nil, []string{"--data="})
	_ = wantError(t, err, "data", "flag --data", "must name a directory")
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ content, option, rule string }{
		{"batchsize: 5\n", "batchsize", "no option that a file can set"},
		{"BATCH-SIZE: 5\n", "BATCH-SIZE", "no option that a file can set"},
		{"config: other.yaml\n", "config", "no option that a file can set"},
		{"listen:\n  host: x\n", "listen.host", "no option that a file can set"},
		{"1: x\n", "1", "no option that a file can set"},
		{"listen: {}\n", "listen", "plain value"},
		{"listen:\n", "listen", "has no value"},
		{"listen: [a, b]\n", "listen", "not a list"},
		{"ask-after: [[1s], 2s]\n", "ask-after", "item 1 of the list"},
		{"ask-after: []\n", "ask-after", "duration"},
		{"ask-after: 10\n", "ask-after", "duration with its unit"},
		{"batch-size: 1.5\n", "batch-size", "whole number"},
		{"data: 2026-11-22\n", "data", "plain value"},
		{"batch-size: 1\nbatch-size: 2\n", "config", "already defined"},
		{"listen: [\n", "config", "valid YAML"},
		{testKey + "\n", "config", "YAML mapping"},
		{"- a\n- b\n", "config", "YAML mapping"},
		{"#" + strings.Repeat("x", maxFile) + "\n", "config", "at most 1048576 bytes"},
	} {
		_, err := load(t, Serve, tc.content, nil, nil)
		_ = wantError(t, err, tc.option, "file /", tc.rule)
		if strings.Contains(err.Error(), testKey[:6]) {
			t.Errorf("the error quotes the file: %v", err)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	_, err := load(t, Serve, "", nil, []string{"--config", missing})
	_ = wantError(t, err, "config", "file "+missing, "cannot be read")
	_, err = load(t, Serve, "", nil, []string{"--config", t.TempDir()})
	_ = wantError(t, err, "config", "file /", "is a directory")
}

func TestBadCombinations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		scope        Scope
		args         string
		option, rule string
	}{
		{Serve, "--ambiguous-wait=5m", "ambiguous-wait", "longer than the last of ask-after (5m)"},
		{Serve, "--message-ttl=15m", "message-ttl", "longer than ambiguous-wait (15m)"},
		{Serve, "--batch-size=100 --max-backlog=99", "batch-size", "at most max-backlog (99, flag --max-backlog)"},
		{Demo, "--sandbox-listen=127.0.0.1:8025", "sandbox-listen", "address of listen"},
		{Demo, "--sandbox-listen=127.0.0.1:7000 --listen=:7000", "sandbox-listen", "address of listen"},
		{Demo, "--sandbox-listen=[::]:8025", "sandbox-listen", "address of listen"},
	} {
		_, err := load(t, tc.scope, "", nil, strings.Fields(tc.args))
		_ = wantError(t, err, tc.option, "flag --"+tc.option, tc.rule)
	}
	for _, args := range []string{
		"--listen=127.0.0.1:0 --sandbox-listen=127.0.0.1:0", "--listen=127.0.0.1:8026 --sandbox-url=http://127.0.0.1:8026",
		"--listen=127.0.0.2:8026",
	} {
		if _, err := load(t, Demo, "", nil, strings.Fields(args)); err != nil {
			t.Errorf("demo %s: %v", args, err)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, Serve, "colour: red\nlisten: nowhere\n", []string{"POSTYARD_CALL_TIMEOUT=soon"}, []string{"--batch-size=0"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"colour", "listen", "call-timeout", "batch-size"} {
		if !strings.Contains(err.Error(), "option "+name+" (") {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	_, err := load(t, Serve, "", []string{"POSTYARD_BATCH_SIZE=" + strings.Repeat("9", 10_000)}, nil)
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("err = %v", err)
	}
}

// FuzzLoadFile feeds files: whatever they hold, Load returns a valid configuration or an error, and shows no secret.
func FuzzLoadFile(f *testing.F) {
	f.Add("listen: 127.0.0.1:1\nask-after: [1s, 2s]\n")
	f.Add("a: &a [*a]\n")
	f.Add("? {x: y}\n: z\n")
	f.Add("min-free-disk: 1e400\nmax-backlog: .inf\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		file, err := os.CreateTemp(dir, "*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteString(content)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		fs := pflag.NewFlagSet("fuzz", pflag.ContinueOnError)
		Flags(fs, Serve)
		cfg, err := Load(fs, Serve, []string{"POSTYARD_CONFIG=" + file.Name()})
		if rmErr := os.Remove(file.Name()); rmErr != nil {
			t.Fatal(rmErr)
		}
		if err == nil && (cfg.BatchSize < 1 || cfg.BatchSize > 500 || len(cfg.AskAfter) == 0 || cfg.Listen == "" || cfg.Data == "" ||
			cfg.MinFreeDisk < 0 || strings.HasSuffix(cfg.PublicURL, "/")) {
			t.Fatalf("accepted %q as %+v", content, cfg)
		}
	})
}
