package smtp

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/ssrf"
)

// mode is when the connection is encrypted.
type mode string

// The modes, as the schemes of an endpoint.
const (
	opportunistic mode = "smtp"          // with STARTTLS where the server offers it
	startTLS      mode = "smtp+starttls" // with STARTTLS, or not at all
	implicitTLS   mode = "smtps"         // from the first byte
)

// Ports of the modes, when none is given (RFC 8314).
const (
	submissionPort  = 587
	submissionsPort = 465
)

// Limits of what a user sets, in bytes.
const (
	maxCredential = 512
	maxDomain     = 253
)

// target is a server with the settings of a connection. Equal targets may share connections.
type target struct {
	mode     mode
	host     string
	port     int
	hello    string // what we call ourselves
	user     string // "": no AUTH
	password string
}

func (t target) address() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

// words makes foreign words fit to keep, without the credentials.
func (t target) words(s string) string {
	return provider.Clean(redact(s, t.user, t.password), provider.MaxText)
}

// Normalize implements provider.Normalizer: it checks a connection's settings and gives its endpoint a scheme and its port a number.
func (a *Adapter) Normalize(conn provider.Connection) (provider.Connection, *mail.FieldError) {
	t, bad := parse(conn)
	if bad != nil {
		return conn, bad
	}
	if err := ssrf.CheckHost(t.host, a.AllowPrivate); err != nil {
		return conn, mail.Invalid("invalid_endpoint", "endpoint", "%s", hostRule(err))
	}
	conn.Endpoint = string(t.mode) + "://" + bracketed(t.host)
	conn.Port, conn.Domain = t.port, strings.TrimSpace(conn.Domain)
	return conn, nil
}

// hostRule words why a host is refused.
func hostRule(err error) string {
	if rule, ok := errors.AsType[*ssrf.URLError](err); ok {
		return "the mail server " + rule.Rule
	}
	return err.Error()
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// parse reads the settings of a connection.
func parse(conn provider.Connection) (target, *mail.FieldError) {
	t := target{user: conn.Key.Reveal(), password: conn.Secret.Reveal()}
	if bad := t.parseEndpoint(strings.TrimSpace(conn.Endpoint), conn.Port); bad != nil {
		return t, bad
	}
	switch {
	case len(t.user) > maxCredential || strings.ContainsFunc(t.user, unicode.IsControl):
		return t, mail.Invalid("invalid_key", "key", "a user name has at most %d bytes and no control characters", maxCredential)
	case len(t.password) > maxCredential || strings.ContainsFunc(t.password, unicode.IsControl):
		return t, mail.Invalid("invalid_secret", "secret", "a password has at most %d bytes and no control characters", maxCredential)
	case t.user == "" && t.password != "":
		return t, mail.Invalid("missing_key", "key", "a password needs the user name that goes with it")
	}
	t.hello = cmp.Or(strings.TrimSpace(conn.Domain), ourName())
	if len(t.hello) > maxDomain || strings.ContainsFunc(t.hello, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return t, mail.Invalid("invalid_domain", "domain", "the name for EHLO has at most %d printable ASCII characters and no spaces", maxDomain)
	}
	return t, nil
}

const endpointForms = "a host name, smtp://host, smtp+starttls://host or smtps://host, with a port if you like"

func (t *target) parseEndpoint(endpoint string, port int) *mail.FieldError {
	if endpoint == "" {
		return mail.Invalid("missing_endpoint", "endpoint", "the mail server is required: %s", endpointForms)
	}
	if port < 0 || port > 65535 {
		return mail.Invalid("invalid_port", "port", "a port is between 1 and 65535")
	}
	bare := !strings.Contains(endpoint, "://")
	if bare {
		if strings.Count(endpoint, ":") > 1 && !strings.HasPrefix(endpoint, "[") {
			endpoint = "[" + endpoint + "]" // an IPv6 address
		}
		endpoint = string(opportunistic) + "://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || len(endpoint) > 512 {
		return mail.Invalid("invalid_endpoint", "endpoint", "the mail server must be %s", endpointForms)
	}
	t.mode, t.host = mode(strings.ToLower(u.Scheme)), strings.ToLower(u.Hostname())
	if written := u.Port(); written != "" {
		n, err := strconv.ParseUint(written, 10, 16)
		if err != nil || n == 0 || port != 0 && int(n) != port {
			return mail.Invalid("invalid_port", "port", "the port of the endpoint is between 1 and 65535, and the same as port")
		}
		port = int(n)
	}
	switch t.mode {
	case opportunistic:
		if bare && port == submissionsPort {
			t.mode = implicitTLS
		}
		t.port = cmp.Or(port, submissionPort)
	case startTLS:
		t.port = cmp.Or(port, submissionPort)
	case implicitTLS:
		t.port = cmp.Or(port, submissionsPort)
	default:
		return mail.Invalid("invalid_endpoint", "endpoint", "the mail server must be %s", endpointForms)
	}
	return nil
}

// ourName is what we call ourselves when nobody says how: this machine's name when it is a full one. RFC 5321 section 4.1.4 has
// an address literal for machines without a name.
func ourName() string {
	name, err := os.Hostname()
	if err == nil && strings.Contains(name, ".") && ssrf.CheckHost(name, true) == nil {
		return name
	}
	return "[127.0.0.1]"
}
