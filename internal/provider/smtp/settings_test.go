package smtp

import (
	"strings"
	"testing"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		endpoint string
		port     int
		want     string // endpoint and port
		field    string
	}{
		{"mail.example.com", 0, "smtp://mail.example.com 587", ""},
		{" Mail.Example.COM ", 25, "smtp://mail.example.com 25", ""},
		{"mail.example.com:2525", 0, "smtp://mail.example.com 2525", ""},
		{"mail.example.com:2525", 2525, "smtp://mail.example.com 2525", ""},
		{"mail.example.com", 465, "smtps://mail.example.com 465", ""},
		{"smtp://mail.example.com", 465, "smtp://mail.example.com 465", ""},
		{"smtp://mail.example.com/", 0, "smtp://mail.example.com 587", ""},
		{"SMTPS://mail.example.com", 0, "smtps://mail.example.com 465", ""},
		{"smtps://mail.example.com:8465", 0, "smtps://mail.example.com 8465", ""},
		{"smtp+starttls://mail.example.com", 0, "smtp+starttls://mail.example.com 587", ""},
		{"93.184.216.34", 0, "smtp://93.184.216.34 587", ""},
		{"2606:2800:220:1::1", 0, "smtp://[2606:2800:220:1::1] 587", ""},
		{"smtp://[2606:2800:220:1::1]:25", 0, "smtp://[2606:2800:220:1::1] 25", ""},
		{"", 0, "", "endpoint"},
		{"mail.example.com", -1, "", "port"},
		{"mail.example.com", 65536, "", "port"},
		{"mail.example.com:25", 26, "", "port"},
		{"mail.example.com:0", 0, "", "port"},
		{"smtp://mail.example.com:70000", 0, "", "port"},
		{"https://mail.example.com", 0, "", "endpoint"},
		{"smtp://user@mail.example.com", 0, "", "endpoint"},
		{"smtp://mail.example.com/path", 0, "", "endpoint"},
		{"smtp://mail.example.com?x=1", 0, "", "endpoint"},
		{"mail example.com", 0, "", "endpoint"},
		{"mail.example.com\r\nRCPT", 0, "", "endpoint"},
		{"127.0.0.1", 0, "", "endpoint"},
		{"localhost", 0, "", "endpoint"},
		{"2130706433", 0, "", "endpoint"},
		{"169.254.169.254:25", 0, "", "endpoint"},
	} {
		got, bad := (&Adapter{}).Normalize(provider.Connection{Endpoint: tc.endpoint, Port: tc.port})
		if tc.field != "" {
			if bad == nil || bad.Field != tc.field {
				t.Errorf("%q, %d: %+v, %+v; want the %s refused", tc.endpoint, tc.port, got, bad, tc.field)
			}
			continue
		}
		if want, port, _ := strings.Cut(tc.want, " "); bad != nil || got.Endpoint != want || port != trim(got.Port) {
			t.Errorf("%q, %d: %q, %d, %v; want %q", tc.endpoint, tc.port, got.Endpoint, got.Port, bad, tc.want)
			continue
		}
		if again, bad := (&Adapter{}).Normalize(got); bad != nil || again.Endpoint != got.Endpoint || again.Port != got.Port {
			t.Errorf("%q, %d: a second time %+v, %v", tc.endpoint, tc.port, again, bad)
		}
	}
	if _, bad := (&Adapter{Config: Config{AllowPrivate: true}}).Normalize(provider.Connection{Endpoint: "localhost"}); bad != nil {
		t.Errorf("a private address that is allowed: %v", bad)
	}
}

func trim(n int) string { return number(int32(n)) }

func TestCredentialsAreChecked(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*provider.Connection){
		"key":    func(c *provider.Connection) { c.Key = secret.NewString("a\r\nb") },
		"secret": func(c *provider.Connection) { c.Secret = secret.NewString(strings.Repeat("x", 513)) },
		"domain": func(c *provider.Connection) { c.Domain = "mx.example.com\r\nMAIL" },
	} {
		conn := provider.Connection{Endpoint: "mail.example.com", Key: secret.NewString("user"), Secret: secret.NewString("word")}
		change(&conn)
		if _, bad := (&Adapter{}).Normalize(conn); bad == nil || bad.Field != field {
			t.Errorf("%s: %+v", field, bad)
		}
		for _, o := range New(Config{}).Send(t.Context(), conn, []provider.Outgoing{*outgoing()}) {
			if o.Class != provider.Account || o.Text == "" {
				t.Errorf("%s: %+v", field, o)
			}
		}
	}
	missing := provider.Connection{Endpoint: "mail.example.com", Secret: secret.NewString("word")}
	if _, bad := (&Adapter{}).Normalize(missing); bad == nil || bad.Field != "key" {
		t.Errorf("a password without a user: %+v", bad)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"mail.example.com", "smtps://[::1]:465", "smtp://a:b@c", "::1", "[", "smtp+starttls://x:"} {
		f.Add(seed, 25, "mx.example.com")
	}
	f.Fuzz(func(t *testing.T, endpoint string, port int, domain string) {
		a := &Adapter{Config: Config{AllowPrivate: true}}
		conn, bad := a.Normalize(provider.Connection{Endpoint: endpoint, Port: port, Domain: domain})
		if bad != nil {
			return
		}
		again, bad := a.Normalize(conn)
		if bad != nil || again.Endpoint != conn.Endpoint || again.Port != conn.Port || again.Domain != conn.Domain || strings.ContainsAny(conn.Endpoint+conn.Domain, "\r\n \x00") || conn.Port < 1 || conn.Port > 65535 {
			t.Errorf("%q: %+v, then %+v, %v", endpoint, conn, again, bad)
		}
	})
}
