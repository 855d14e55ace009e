package ssrf

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the longest URL that is taken, in bytes.
const maxURL = 2048

// URLError reports a URL that [CheckURL] refuses. It does not quote the URL, which may hold a password.
type URLError struct {
	Rule string // what the URL must be, such as "must start with https://"
}

func (e *URLError) Error() string { return "URL " + e.Rule }

// CheckURL parses a URL that a user wants requests to go to: absolute, https (with allowPrivate also http), with a host,
// without user name, password and fragment, at most 2048 bytes long. A host that is an IP address must be one that
// [CheckAddr] accepts, and localhost is refused, unless allowPrivate. Other names are not resolved: that the address
// behind one is allowed shows only when [NewTransport]'s transport connects.
//
// The error is a *[URLError] that names the rule, or a *[BlockedError].
func CheckURL(raw string, allowPrivate bool) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, &URLError{Rule: "must be at most " + strconv.Itoa(maxURL) + " bytes long"}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, &URLError{Rule: "must be a valid absolute URL"} // the cause quotes the URL
	}
	if err := checkParts(u, raw, allowPrivate); err != nil {
		return nil, err
	}
	if err := CheckHost(u.Hostname(), allowPrivate); err != nil {
		return nil, err
	}
	return u, nil
}

func checkParts(u *url.URL, raw string, allowPrivate bool) error {
	switch {
	case u.Scheme == "http" && !allowPrivate:
		return &URLError{Rule: "must start with https:// (http:// only where private addresses are allowed)"}
	case u.Scheme != "https" && u.Scheme != "http":
		return &URLError{Rule: "must start with https://"}
	case u.Hostname() == "":
		return &URLError{Rule: "must have a host"}
	case u.User != nil:
		return &URLError{Rule: "must not have a user name or password"}
	case strings.Contains(raw, "#"): // url.URL does not tell an empty fragment from none
		return &URLError{Rule: "must not have a fragment (#...)"}
	case strings.HasSuffix(u.Host, ":"):
		return &URLError{Rule: "must have a port number after the colon"}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return &URLError{Rule: "must have a port between 1 and 65535"}
		}
	}
	return nil
}

// CheckHost applies the rules of [CheckURL] to a host alone: a name, or an IP address without brackets.
func CheckHost(host string, allowPrivate bool) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if allowPrivate {
			return nil
		}
		return CheckAddr(addr)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if endsInNumber(name) {
		return &URLError{Rule: "must have a host name or an IP address in its usual form"}
	}
	if !isName(name) {
		return &URLError{Rule: "must have a host of letters, digits, hyphens and dots"}
	}
	if (name == "localhost" || strings.HasSuffix(name, ".localhost")) && !allowPrivate {
		return &URLError{Rule: "must not point to localhost"}
	}
	return nil
}

// endsInNumber reports whether the last label of name is a number, decimal or hexadecimal. Such a host is no domain, but
// some resolvers read 127.1, 0x7f000001 or 2130706433 as 127.0.0.1 (WHATWG URL, "ends in a number").
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// isName reports whether name is a host name: labels of 1 to 63 letters, digits, hyphens and underscores, 253
// characters at most. Names outside ASCII are net/http's to convert.
func isName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInName) {
			return false
		}
	}
	return true
}

func notInName(r rune) bool {
	return r < 0x80 && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
}
