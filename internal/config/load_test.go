package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"postyard/internal/secret"
)

const testKey = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="

// load runs Load as a command would: file is the content of the configuration file, "" for none.
func load(t *testing.T, scope Scope, file string, environ, args []string) (Config, error) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.String("to", "", "a flag of the command's own")
	Flags(fs, scope)
	if file != "" {
		path := filepath.Join(t.TempDir(), "postyard.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append([]string{"POSTYARD_CONFIG=" + path}, environ...)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(fs, scope, environ)
}

// PM-sim 1: the sandbox listens on this machine only.
func TestDefaults(t *testing.T) {
	t.Parallel()
	server := Config{
		LogLevel: slog.LevelInfo, MaxBacklog: 5_000_000, RateLimit: 10_000, MinFreeDisk: 256 << 20, CallTimeout: time.Minute,
		AskAfter:      []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute},
		AmbiguousWait: 15 * time.Minute, MessageTTL: 72 * time.Hour, ProviderConcurrency: 8, BatchSize: 100,
		ShutdownGrace: 20 * time.Second, SuppressionInterval: 5 * time.Minute,
	}
	serve := server
	serve.Listen, serve.Data, serve.DNS = "127.0.0.1:8025", "./postyard-data", SystemDNS
	demo := server
	demo.Listen, demo.Data, demo.LogLevel = "127.0.0.1:8025", "./postyard-demo", slog.LevelWarn
	demo.SandboxListen, demo.AllowPrivate, demo.ShutdownGrace = "127.0.0.1:8026", true, 5*time.Second
	demo.SMTPListen, demo.MailHost = "127.0.0.1:0", "mail.postyard.example"
	demo.SuppressionInterval = 5 * time.Second
	demo.AskAfter = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}
	for scope, want := range map[Scope]Config{
		Serve:   serve,
		Demo:    demo,
		Sandbox: {Listen: "127.0.0.1:8026"},
		Bench:   {},
		Record:  {},
		Client:  {URL: "http://127.0.0.1:8025"},
	} {
		got, err := load(t, scope, "", nil, nil)
		if err != nil {
			t.Errorf("%s: %v", scope, err)
		}
		if diff := cmp.Diff(want, got, networksAsTheyAre); diff != "" {
			t.Errorf("%s (-want +got):\n%s", scope, diff)
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const file = "batch-size: 10\n"
	env, flag := []string{"POSTYARD_BATCH_SIZE=20"}, []string{"--batch-size=30"}
	for _, tc := range []struct {
		name      string
		file      string
		env, flag []string
		want      int
	}{
		{"default", "", nil, nil, 100},
		{"file over default", file, nil, nil, 10},
		{"environment over file", file, env, nil, 20},
		{"flag over environment", file, env, flag, 30},
		{"flag over file", file, nil, flag, 30},
		{"flag with the default's value", file, env, []string{"--batch-size", "100"}, 100},
		{"empty variable is not set", file, []string{"POSTYARD_BATCH_SIZE="}, nil, 10},
	} {
		got, err := load(t, Serve, tc.file, tc.env, tc.flag)
		if err != nil || got.BatchSize != tc.want {
			t.Errorf("%s: %d, %v; want %d", tc.name, got.BatchSize, err, tc.want)
		}
	}
}

// networksAsTheyAre has networks compared by their values.
var networksAsTheyAre = cmpopts.EquateComparable(netip.Prefix{})

// Every option can be set from every source that it has, to the same effect.
func TestSourcesAgree(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"listen": "[::1]:9000", "data": "/srv/yard", "log-level": "debug", "log-format": "json", "public-url": "https://mail.example.com/yard",
		"allow-private": "true", "secret-key": testKey, "max-backlog": "7000", "rate-limit": "7", "min-free-disk": "1.5GB", "shutdown-grace": "0s",
		"call-timeout": "45s", "suppression-interval": "7m", "ip": "203.0.113.7=smtp://user:word@smarthost.example.com:587,2001:db8::7=smtps://[::1]", "ask-after": "1s,1m", "ambiguous-wait": "20m", "message-ttl": "1h", "provider-concurrency": "3",
		"batch-size": "500", "sandbox-listen": "127.0.0.1:0", "sandbox-url": "http://127.0.0.1:9999", "no-traffic": "true",
		"url": "https://mail.example.com", "account-key": "AAAABBBBCCCCDDDDEEEE", "subaccount-key": "aaaabbbbccccddddeeee", "json": "true",
		"database": "postgres://yard:word@db.example.com/yard", "clock-offset": "2m", "dns": "127.0.0.1:5353", "mail-host": "post.example.com", "tracking-domains": "true", "trusted-proxies": "192.0.2.1,10.0.0.0/8",
		"seed": "42", "smtp-listen": "127.0.0.1:2525", "smtps-listen": "[::1]:4650", "record-token": "6a6a6a6a-0000-4000-8000-6a6a6a6a6a6a",
	}
	for _, o := range table() {
		if o.name == configOption {
			continue
		}
		text, ok := values[o.name]
		if !ok {
			t.Errorf("option %s has no value in this test", o.name)
		}
		for scope := range o.defaults {
			byDefault, err := load(t, scope, "", nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			byEnv, err := load(t, scope, "", []string{o.env() + "=" + text}, nil)
			if err != nil {
				t.Errorf("%s in %s by environment: %v", o.name, scope, err)
			}
			if diff := cmp.Diff(byDefault, byEnv, networksAsTheyAre); diff == "" {
				t.Errorf("%s in %s has no effect", o.name, scope)
			}
			if o.noFile {
				continue
			}
			byFile, err := load(t, scope, o.name+": "+fmt.Sprintf("%q", text)+"\n", nil, nil)
			if diff := cmp.Diff(byEnv, byFile, networksAsTheyAre); err != nil || diff != "" {
				t.Errorf("%s in %s by file: %v\n%s", o.name, scope, err, diff)
			}
			if o.noFlag {
				continue
			}
			byFlag, err := load(t, scope, "", nil, []string{"--" + o.name + "=" + text})
			if diff := cmp.Diff(byEnv, byFlag, networksAsTheyAre); err != nil || diff != "" {
				t.Errorf("%s in %s by flag: %v\n%s", o.name, scope, err, diff)
			}
		}
	}
}

func TestYAMLForms(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, Serve, `
# natural YAML types instead of strings
allow-private: true
batch-size: 0x20
max-backlog: 1_000_000
min-free-disk: 1048576
ask-after: [5s, 1m]
call-timeout: 30s
secret-key: `+testKey+`
public-url: https://mail.example.com///
# of other commands
url: http://127.0.0.1:1
no-traffic: true
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.AllowPrivate || cfg.BatchSize != 32 || cfg.MaxBacklog != 1_000_000 || cfg.MinFreeDisk != 1<<20 ||
		!reflect.DeepEqual(cfg.AskAfter, []time.Duration{5 * time.Second, time.Minute}) || cfg.CallTimeout != 30*time.Second ||
		!cfg.SecretKey.Equal(key) || cfg.PublicURL != "https://mail.example.com" {
		t.Errorf("got %+v", cfg)
	}
	if cfg.URL != "" || cfg.NoTraffic {
		t.Error("took options of other commands")
	}
}

// Off is what YAML 1.1 reads as false.
func TestDNS(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"": SystemDNS, "dns: system": SystemDNS, "dns: off": "", "dns: 'off'": "", "dns: 10.0.0.53:53": "10.0.0.53:53", "dns: '[::1]:5353'": "[::1]:5353",
		"dns: resolver.internal:53": "resolver.internal:53",
	} {
		cfg, err := load(t, Serve, file, nil, nil)
		if err != nil || cfg.DNS != want {
			t.Errorf("%q: DNS %q, %v; want %q", file, cfg.DNS, err, want)
		}
	}
	if cfg, err := load(t, Demo, "", nil, nil); err != nil || cfg.DNS != "" {
		t.Errorf("demo: DNS %q, %v; want none", cfg.DNS, err)
	}
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]netip.Prefix{
		"": nil, "trusted-proxies: ''": nil, "trusted-proxies: none": {}, "trusted-proxies: 192.0.2.1": {netip.MustParsePrefix("192.0.2.1/32")},
		"trusted-proxies: ['2001:db8::/32', 10.0.0.0/8]": {netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("10.0.0.0/8")},
		"trusted-proxies: 2001:db8::1, 10.0.0.0/8":       {netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("10.0.0.0/8")},
	} {
		if cfg, err := load(t, Serve, file, nil, nil); err != nil || !reflect.DeepEqual(cfg.TrustedProxies, want) {
			t.Errorf("%q: %#v, %v", file, cfg.TrustedProxies, err)
		}
	}
}

func TestMailHost(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"": "", "Mail.Example.com.": "mail.example.com", "a_b.example": "a_b.example"} {
		if cfg, err := load(t, Serve, "", []string{"POSTYARD_MAIL_HOST=" + given}, nil); err != nil || cfg.MailHost != want {
			t.Errorf("%q: %q, %v; want %q", given, cfg.MailHost, err, want)
		}
	}
	for _, bad := range []string{"localhost", "192.0.2.1", "::1", "a..example", "https://mail.example.com", "mail.example.com:25", "m\u00fcnchen.de",
		strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 130) + "com"} {
		if cfg, err := load(t, Serve, "", []string{"POSTYARD_MAIL_HOST=" + bad}, nil); err == nil || !strings.Contains(err.Error(), "must be a name in DNS") {
			t.Errorf("%q: %q, %v", bad, cfg.MailHost, err)
		}
	}
}

func TestFlagForms(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, Demo, "", nil, []string{"--json", "--no-traffic=false", "--listen", ":0", "--to", "a@example.com"})
	if err != nil || !cfg.JSON || cfg.NoTraffic || cfg.Listen != ":0" {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestConfigFlagGoesBeforeVariable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(path, []byte("batch-size: 11\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := load(t, Serve, "batch-size: 12\n", nil, []string{"--config", path})
	if err != nil || cfg.BatchSize != 11 {
		t.Errorf("batch-size %d, %v; want that of the flag's file", cfg.BatchSize, err)
	}
	cfg, err = load(t, Serve, "batch-size: 12\n", nil, []string{"--config="})
	if err != nil || cfg.BatchSize != 100 {
		t.Errorf("batch-size %d, %v; want the default: --config= means no file", cfg.BatchSize, err)
	}
}

func TestEnvironmentOfOthersIsPassedOver(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, Serve, "", []string{
		"POSTYARD_PORT=tcp://10.0.0.1:8025", "POSTYARD_SERVICE_HOST=10.0.0.1", "POSTYARD_ACCOUNT_KEY=x", "POSTYARD_=x", "BATCH_SIZE=7",
		"postyard_batch_size=8", "POSTYARD_BATCH_SIZE", "=C:=C:\\",
	}, nil)
	if err != nil || cfg.BatchSize != 100 || !cfg.AccountKey.IsZero() {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"\n", "# nothing\n", "{}\n", "---\n"} {
		if cfg, err := load(t, Serve, content, nil, nil); err != nil || cfg.BatchSize != 100 {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for bound, want := range map[string]string{
		"127.0.0.1:8025": "http://127.0.0.1:8025", "[::1]:80": "http://[::1]:80", "mail.internal:8025": "http://mail.internal:8025",
		":8025": "http://127.0.0.1:8025", "0.0.0.0:8025": "http://127.0.0.1:8025", "[::]:8025": "http://127.0.0.1:8025",
	} {
		if got := (Config{}).BaseURL(bound); got != want {
			t.Errorf("BaseURL(%q) = %q, want %q", bound, got, want)
		}
	}
	if got := (Config{PublicURL: "https://mail.example.com/x"}).BaseURL("127.0.0.1:1"); got != "https://mail.example.com/x" {
		t.Errorf("BaseURL = %q, want the public URL", got)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	if got, want := (Config{Data: "./d"}).KeyFile(), filepath.Join("d", "secret.key"); got != want {
		t.Errorf("KeyFile = %q, want %q", got, want)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	env := []string{"POSTYARD_SECRET_KEY=" + testKey, "POSTYARD_ACCOUNT_KEY=ACCOUNT-KEY-LEAK"}
	serve, err := load(t, Serve, "", env, nil)
	if err != nil || serve.SecretKey.IsZero() {
		t.Fatalf("secret-key: %v", err)
	}
	client, err := load(t, Client, "", env, nil)
	if err != nil || client.AccountKey.Reveal() != "ACCOUNT-KEY-LEAK" {
		t.Fatalf("account-key: %v", err)
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(fs, Client)
	if err := fs.Parse([]string{"--account-key", "ACCOUNT-KEY-LEAK"}); err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v", serve, serve, serve), fmt.Sprintf("%v %+v %#v", client, client, client),
		fs.Lookup("account-key").Value.String(), fs.FlagUsages(),
	} {
		if strings.Contains(shown, testKey) || strings.Contains(shown, "LEAK") {
			t.Errorf("shows a secret: %s", shown)
		}
	}
}

// The flag may be given several times, the file may have a list, and no help or error shows what is in them.
func TestIPs(t *testing.T) {
	t.Parallel()
	want := []IP{{Address: "203.0.113.7", Server: secret.NewString("smtp://u:word@one")}, {Address: "2001:db8::7", Server: secret.NewString("smtps://[::1]:465")}}
	for name, source := range map[string]struct {
		file      string
		env, args []string
	}{
		"flags":       {"", nil, []string{"--ip", "203.0.113.7=smtp://u:word@one", "--ip", "2001:DB8::7=smtps://[::1]:465"}},
		"one flag":    {"", nil, []string{"--ip", "203.0.113.7=smtp://u:word@one, 2001:db8::7=smtps://[::1]:465"}},
		"environment": {"", []string{"POSTYARD_IP=203.0.113.7=smtp://u:word@one,2001:db8::7=smtps://[::1]:465,"}, nil},
		"a list":      {"ip:\n  - 203.0.113.7=smtp://u:word@one\n  - 2001:db8::7=smtps://[::1]:465\n", nil, nil},
	} {
		cfg, err := load(t, Serve, source.file, source.env, source.args)
		if err != nil || !slices.EqualFunc(want, cfg.IPs, func(a, b IP) bool { return a.Address == b.Address && a.Server.Reveal() == b.Server.Reveal() }) {
			t.Errorf("%s: %+v, %v", name, cfg.IPs, err)
		}
		if shown := fmt.Sprintf("%+v", cfg.IPs); strings.Contains(shown, "word") {
			t.Errorf("%s: shown as %s", name, shown)
		}
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(fs, Serve)
	if err := fs.Parse([]string{"--ip", "203.0.113.7=smtp://u:word@one"}); err != nil || strings.Contains(fs.Lookup("ip").Value.String(), "word") {
		t.Errorf("%v, shown as %s", err, fs.Lookup("ip").Value)
	}
}
