package smtp_test

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/provider"
	"postyard/internal/provider/providertest"
	"postyard/internal/provider/smtp"
	"postyard/internal/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Harness{
		New: func(t *testing.T, dial providertest.Dial) provider.Adapter {
			a := smtp.New(smtp.Config{AllowPrivate: true, Dial: dial})
			t.Cleanup(func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
			return a
		},
		Connection: func(conn provider.Connection) provider.Connection {
			conn.Key, conn.Secret = secret.NewString("user"), conn.Key
			return conn
		},
		Content: content,
		Wire:    overSMTP(),
		Replies: answers(map[string]provider.Outcome{
			"554 5.6.0 this is no message":          {Class: provider.Rejected, Code: "554 5.6.0"},
			"550 5.7.1 this is spam":                {Class: provider.Rejected, Elsewhere: true},
			"451 4.3.0 later":                       {Class: provider.Transient, Own: true},
			"421 4.3.2 shutting down":               {Class: provider.Transient},
			"421 4.7.0 too much":                    {Class: provider.Throttled, Code: "421 4.7.0"},
			"530 5.7.0 log in first":                {Class: provider.Account},
			"550 5.1.7 sender address not verified": {Class: provider.Account, SenderOnly: true},
			"354 go on":                             {Class: provider.Ambiguous},
		}),
		Never: []provider.Class{provider.Inactive}, // a server's refusal of a recipient is an answer to this message
		Given: []providertest.Given{
			{Name: "a host", Conn: provider.Connection{Endpoint: " mail.example.com ", Domain: " mx.example.com "},
				Want: provider.Connection{Endpoint: "smtp://mail.example.com", Port: 587, Domain: "mx.example.com"}},
			{Name: "encrypted", Conn: provider.Connection{Endpoint: "smtps://mail.example.com:8465", Key: secret.NewString("u"), Secret: secret.NewString("p")},
				Want: provider.Connection{Endpoint: "smtps://mail.example.com", Port: 8465, Key: secret.NewString("u"), Secret: secret.NewString("p")}},
			{Name: "a password without a user", Conn: provider.Connection{Endpoint: "mail.example.com", Secret: secret.NewString("p")}, Field: "key"},
			{Name: "two ports", Conn: provider.Connection{Endpoint: "mail.example.com:25", Port: 26}, Field: "port"},
			{Name: "a name with a space", Conn: provider.Connection{Endpoint: "mail.example.com", Domain: "my host"}, Field: "domain"},
		},
	})
}

// answers are what a server says after a message, by their words.
func answers(words map[string]provider.Outcome) (list []providertest.Reply) {
	for text, want := range words {
		list = append(list, providertest.Reply{Name: text, Bytes: []byte(text + "\r\n"), Want: want})
	}
	return list
}

// overSMTP plays mail servers. Their answers in it are those after the final dot.
func overSMTP() providertest.Wire {
	w := providertest.Wire{
		Serve: func(t *testing.T, refused map[string]bool) string {
			return "smtp://" + play(t, &played{password: providertest.Key, refused: refused, mechanisms: []string{sasl.Plain}})
		},
		Endpoint: func(address string, encrypted bool) string {
			if encrypted {
				return "smtps://" + address
			}
			return "smtp://" + address
		},
		Hear: func(conn net.Conn) ([]byte, bool) {
			if r, ok := converse(conn); ok {
				for line := ""; line != ".\r\n"; {
					var err error
					if line, err = r.ReadString('\n'); err != nil {
						return nil, false
					}
				}
				return []byte("250 2.0.0 queued as 4cXyZ\r\n"), true
			}
			return nil, false
		},
		HearPart: func(conn net.Conn) bool {
			r, ok := converse(conn)
			if ok {
				_, err := r.ReadByte()
				ok = err == nil
			}
			return ok
		},
		Locked: func(t *testing.T) string {
			return "smtp://" + play(t, &played{password: "another", echo: providertest.Key, mechanisms: []string{sasl.Plain}})
		},
		Unavailable: func(t *testing.T) string {
			return "smtp://" + providertest.Listen(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "421 4.3.2 not now\r\n") })
		},
		Garbage: map[string][]byte{
			"html": []byte("<html>Welcome</html>\r\n"), "no number": []byte("OK\r\n"), "number of no kind": []byte("999 what\r\n"), "another step's": []byte("354 go on\r\n"),
			"half": []byte("25"), "two numbers": []byte("250-first\r\n550 second\r\n"), "binary": []byte("\x00\xff\xfe\x80\r\n"), "key": []byte(providertest.Key + "\r\n"),
			"empty line": []byte("\r\n"), "long": []byte(strings.Repeat("x", 1<<20)),
		},
		Endless: []byte("250-"),
		Filler:  []byte(strings.Repeat("x", 64<<10)),
		Elsewhere: func(address string) map[string][]byte {
			return map[string][]byte{"551": []byte("551 5.1.6 User not local; please try <user0@" + address + ">\r\n")}
		},
		Enough: len("250 "), // the rest is for people
		Chatty: true,
	}
	for code, class := range map[int]provider.Class{
		450: provider.Transient, 451: provider.Transient, 452: provider.Transient, 500: provider.Rejected, 501: provider.Rejected, 503: provider.Rejected,
		550: provider.Rejected, 554: provider.Rejected, 535: provider.Account, 300: provider.Ambiguous, 100: provider.Ambiguous,
	} {
		for name, text := range map[string]string{"bare": " ", "key": " not " + providertest.Key, "binary": " \xff\xfe\x80\t", "lines": "-one\r\n" + strconv.Itoa(code) + " two"} {
			w.Statuses = append(w.Statuses, providertest.Reply{Name: strconv.Itoa(code) + " " + name, Bytes: []byte(strconv.Itoa(code) + text + "\r\n"),
				Want: provider.Outcome{Class: class, Own: class == provider.Transient}})
		}
	}
	return w
}

// converse plays a mail server as far as the message itself.
func converse(conn net.Conn) (*bufio.Reader, bool) {
	r := bufio.NewReader(conn)
	answer := "220 played.example ESMTP"
	for {
		if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
			return nil, false
		}
		if strings.HasPrefix(answer, "354") {
			return r, true
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, false
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); verb {
		case "EHLO":
			answer = "250-played.example\r\n250 AUTH PLAIN"
		case "AUTH":
			answer = "235 2.7.0 welcome"
		case "DATA":
			answer = "354 go on"
		default:
			answer = "250 2.0.0 ok"
		}
	}
}

// played is a mail server without TLS, as the sandbox's is not.
type played struct {
	password   string
	mechanisms []string
	refused    map[string]bool // recipients
	echo       string          // what it says of a wrong password
	most       int64           // bytes of a message; 0: any

	mu     sync.Mutex
	logins []string
}

func play(t *testing.T, p *played) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &playedSession{p}, nil }))
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "played.example", true, log.New(io.Discard, "", 0)
	server.MaxMessageBytes = p.most
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		_ = l.Close() // Serve may not have begun
		running.Wait()
	})
	return l.Addr().String()
}

type playedSession struct{ *played }

func (s *playedSession) AuthMechanisms() []string { return s.mechanisms }

func (s *playedSession) Auth(mechanism string) (sasl.Server, error) {
	s.mu.Lock()
	s.logins = append(s.logins, mechanism)
	s.mu.Unlock()
	if mechanism == sasl.Login {
		return &playedLogin{session: s}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return s.check(user, password) }), nil
}

func (s *playedSession) check(user, password string) error {
	if user != "user" || password != s.password {
		return &gosmtp.SMTPError{Code: 535, EnhancedCode: gosmtp.EnhancedCode{5, 7, 8}, Message: "not " + s.echo}
	}
	return nil
}

// playedLogin asks in words of its own.
type playedLogin struct {
	session *playedSession
	said    []string
}

func (l *playedLogin) Next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte("User Name\x00"), false, nil
	}
	if l.said = append(l.said, string(response)); len(l.said) == 1 {
		return []byte("Password\x00"), false, nil
	}
	return nil, true, l.session.check(l.said[0], l.said[1])
}

func (*playedSession) Mail(string, *gosmtp.MailOptions) error { return nil }

func (s *playedSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if s.refused[to] {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	return nil
}

func (*playedSession) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (*playedSession) Reset()        {}
func (*playedSession) Logout() error { return nil }

// A server that knows AUTH LOGIN only, whatever words it asks with.
func TestLoginMechanism(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, mechanisms := range [][]string{{sasl.Login}, {sasl.Plain}, {sasl.Login, sasl.Plain}, {"XOAUTH2"}} {
		server := &played{password: "pass word", mechanisms: mechanisms}
		conn := provider.Connection{Endpoint: play(t, server), Key: secret.NewString("user"), Secret: secret.NewString("pass word")}
		o := b.send(t.Context(), conn, batch(t, 1))[0]
		if slices.Contains(mechanisms, "XOAUTH2") {
			if o.Class != provider.Account || !strings.Contains(o.Text, "AUTH PLAIN") {
				t.Errorf("%v: %+v", mechanisms, o)
			}
			continue
		}
		if o.Class != provider.Accepted || len(server.logins) != 1 || server.logins[0] != mechanisms[len(mechanisms)-1] {
			t.Errorf("%v: %+v by %v", mechanisms, o, server.logins)
		}
	}
}

// Without TLS the password stays here, unless the server stands where that is allowed. Mail without a password may go.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	open := provider.Connection{Endpoint: play(t, &played{})}
	locked := provider.Connection{Endpoint: play(t, &played{password: "word", mechanisms: []string{sasl.Plain}}), Key: secret.NewString("user"), Secret: secret.NewString("word")}
	strict := open
	strict.Endpoint = "smtp+starttls://" + open.Endpoint
	for name, tc := range map[string]struct {
		conn    provider.Connection
		private bool
		want    provider.Class
	}{
		"no login": {open, false, provider.Accepted}, "login in clear": {locked, false, provider.Account},
		"login in clear nearby": {locked, true, provider.Accepted}, "STARTTLS or nothing": {strict, true, provider.Account},
	} {
		b.adapter = b.newAdapter(func(c *smtp.Config) { c.AllowPrivate = tc.private })
		o := b.send(t.Context(), tc.conn, batch(t, 1))[0]
		if o.Class != tc.want || tc.want == provider.Account && !strings.Contains(o.Text, "STARTTLS") {
			t.Errorf("%s: %+v", name, o)
		}
		err := b.adapter.Check(t.Context(), tc.conn)
		if refused, ok := errors.AsType[*provider.SetupError](err); (err == nil) != (tc.want == provider.Accepted) || ok && (refused.Code != "tls_failed" || refused.Retry) {
			t.Errorf("%s: Check: %v", name, err)
		}
	}
}
