package smtp_test

import (
	"errors"
	"io"
	"log"
	"net"
	"slices"
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
	at := func(address string) provider.Connection {
		return provider.Connection{AccountID: 1, TPSPID: 3, Endpoint: "smtp://" + address, Key: secret.NewString("user"),
			Secret: secret.NewString(providertest.Key)}
	}
	providertest.RunSilent(t, providertest.Silent{
		New: func(t *testing.T) provider.Adapter {
			a := smtp.New(smtp.Config{AllowPrivate: true})
			t.Cleanup(func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
			return a
		},
		Serve: func(t *testing.T, refused map[string]bool) provider.Connection {
			return at(play(t, &played{password: providertest.Key, refused: refused, mechanisms: []string{sasl.Plain}}))
		},
		Down: func(t *testing.T) provider.Connection { return at(providertest.ClosedAddress(t)) },
		Locked: func(t *testing.T) provider.Connection {
			return at(play(t, &played{password: "another", echo: providertest.Key, mechanisms: []string{sasl.Plain}}))
		},
		Content: content,
	})
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
