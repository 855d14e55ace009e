package ses

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
	"postyard/internal/provider/ses/sigv4"
	"postyard/internal/ssrf"
)

// The services, by their names in signatures.
const (
	serviceSES = "ses"
	serviceSNS = "sns"
)

// defaultRegion is that of an endpoint which is not Amazon's, when none is given.
const defaultRegion = "us-east-1"

var (
	regionForm = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)

	// Amazon's own hosts: China's have a domain of their own.
	amazonHost = regexp.MustCompile(`^email\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)

	amazonCertificate = regexp.MustCompile(`^https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/SimpleNotificationService-[a-z0-9]+\.pem$`)
	certificatePath   = regexp.MustCompile(`^/SimpleNotificationService-[A-Za-z0-9]+\.pem$`)
)

// target is an account at SES with the settings of a connection.
type target struct {
	ses    string // base URL of SES, without a slash at its end
	sns    string // of SNS
	amazon bool   // they are Amazon's own
	region string
	keyID  string
	secret string
}

func (t *target) key(service string) sigv4.Key {
	return sigv4.Key{ID: t.keyID, Secret: t.secret, Region: t.region, Service: service}
}

// redact takes the key out of a text, both halves.
func (t *target) redact(text string) string {
	return httpcall.Redact(httpcall.Redact(text, t.secret), t.keyID)
}

// words makes foreign words fit to keep.
func (t *target) words(text string) string { return provider.Clean(t.redact(text), provider.MaxText) }

// certifies tells whether a signing certificate may be at a URL.
func (t *target) certifies(raw string) bool {
	if t.amazon {
		return amazonCertificate.MatchString(raw)
	}
	own, err := url.Parse(t.sns)
	if err != nil {
		return false
	}
	path, ok := strings.CutPrefix(raw, own.Scheme+"://"+own.Host)
	return ok && certificatePath.MatchString(path)
}

// Normalize implements provider.Normalizer: it checks a connection's settings, and gives a region the URL that it stands for.
func (a *Adapter) Normalize(conn provider.Connection) (provider.Connection, *mail.FieldError) {
	conn.Endpoint, conn.Domain = strings.TrimSpace(conn.Endpoint), strings.TrimSpace(conn.Domain)
	t, bad := parse(conn)
	if bad != nil {
		return conn, bad
	}
	if strings.HasPrefix(t.keyID, "ASIA") {
		return conn, mail.Invalid("invalid_token", "key", "this access key is temporary and ends within hours: give one of an IAM user, which begins with AKIA")
	}
	conn.Endpoint = t.ses
	if !t.amazon {
		if _, err := ssrf.CheckURL(t.ses, a.AllowPrivate); err != nil {
			return conn, mail.Invalid("invalid_endpoint", "endpoint", "%s", endpointRule(err))
		}
		conn.Domain = t.region
	}
	return conn, nil
}

// endpointRule words why an endpoint is refused.
func endpointRule(err error) string {
	if rule, ok := errors.AsType[*ssrf.URLError](err); ok {
		return "the endpoint " + rule.Rule
	}
	return err.Error()
}

// parse reads the settings of a connection.
func parse(conn provider.Connection) (*target, *mail.FieldError) {
	t := &target{}
	if bad := t.locate(strings.TrimSpace(conn.Endpoint), strings.TrimSpace(conn.Domain)); bad != nil {
		return nil, bad
	}
	for _, part := range []struct {
		into        *string
		given, what string
		field       string
	}{{&t.keyID, conn.Key.Reveal(), "access key id", "key"}, {&t.secret, conn.Secret.Reveal(), "secret access key", "secret"}} {
		value, err := httpcall.Token(part.given, part.what)
		if setting, ok := errors.AsType[*httpcall.SettingError](err); ok {
			return nil, mail.Invalid(setting.Code, part.field, "%s", setting.Text)
		}
		*part.into = value
	}
	if strings.ContainsAny(t.keyID, "/,=") { // it stands in a header between these
		return nil, mail.Invalid("invalid_token", "key", "the access key id has characters that no key has")
	}
	return t, nil
}

const endpointForms = "a region of Amazon SES, such as eu-west-1, or a URL"

// locate reads where the connection's SES and SNS are.
func (t *target) locate(endpoint, domain string) *mail.FieldError {
	if endpoint == "" {
		return mail.Invalid("missing_endpoint", "endpoint", "the endpoint is required: %s", endpointForms)
	}
	if regionForm.MatchString(endpoint) {
		t.atAmazon(endpoint)
		return nil
	}
	base, err := httpcall.BaseURL(endpoint, "")
	if err != nil || len(endpoint) > 512 {
		return mail.Invalid("invalid_endpoint", "endpoint", "the endpoint must be %s", endpointForms)
	}
	u, err := url.Parse(base)
	if err != nil {
		return mail.Invalid("invalid_endpoint", "endpoint", "the endpoint must be %s", endpointForms)
	}
	if host := amazonHost.FindStringSubmatch(strings.ToLower(u.Host)); host != nil {
		if u.Scheme != "https" || u.Path != "" || !regionForm.MatchString(host[1]) {
			return mail.Invalid("invalid_endpoint", "endpoint", "Amazon SES is at https://%s, without a path", host[0])
		}
		t.atAmazon(host[1])
		return nil
	}
	t.ses, t.sns, t.region = base, base, cmp.Or(domain, defaultRegion)
	if !regionForm.MatchString(t.region) {
		return mail.Invalid("invalid_domain", "domain", "with an endpoint that is not Amazon's, the domain is the region, such as %s", defaultRegion)
	}
	return nil
}

func (t *target) atAmazon(region string) {
	suffix := ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		suffix += ".cn"
	}
	t.amazon, t.region, t.ses, t.sns = true, region, "https://email."+region+suffix, "https://sns."+region+suffix
}
