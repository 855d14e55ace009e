package ssrf

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckURLAccepts(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"https://example.com", "https://example.com/hook?x=1&y=2", "HTTPS://Example.COM:8443/", "https://8.8.8.8/",
		"https://[2606:4700::1111]:8443/x", "https://a_b.example.com./", "https://münchen.example/", "https://example.com/%23",
		"https://localhost.example.com/", "https://0xabc.example/", "https://1.example/",
	} {
		if u, err := CheckURL(raw, false); err != nil || u.Host == "" {
			t.Errorf("CheckURL(%q) = %v, %v", raw, u, err)
		}
	}
	for _, raw := range []string{
		"http://127.0.0.1:8026", "http://localhost:8026/x", "https://[::1]/", "http://10.0.0.1/", "http://hooks.internal/", "http://db/",
	} {
		if _, err := CheckURL(raw, true); err != nil {
			t.Errorf("CheckURL(%q, allowPrivate) = %v", raw, err)
		}
	}
}

func TestCheckURLRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		raw, want string
		always    bool // also with allowPrivate
	}{
		{"http://example.com/", "https://", false},
		{"ftp://example.com/", "must start with https://", true},
		{"file:///etc/passwd", "must start with https://", true},
		{"gopher://example.com/", "must start with https://", true},
		{"//example.com/", "must start with https://", true},
		{"example.com", "must start with https://", true},
		{"", "must start with https://", true},
		{"https://", "must have a host", true},
		{"https:///path", "must have a host", true},
		{"https:example.com", "must have a host", true},
		{"https://:443/", "must have a host", true},
		{"https://me:hunter2@example.com/", "user name or password", true},
		{"https://me@example.com/", "user name or password", true},
		{"https://example.com/#top", "fragment", true},
		{"https://example.com/#", "fragment", true},
		{"https://example.com:/", "port number", true},
		{"https://example.com:0/", "between 1 and 65535", true},
		{"https://example.com:65536/", "between 1 and 65535", true},
		{"https://example.com:hunter2/", "valid absolute URL", true},
		{"https://exa mple.com/", "valid absolute URL", true},
		{"https://example.com/\r\nX: y", "valid absolute URL", true},
		{"https://a..b/", "letters, digits", true},
		{"https://./", "letters, digits", true},
		{"https://a*b/", "letters, digits", true},
		{"https://" + strings.Repeat("a", 64) + ".example/", "letters, digits", true},
		{"https://example.com/" + strings.Repeat("a", maxURL), "2048", true},
		{"https://localhost/", "localhost", false},
		{"https://LOCALHOST./", "localhost", false},
		{"https://x.localhost:8443/", "localhost", false},
		{"https://127.0.0.1/", "loopback", false},
		{"https://[::1]/", "loopback", false},
		{"https://[::ffff:127.0.0.1]/", "loopback", false},
		{"https://[fe80::1%25eth0]/", "link-local", false},
		{"https://169.254.169.254/latest/meta-data", "link-local", false},
		{"https://10.1.2.3:8443/", "RFC 1918", false},
		{"https://0/", "usual form", true},
		{"https://127.1/", "usual form", true},
		{"https://127.0.0.1./", "usual form", true},
		{"https://2130706433/", "usual form", true},
		{"https://0x7f000001/", "usual form", true},
		{"https://0X7F.1/", "usual form", true},
		{"https://0177.0.0.01/", "usual form", true},
	} {
		modes := []bool{false}
		if tc.always {
			modes = append(modes, true)
		}
		for _, allowPrivate := range modes {
			u, err := CheckURL(tc.raw, allowPrivate)
			if err == nil || u != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("CheckURL(%.60q, %v) = %v, %v; want an error with %q", tc.raw, allowPrivate, u, err, tc.want)
				continue
			}
			_, isURL := errors.AsType[*URLError](err)
			_, isBlocked := errors.AsType[*BlockedError](err)
			if isURL == isBlocked {
				t.Errorf("CheckURL(%.60q): error of type %T", tc.raw, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a password: %v", err)
			}
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://example.com/x")
	f.Add("https://[::ffff:7f00:1]:1/")
	f.Add("http://0x7f.1")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := CheckURL(raw, false)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			t.Fatalf("CheckURL(%q) lets %+v pass", raw, u)
		}
		if again, err := CheckURL(u.String(), false); err != nil || again.Host != u.Host {
			t.Fatalf("CheckURL(%q) passes but not its own result %q: %v", raw, u, err)
		}
	})
}
