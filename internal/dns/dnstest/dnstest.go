// Package dnstest has a DNS server for tests. It answers as a resolver does: what it has for a name, and for what that is an alias of.
package dnstest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Zone is what a server knows. It is safe for concurrent use.
type Zone struct {
	t testing.TB

	mu      sync.Mutex
	records map[string][]dns.RR // by name
	codes   map[string]int      // by name
	silent  map[string]bool
	bare    bool
	asked   []string
}

// Serve runs a server on loopback until the test ends, by UDP and TCP, and returns its address and what it knows: nothing.
func Serve(t testing.TB) (address string, z *Zone) {
	t.Helper()
	z = &Zone{t: t, records: map[string][]dns.RR{}, codes: map[string]int{}, silent: map[string]bool{}}
	packets, listener := Listen(t)
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // after the servers were shut down
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: listener, Handler: z}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		running.Go(func() {
			if err := server.ActivateAndServe(); err != nil {
				t.Errorf("DNS server: %v", err)
			}
		})
		<-started
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Errorf("DNS server: %v", err)
			}
		})
	}
	return packets.LocalAddr().String(), z
}

// Listen takes the same port of loopback for UDP and TCP.
func Listen(t testing.TB) (net.PacketConn, net.Listener) {
	for range 20 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			return packets, listener
		}
		_ = listener.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func key(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// Add adds records in the form of a zone file: `www.example.com. CNAME example.com.`
func (z *Zone) Add(lines ...string) {
	z.t.Helper()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			z.t.Fatal(err)
		}
		z.add(rr)
	}
}

// AddTXT adds a TXT record of one text, in strings of 255 bytes.
func (z *Zone) AddTXT(name, text string) {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, text[:255]), text[255:]
	}
	z.add(&dns.TXT{Hdr: dns.RR_Header{Name: key(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 300}, Txt: append(parts, text)})
}

func (z *Zone) add(rr dns.RR) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name := key(rr.Header().Name)
	z.records[name] = append(z.records[name], rr)
}

// Remove takes away all records of a name.
func (z *Zone) Remove(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.records, key(name))
}

// Fail has a name answered with a code, dns.RcodeSuccess ends that.
func (z *Zone) Fail(name string, code int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.codes[key(name)] = code
}

// Mute has a name not answered, or answered again.
func (z *Zone) Mute(name string, mute bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.silent[key(name)] = mute
}

// Bare has the server answer with the records of the asked kind only: an alias is shown to whoever asks for one, and not followed.
func (z *Zone) Bare() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.bare = true
}

// Asked returns the questions so far, as "TXT example.com".
func (z *Zone) Asked() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]string(nil), z.asked...)
}

// ServeDNS implements dns.Handler.
func (z *Zone) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := z.answer(question)
	if answer == nil {
		return
	}
	if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := question.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		answer.Truncate(size)
	}
	_ = w.WriteMsg(answer) // who asked may be gone
}

func (z *Zone) answer(question *dns.Msg) *dns.Msg {
	z.mu.Lock()
	defer z.mu.Unlock()
	q := question.Question[0]
	z.asked = append(z.asked, dns.TypeToString[q.Qtype]+" "+strings.TrimSuffix(key(q.Name), "."))
	answer := new(dns.Msg).SetReply(question)
	answer.RecursionAvailable = true
	name := key(q.Name)
	for range 20 {
		if z.silent[name] {
			return nil
		}
		if code := z.codes[name]; code != dns.RcodeSuccess {
			answer.Rcode = code
			return answer
		}
		list, known := z.records[name]
		if !known {
			if len(answer.Answer) == 0 {
				answer.Rcode = dns.RcodeNameError
			}
			return answer
		}
		next := ""
		for _, rr := range list {
			alias, isAlias := rr.(*dns.CNAME)
			if rr.Header().Rrtype == q.Qtype || isAlias && !z.bare {
				answer.Answer = append(answer.Answer, rr)
			}
			if isAlias && !z.bare && q.Qtype != dns.TypeCNAME {
				next = key(alias.Target)
			}
		}
		if next == "" {
			return answer
		}
		name = next
	}
	answer.Answer, answer.Rcode = nil, dns.RcodeServerFailure // a loop
	return answer
}
