package config

import (
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"postyard/internal/secret"
)

// Scope is what a set of options belongs to: a command, or the group of client commands.
type Scope string

// The scopes.
const (
	Serve   Scope = "serve"
	Sandbox Scope = "sandbox"
	Demo    Scope = "demo"
	Bench   Scope = "bench"
	Record  Scope = "record"
	Client  Scope = "client" // send, events, message, catch-up, templates, suppressions, domains, verify, drill, pause, resume, cancel
)

// Config is the configuration of one command. Fields of options that its scope does not have are zero, except in [Demo],
// which runs a server: there they have fixed values.
type Config struct {
	Listen   string // host:port; port 0 lets the system choose
	Data     string // directory; empty (only in Sandbox) = in memory
	LogLevel slog.Level
	LogJSON  bool // log lines as JSON instead of text

	// Serve and Demo; Database also Bench.
	Database            secret.String  // URL of a PostgreSQL database; empty = SQLite in Data
	ClockOffset         time.Duration  // by which this machine's clock is to be off
	PublicURL           string         // without a slash at the end; empty = see BaseURL
	TrustedProxies      []netip.Prefix // that are believed about where requests come from; nil = those that PublicURL suggests; empty = none
	AllowPrivate        bool
	SecretKey           secret.Key      // zero = the key file
	MaxBacklog          int             // messages
	RateLimit           int             // requests of a key in a second; 0: as many as there are
	MinFreeDisk         int64           // bytes
	DNS                 string          // server to ask, host:port, or SystemDNS; empty = none is asked
	MailHost            string          // our name in DNS, for the records of senders' domains; empty = the host of PublicURL
	TrackingDomains     bool            // links stand at the senders' tracking names also when PublicURL is https
	CallTimeout         time.Duration   // of one call to a provider
	AskAfter            []time.Duration // since the call whose outcome is unknown; ascending
	AmbiguousWait       time.Duration   // longer than the last of AskAfter
	MessageTTL          time.Duration
	ProviderConcurrency int // calls in parallel to one provider
	BatchSize           int // messages in one call
	ShutdownGrace       time.Duration
	IPs                 []IP
	SuppressionInterval time.Duration // between two readings of a provider's suppression list; 0 = the usual

	// Sandbox and Demo.
	SMTPListen  string // host:port; empty = no mail server
	SMTPSListen string // host:port; empty = none with TLS from the first byte
	Seed        uint64 // of the sandbox's ids; 0 = random; not in Demo

	// Demo.
	SandboxListen string // host:port
	SandboxURL    string // without a slash at the end; empty = start a sandbox
	NoTraffic     bool

	// Demo, Bench and Client.
	JSON bool // output for programs

	// Record.
	RecordToken secret.String // Postmark's Server API token

	// Client.
	URL           string // without a slash at the end
	AccountKey    secret.String
	SubAccountKey secret.String
}

// IP is one of the operator's own IPs.
type IP struct {
	Address string        // the public address
	Server  secret.String // URL of the mail server that sends from there: smtp://user:password@host:587
}

// SystemDNS as the DNS server means those that the system is set up with.
const SystemDNS = "system"

// KeyFile returns the path of the file that holds the key to encrypt with when SecretKey is not set.
func (c Config) KeyFile() string { return filepath.Join(c.Data, "secret.key") }

// BaseURL returns the URL under which the server is reached, without a slash at the end: PublicURL, or else http:// and
// the address that the server listens at. bound is that address once the port is known (net.Listener.Addr); before,
// pass Listen. When the server listens at all addresses, the URL names loopback.
func (c Config) BaseURL(bound string) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "http://" + bound
	}
	if isAny(host) {
		host = "127.0.0.1" // Go's listener for all addresses takes IPv4 too
	}
	return "http://" + net.JoinHostPort(host, port)
}
