// Package dns asks DNS servers for TXT and CNAME records. The standard library's resolver has no question for a CNAME: it shows the end
// of a chain of aliases only, and only when that has an address.
package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Errors of a question that was answered.
var (
	ErrNoName   = errors.New("there is no such name in DNS")
	ErrNoRecord = errors.New("there is no such record in DNS")
)

// Bounds of a question.
const (
	tries     = 2               // of each server
	patience  = 3 * time.Second // with one server, once
	maxHops   = 8               // aliases that are followed
	maxAnswer = 1232            // bytes of an answer by UDP that no network cuts; larger ones come by TCP
	maxText   = 64              // TXT records that are looked at
)

// Client asks a DNS server, or those of the system. It is safe for concurrent use.
type Client struct {
	server string
}

// New returns a client of the DNS server at an address (host:port), or of the system's when server is empty.
func New(server string) *Client { return &Client{server: server} }

// TXT returns the TXT records of a name, the strings of each put together. Aliases are followed. The error is ErrNoName or ErrNoRecord
// where DNS answered; any other means that it did not, or that there is a loop.
func (c *Client) TXT(ctx context.Context, name string) ([]string, error) {
	name = canonical(name)
	for range maxHops {
		answer, err := c.ask(ctx, name, dns.TypeTXT)
		if err != nil {
			return nil, err
		}
		end := chase(answer, name)
		var texts []string
		for _, rr := range answer.Answer {
			if txt, ok := rr.(*dns.TXT); ok && canonical(txt.Hdr.Name) == end && len(texts) < maxText {
				texts = append(texts, plain(strings.Join(txt.Txt, "")))
			}
		}
		switch {
		case len(texts) > 0:
			return texts, nil
		case end == name:
			return nil, missing(answer)
		}
		name = end // the server does not answer for where the alias leads
	}
	return nil, fmt.Errorf("more than %d aliases (CNAME) one after another", maxHops)
}

// CNAME returns the name that a name is an alias of, in lower case and without the dot at its end. Errors are as those of TXT.
func (c *Client) CNAME(ctx context.Context, name string) (string, error) {
	name = canonical(name)
	answer, err := c.ask(ctx, name, dns.TypeCNAME)
	if err != nil {
		return "", err
	}
	for _, rr := range answer.Answer {
		if alias, ok := rr.(*dns.CNAME); ok && canonical(alias.Hdr.Name) == name {
			return strings.TrimSuffix(canonical(alias.Target), "."), nil
		}
	}
	return "", missing(answer)
}

// missing is the error of an answer without what was asked for.
func missing(answer *dns.Msg) error {
	if answer.Rcode == dns.RcodeNameError {
		return ErrNoName
	}
	return ErrNoRecord
}

// chase follows the aliases in an answer.
func chase(answer *dns.Msg, name string) string {
	for range maxHops {
		before := name
		for _, rr := range answer.Answer {
			if alias, ok := rr.(*dns.CNAME); ok && canonical(alias.Hdr.Name) == name {
				name = canonical(alias.Target)
				break
			}
		}
		if name == before {
			break
		}
	}
	return name
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// plain undoes the escapes with which the library shows bytes of a text.
func plain(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if i+3 < len(text) && digit(text[i+1]) && digit(text[i+2]) && digit(text[i+3]) {
			b.WriteByte((text[i+1]-'0')*100 + (text[i+2]-'0')*10 + text[i+3] - '0')
			i += 3
			continue
		}
		i++
		b.WriteByte(text[i])
	}
	return b.String()
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// ask asks one server after another until one answers that it knows, or that there is nothing.
func (c *Client) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return nil, errors.New("this is a bad name for DNS: it or a part of it is too long")
	}
	servers, err := c.servers()
	if err != nil {
		return nil, err
	}
	question := new(dns.Msg).SetQuestion(name, kind)
	question.SetEdns0(maxAnswer, false)
	for range tries {
		for _, server := range servers {
			var answer *dns.Msg
			if answer, err = exchange(ctx, server, question); err == nil {
				return answer, nil
			}
			if ctx.Err() != nil {
				return nil, fmt.Errorf("no answer of a DNS server in time: %w", ctx.Err())
			}
		}
	}
	return nil, err
}

// servers returns the addresses of the servers to ask. Those of the system are read anew each time: questions are rare, and networks
// change.
func (c *Client) servers() ([]string, error) {
	if c.server != "" {
		return []string{c.server}, nil
	}
	system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("read which DNS servers the system has: %w", err)
	}
	if len(system.Servers) == 0 {
		return nil, errors.New("the system has no DNS server")
	}
	var list []string
	for _, host := range system.Servers {
		list = append(list, net.JoinHostPort(host, system.Port))
	}
	return list, nil
}

// exchange asks one server once, by UDP and, when the answer does not fit, by TCP.
func exchange(ctx context.Context, server string, question *dns.Msg) (*dns.Msg, error) {
	answer, err := exchangeBy(ctx, "udp", server, question)
	if err == nil && answer.Rcode == dns.RcodeFormatError && question.IsEdns0() != nil { // an old one
		question = question.Copy()
		question.Extra = nil
		answer, err = exchangeBy(ctx, "udp", server, question)
	}
	if err == nil && answer.Truncated {
		answer, err = exchangeBy(ctx, "tcp", server, question)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("DNS server %s: %w", server, err)
	case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("DNS server %s answers %s", server, code(answer.Rcode))
	}
	return answer, nil
}

func exchangeBy(ctx context.Context, network, server string, question *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &dns.Client{Net: network, Timeout: patience}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, inShort(err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the library minds the deadline of ctx only
	answer, _, err := client.ExchangeWithConnContext(ctx, question.Copy(), conn)
	switch {
	case err != nil:
		return nil, inShort(err)
	case !answer.Response || len(answer.Question) != 1 || !strings.EqualFold(answer.Question[0].Name, question.Question[0].Name) ||
		answer.Question[0].Qtype != question.Question[0].Qtype:
		return nil, errors.New("the answer is not to the question")
	}
	return answer, nil
}

// inShort leaves the ports of a connection out of its error, so that equal failures read alike.
func inShort(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return errors.New("no answer")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

func code(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("with code %d", rcode)
}
