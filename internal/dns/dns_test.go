package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"postyard/internal/dns"
	"postyard/internal/dns/dnstest"
)

func TestTXT(t *testing.T) {
	t.Parallel()
	address, zone := dnstest.Serve(t)
	long := strings.Repeat("0123456789", 60) // in several strings
	huge := strings.Repeat("x", 2000)        // does not fit a packet
	zone.AddTXT("long.example.com", long)
	zone.AddTXT("huge.example.com", huge)
	zone.AddTXT("two.example.com", "one")
	zone.AddTXT("two.example.com", "two")
	zone.Add(`odd.example.com. TXT "a\"b\\c" "\195\188\009;x"`)
	zone.Add("alias.example.com. CNAME Next.example.com.", "next.example.com. CNAME long.example.com.", "dead.example.com. CNAME nowhere.example.com.",
		"loop.example.com. CNAME loop2.example.com.", "loop2.example.com. CNAME loop.example.com.", "host.example.com. A 192.0.2.1")
	for _, code := range []int{wire.RcodeServerFailure, wire.RcodeRefused, wire.RcodeNotImplemented} {
		zone.Fail(fmt.Sprintf("code%d.example.com", code), code)
	}
	client := dns.New(address)
	for name, want := range map[string]struct {
		texts []string
		err   error
		says  string
	}{
		"long.example.com":                       {texts: []string{long}},
		"LONG.Example.com.":                      {texts: []string{long}},
		"huge.example.com":                       {texts: []string{huge}},
		"two.example.com":                        {texts: []string{"one", "two"}},
		"odd.example.com":                        {texts: []string{"a\"b\\c\u00fc\t;x"}},
		"alias.example.com":                      {texts: []string{long}},
		"dead.example.com":                       {err: dns.ErrNoName},
		"host.example.com":                       {err: dns.ErrNoRecord},
		"none.example.com":                       {err: dns.ErrNoName},
		"loop.example.com":                       {says: "SERVFAIL"},
		"code2.example.com":                      {says: "SERVFAIL"},
		"code5.example.com":                      {says: "REFUSED"},
		"code4.example.com":                      {says: "NOTIMP"},
		strings.Repeat("a", 64) + ".example.com": {says: "bad"},
		strings.Repeat("a.", 150) + "com":        {says: "bad"},
	} {
		got, err := client.TXT(t.Context(), name)
		switch {
		case want.says != "":
			if err == nil || errors.Is(err, dns.ErrNoName) || errors.Is(err, dns.ErrNoRecord) || !strings.Contains(err.Error(), want.says) {
				t.Errorf("%s: %q, %v, want an error that says %s", name, got, err, want.says)
			}
		case !errors.Is(err, want.err) || !cmp.Equal(got, want.texts):
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, want.texts, want.err)
		}
	}
}

func TestCNAME(t *testing.T) {
	t.Parallel()
	address, zone := dnstest.Serve(t)
	zone.Add("alias.example.com. CNAME Next.Example.com.", "next.example.com. CNAME host.example.com.", "host.example.com. A 192.0.2.1")
	zone.Fail("broken.example.com", wire.RcodeServerFailure)
	client := dns.New(address)
	for name, want := range map[string]struct {
		target string
		err    error
	}{
		"alias.example.com": {"next.example.com", nil}, "Next.example.com": {"host.example.com", nil}, "host.example.com": {"", dns.ErrNoRecord},
		"none.example.com": {"", dns.ErrNoName},
	} {
		if got, err := client.CNAME(t.Context(), name); got != want.target || !errors.Is(err, want.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, want.target, want.err)
		}
	}
	if _, err := client.CNAME(t.Context(), "broken.example.com"); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("broken: %v", err)
	}
}

// A server that does not follow aliases is asked where they lead.
func TestAliasesAreFollowed(t *testing.T) {
	t.Parallel()
	address, zone := dnstest.Serve(t)
	zone.Bare()
	zone.Add("alias.example.com. CNAME text.example.com.")
	zone.AddTXT("text.example.com", "hello")
	client := dns.New(address)
	if _, err := client.TXT(t.Context(), "alias.example.com"); !errors.Is(err, dns.ErrNoRecord) {
		t.Errorf("%v", err) // it does not even show the alias to who asks for a text
	}
	if got, err := client.CNAME(t.Context(), "alias.example.com"); err != nil || got != "text.example.com" {
		t.Errorf("%q, %v", got, err)
	}
}

// An error names no ports of ours, so that equal failures read alike.
func TestFailuresReadAlike(t *testing.T) {
	t.Parallel()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	var before string
	for range 3 {
		_, err := dns.New(address).TXT(t.Context(), "example.com")
		if err == nil || before != "" && err.Error() != before {
			t.Errorf("%v, before %s", err, before)
		}
		before = err.Error()
	}
}

// A stop does not wait for an answer that never comes.
func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := dns.New(silent.LocalAddr().String()).TXT(ctx, "example.com")
		ended <- err
	}()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil { // the question has arrived
		t.Error(err)
	}
	cancel()
	begin := time.Now()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took > 2*time.Second { // without the stop it takes 12 s
		t.Errorf("it took %s", took)
	}
}
