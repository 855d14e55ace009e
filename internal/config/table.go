package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postyard/internal/secret"
)

// option is one row of the table.
type option struct {
	name  string
	doc   string // a sentence or two for people; no back quotes, which pflag takes for the name of the value
	value value

	// defaults has the scopes in which the option can be set, and its default there, in the form in which one would
	// write it. fixed has the scopes that cannot set it but need its value.
	defaults map[Scope]string
	fixed    map[Scope]string

	noFlag bool // only by environment and file
	noFile bool // only by flag and environment
}

// in gives one default to several scopes.
func in(def string, scopes ...Scope) map[Scope]string {
	m := make(map[Scope]string, len(scopes))
	for _, s := range scopes {
		m[s] = def
	}
	return m
}

func (o option) flag() string { return "--" + o.name }

func (o option) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// envPrefix starts the name of every environment variable that is read.
const envPrefix = "POSTYARD_"

// table returns all options in the order of the reference.
func table() []option {
	return slices.Concat([]option{{
		name:     configOption,
		doc:      "The YAML file to read options from. Without it no file is read.",
		value:    value{typ: "path"},
		defaults: in("", Serve, Sandbox, Demo, Bench, Client),
		noFile:   true,
	}}, processOptions(), serverOptions(), sendingOptions(), demoOptions(), recordOptions(), clientOptions())
}

// configOption names the file; it is read before the other options.
const configOption = "config"

func processOptions() []option {
	return []option{{
		name:  "listen",
		doc:   "Address and port to listen at. Port 0 takes a free one; an empty host means all addresses.",
		value: hostPort(func(c *Config) *string { return &c.Listen }),
		defaults: map[Scope]string{
			Serve: "127.0.0.1:8025", Sandbox: "127.0.0.1:8026", Demo: "127.0.0.1:8025",
		},
	}, {
		name: "data",
		doc:  "Directory of the data; created when missing. For the sandbox, empty means that mail is kept in memory.",
		value: field("path", "", func(c *Config) *string { return &c.Data }, func(s string) (string, error) {
			return s, nil
		}),
		defaults: map[Scope]string{Serve: "./postyard-data", Sandbox: "", Demo: "./postyard-demo"},
	}, {
		name: "log-level",
		doc:  "The least important lines to log.",
		value: choice(func(c *Config) *slog.Level { return &c.LogLevel }, []named[slog.Level]{
			{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError},
		}),
		defaults: map[Scope]string{Serve: "info", Sandbox: "info", Demo: "warn"},
	}, {
		name:     "log-format",
		doc:      "Form of the log lines on standard error.",
		value:    choice(func(c *Config) *bool { return &c.LogJSON }, []named[bool]{{"text", false}, {"json", true}}),
		defaults: in("text", Serve, Sandbox, Demo),
	}}
}

func serverOptions() []option {
	return []option{{
		name:     "database",
		doc:      "URL of a PostgreSQL database (postgres://user:password@host/name); any number of servers may share it. Empty means SQLite in the data directory. bench needs an empty one for each run. Better given by environment when it holds a password: other users of the machine can read a command line.",
		value:    databaseURL(func(c *Config) *secret.String { return &c.Database }),
		defaults: in("", Serve, Demo, Bench),
	}, {
		name:     "clock-offset",
		doc:      "By how much this machine's clock is to be off, to rehearse what a wrong clock does. Without effect where there is no database: there this machine's clock is the only one.",
		value:    duration(func(c *Config) *time.Duration { return &c.ClockOffset }, -24*time.Hour, 24*time.Hour),
		defaults: in("0s", Serve),
		fixed:    in("0s", Demo),
	}, {
		name:     "public-url",
		doc:      "URL under which providers and people reach the server; webhooks are registered below it. Empty means http:// and the listen address.",
		value:    baseURL(func(c *Config) *string { return &c.PublicURL }, true),
		defaults: in("", Serve),
		fixed:    in("", Demo),
	}, {
		name: "trusted-proxies",
		doc: "Reverse proxies that are believed about where requests come from (X-Forwarded-For, which they have to set themselves), as addresses or " +
			"networks, such as 172.16.0.0/12, or none. It is for the audit log, the list of sessions, and the limits of wrong passwords and keys. Empty " +
			"means those on this machine, if public-url leads to another one.",
		value:    networks(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }),
		defaults: in("", Serve),
		fixed:    in("", Demo),
	}, {
		name:     "allow-private",
		doc:      "Accept provider endpoints and webhooks on this machine and in private networks, and plain http.",
		value:    boolean(func(c *Config) *bool { return &c.AllowPrivate }),
		defaults: in("false", Serve),
		fixed:    in("true", Demo),
	}, {
		name:     "secret-key",
		doc:      "Key that encrypts credentials at rest. Empty means the file secret.key in the data directory, created on the first start. There is no flag, because other users of the machine can read a command line.",
		value:    secretKey(func(c *Config) *secret.Key { return &c.SecretKey }),
		defaults: in("", Serve),
		fixed:    in("", Demo),
		noFlag:   true,
	}, {
		name:     "max-backlog",
		doc:      "Messages waiting to be sent from which on new ones are refused with status 503.",
		value:    integer(func(c *Config) *int { return &c.MaxBacklog }, 1, 1_000_000_000),
		defaults: in("5000000", Serve),
		fixed:    in("5000000", Demo),
	}, {
		name:     "min-free-disk",
		doc:      "Free disk space under the data directory below which new messages are refused with status 503. 0 switches the check off.",
		value:    size(func(c *Config) *int64 { return &c.MinFreeDisk }),
		defaults: in("256MiB", Serve),
		fixed:    in("256MiB", Demo),
	}, {
		name: "rate-limit",
		doc: "Requests that are taken with one API key in a second, and at once; further ones are refused with status 429. Each server counts " +
			"for itself. 0 is no limit.",
		value:    integer(func(c *Config) *int { return &c.RateLimit }, 0, 1_000_000),
		defaults: in("10000", Serve, Demo),
	}, {
		name: "dns",
		doc: "Which DNS server to ask who hosts a recipient's domain (MX records), to tell its mailbox provider, and whether a sender's domain has " +
			"its records: those of the system, one by its address, or off. Mail does not wait for the answers. With off, only the name of a " +
			"recipient's domain tells, and no sender's domain is verified.",
		value:    dnsServer(func(c *Config) *string { return &c.DNS }),
		defaults: map[Scope]string{Serve: SystemDNS, Demo: "off"},
	}, {
		name: "mail-host",
		doc: "The server's name in DNS, which the records of senders' domains point to (CNAME of SPF, return path and tracking). Empty means the host " +
			"of public-url, if that is a name.",
		value:    hostName(func(c *Config) *string { return &c.MailHost }),
		defaults: map[Scope]string{Serve: "", Demo: "mail.postyard.example"},
	}, {
		name: "tracking-domains",
		doc: "Links in mail stand at the senders' own tracking domains (track.<domain>), once these lead to the server, also when public-url is https: " +
			"whatever ends TLS in front of the server has to have certificates for them. With http they do so in any case.",
		value:    boolean(func(c *Config) *bool { return &c.TrackingDomains }),
		defaults: in("false", Serve),
		fixed:    in("false", Demo),
	}, {
		name:     "shutdown-grace",
		doc:      "How long a stop waits for calls that are on the wire. What is cut off then is asked for after the next start.",
		value:    duration(func(c *Config) *time.Duration { return &c.ShutdownGrace }, 0, 10*time.Minute),
		defaults: in("20s", Serve),
		fixed:    in("5s", Demo),
	}}
}

func sendingOptions() []option {
	return []option{{
		name:     "call-timeout",
		doc:      "Deadline of one call to a provider, from connecting to the last byte of the answer.",
		value:    duration(func(c *Config) *time.Duration { return &c.CallTimeout }, time.Second, 10*time.Minute),
		defaults: in("60s", Serve),
		fixed:    in("60s", Demo),
	}, {
		name:     "ask-after",
		doc:      "When to ask a provider about a message whose sending had an unknown outcome, counted from then.",
		value:    durations(func(c *Config) *[]time.Duration { return &c.AskAfter }, time.Second, 24*time.Hour),
		defaults: in("10s,30s,2m,5m", Serve),
		fixed:    in("1s,2s,3s,4s", Demo),
	}, {
		name:     "ambiguous-wait",
		doc:      "After this time without an answer the provider's policy decides about a message with unknown outcome. Longer than the last of ask-after.",
		value:    duration(func(c *Config) *time.Duration { return &c.AmbiguousWait }, time.Second, 24*time.Hour),
		defaults: in("15m", Serve),
		fixed:    in("15m", Demo),
	}, {
		name:     "message-ttl",
		doc:      "A message that could not be sent for this long is dropped. Longer than ambiguous-wait.",
		value:    duration(func(c *Config) *time.Duration { return &c.MessageTTL }, time.Minute, 30*24*time.Hour),
		defaults: in("72h", Serve),
		fixed:    in("72h", Demo),
	}, {
		name:     "provider-concurrency",
		doc:      "Calls in parallel to one provider.",
		value:    integer(func(c *Config) *int { return &c.ProviderConcurrency }, 1, 256),
		defaults: in("8", Serve),
		fixed:    in("8", Demo),
	}, {
		name:     "batch-size",
		doc:      "Messages in one call to a provider that takes several. At most max-backlog.",
		value:    integer(func(c *Config) *int { return &c.BatchSize }, 1, 500),
		defaults: in("100", Serve),
		fixed:    in("100", Demo),
	}, {
		name: "ip",
		doc: "The operator's own IPs: a public address and the URL of the mail server that sends from it, as ADDRESS=smtp://USER:PASSWORD@HOST:PORT. " +
			"The schemes are smtp (STARTTLS where it is offered), smtp+starttls and smtps; ?hello=NAME is what the server calls itself. Can be given several " +
			"times. Better given by file or environment when it holds a password: other users of the machine can read a command line.",
		value:    ips(func(c *Config) *[]IP { return &c.IPs }),
		defaults: in("", Serve),
		fixed:    in("", Demo),
	}, {
		name: "suppression-interval",
		doc: "How often providers' suppression lists are read, to learn what was changed there by hand or by unsubscribing. What users change here is " +
			"done there at once.",
		value:    duration(func(c *Config) *time.Duration { return &c.SuppressionInterval }, time.Second, 24*time.Hour),
		defaults: in("5m", Serve),
		fixed:    in("5s", Demo),
	}}
}

func demoOptions() []option {
	return []option{{
		name:     "smtp-listen",
		doc:      "Address and port at which the sandbox takes mail by SMTP. Empty switches it off. Not used with sandbox-url.",
		value:    optionalHostPort(func(c *Config) *string { return &c.SMTPListen }),
		defaults: map[Scope]string{Sandbox: "", Demo: "127.0.0.1:0"},
	}, {
		name:     "smtps-listen",
		doc:      "Address and port at which the sandbox takes mail by SMTP over TLS. Empty switches it off.",
		value:    optionalHostPort(func(c *Config) *string { return &c.SMTPSListen }),
		defaults: in("", Sandbox),
		fixed:    in("", Demo),
	}, {
		name:     "seed",
		doc:      "Number that makes ids and the luck of faults repeatable: the same seed and the same calls lead to the same ids. 0 makes them random.",
		value:    number(func(c *Config) *uint64 { return &c.Seed }),
		defaults: in("0", Sandbox),
	}, {
		name:     "sandbox-listen",
		doc:      "Address and port for the sandbox. Not used with sandbox-url.",
		value:    hostPort(func(c *Config) *string { return &c.SandboxListen }),
		defaults: in("127.0.0.1:8026", Demo),
	}, {
		name:     "sandbox-url",
		doc:      "URL of a sandbox that already runs. Empty starts one.",
		value:    baseURL(func(c *Config) *string { return &c.SandboxURL }, true),
		defaults: in("", Demo),
	}, {
		name:     "no-traffic",
		doc:      "Set everything up but send no first mail.",
		value:    boolean(func(c *Config) *bool { return &c.NoTraffic }),
		defaults: in("false", Demo),
	}}
}

func recordOptions() []option {
	return []option{{
		name:     "record-token",
		doc:      "Server API token of the Postmark server to ask. There is no flag, because other users of the machine can read a command line.",
		value:    secretText(func(c *Config) *secret.String { return &c.RecordToken }),
		defaults: in("", Record),
		noFlag:   true,
		noFile:   true,
	}}
}

func clientOptions() []option {
	return []option{{
		name:     "url",
		doc:      "URL of the server.",
		value:    baseURL(func(c *Config) *string { return &c.URL }, false),
		defaults: in("http://127.0.0.1:8025", Client),
	}, {
		name:     "account-key",
		doc:      "API key of the account. Better given by environment: other users of the machine can read a command line.",
		value:    secretText(func(c *Config) *secret.String { return &c.AccountKey }),
		defaults: in("", Client),
	}, {
		name:     "subaccount-key",
		doc:      "API key of the sub-account. Better given by environment: other users of the machine can read a command line.",
		value:    secretText(func(c *Config) *secret.String { return &c.SubAccountKey }),
		defaults: in("", Client),
	}, {
		name:     "json",
		doc:      "Print JSON for programs.",
		value:    boolean(func(c *Config) *bool { return &c.JSON }),
		defaults: in("false", Demo, Bench, Client),
	}}
}
