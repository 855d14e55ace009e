package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/provider"
	"postyard/internal/ssrf"
)

// session is a connection that has said hello and logged in.
type session struct {
	wire    *wire
	client  *gosmtp.Client
	most    int  // bytes that a message may have; 0: the server does not say
	carried int  // messages so far
	open    bool // a transaction was begun and given up
	expiry  *time.Timer
}

// failure is why no connection came to be. It is the same for all messages of a call.
type failure struct {
	outcome provider.Outcome
	code    string // of the SetupError
	field   string
}

// Codes of a SetupError.
const (
	codeTLS   = "tls_failed"
	codeLogin = "login_refused"
)

// connect dials, encrypts and logs in. The session is aboard ctx.
func (a *Adapter) connect(ctx context.Context, t target) (*session, *failure) {
	conn, err := a.Dial(ctx, "tcp", t.address())
	if err != nil {
		return nil, broken(t, nil, connecting, err)
	}
	w := &wire{Conn: conn}
	s := &session{wire: w}
	if err := w.board(ctx); err != nil {
		_ = conn.Close()
		return nil, broken(t, w, connecting, err)
	}
	bad := a.greet(s, t)
	if bad == nil {
		bad = a.login(s, t)
	}
	if bad != nil {
		s.drop()
		return nil, bad
	}
	if n, ok := s.client.MaxMessageSize(); ok {
		s.most = n
	}
	return s, nil
}

// trusted tells whether the server stands where plain text is allowed.
func (a *Adapter) trusted(conn net.Conn) bool {
	if !a.AllowPrivate {
		return false
	}
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	return err == nil && ssrf.CheckAddr(at.Addr()) != nil
}

// greet comes to terms about encryption and says hello.
func (a *Adapter) greet(s *session, t target) *failure {
	config := &tls.Config{ServerName: t.host, RootCAs: a.RootCAs, MinVersion: tls.VersionTLS12}
	if t.mode == implicitTLS {
		encrypted := tls.Client(s.wire, config)
		if err := encrypted.HandshakeContext(s.wire.call); err != nil {
			return noTLS(t, s.wire, err)
		}
		s.client = gosmtp.NewClient(encrypted)
		if err := s.client.Hello(t.hello); err != nil {
			return broken(t, s.wire, connecting, err)
		}
		return nil
	}
	s.client = gosmtp.NewClient(s.wire)
	if err := s.client.Hello(t.hello); err != nil {
		return broken(t, s.wire, connecting, err)
	}
	if offered, _ := s.client.Extension("STARTTLS"); !offered {
		if t.mode == startTLS {
			return refuse(t, codeTLS, "endpoint", "the server does not offer STARTTLS, which the endpoint demands")
		}
		return nil
	}
	// In the opportunistic mode plain text would do where the place is trusted, so a certificate that nobody signed does as well.
	config.InsecureSkipVerify = t.mode == opportunistic && a.trusted(s.wire.Conn)
	client, err := gosmtp.NewClientStartTLS(afterHello(s.wire), config)
	if err == nil {
		s.client = client
		err = client.Hello(t.hello) // the handshake comes with the first word
	}
	if err != nil {
		return noTLS(t, s.wire, err)
	}
	return nil
}

// login authenticates, if there is a user name to do it with.
func (a *Adapter) login(s *session, t target) *failure {
	if t.user == "" {
		return nil
	}
	if _, encrypted := s.client.TLSConnectionState(); !encrypted && !a.trusted(s.wire.Conn) {
		return refuse(t, codeTLS, "endpoint",
			"the server does not offer STARTTLS, and the password is not sent in clear")
	}
	var mechanism sasl.Client
	switch {
	case s.client.SupportsAuth(sasl.Plain):
		mechanism = sasl.NewPlainClient("", t.user, t.password)
	case s.client.SupportsAuth(sasl.Login):
		mechanism = &login{target: t}
	default:
		return refuse(t, codeLogin, "key", "the server offers neither AUTH PLAIN nor AUTH LOGIN; without a user name there is no login")
	}
	if err := s.client.Auth(mechanism); err != nil {
		return broken(t, s.wire, authenticating, err)
	}
	return nil
}

// login is AUTH LOGIN. go-sasl's wants one wording of the server's questions; servers have several, but always ask for the name first.
type login struct {
	target
	asked int
}

// Start implements sasl.Client.
func (*login) Start() (mechanism string, first []byte, err error) { return sasl.Login, nil, nil }

// Next implements sasl.Client.
func (l *login) Next([]byte) (response []byte, err error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.user), nil
	case 2:
		return []byte(l.password), nil
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}

// broken is the failure that an error before any message means.
func broken(t target, w *wire, at stage, err error) *failure {
	o := t.lost(w, at, err)
	o.Unwritten = true
	f := &failure{outcome: o, code: provider.CodeUnavailable}
	switch {
	case o.Class == provider.Account:
		f.code, f.field = codeLogin, "key"
	case o.Code == "":
		f.code = provider.CodeUnreachable
	}
	return f
}

func noTLS(t target, w *wire, err error) *failure {
	f := broken(t, w, connecting, err)
	if f.outcome.Code == "" && !f.outcome.Unsent {
		f.outcome.Text = t.words("no encrypted connection: " + err.Error())
	}
	if certificate(err) {
		f.code, f.field = codeTLS, "endpoint"
	}
	return f
}

// certificate tells whether TLS failed for the server's certificate, which only a change heals.
func certificate(err error) bool {
	_, bad := errors.AsType[*tls.CertificateVerificationError](err)
	return bad
}

// refuse is the failure of a connection whose settings and server do not go together.
func refuse(t target, code, field, text string) *failure {
	return &failure{outcome: provider.Outcome{Class: provider.Account, Unwritten: true, Text: t.words(text)}, code: code, field: field}
}

// lost is the outcome of a step before the final dot that ended with an error. w is nil when there is no connection.
func (t target) lost(w *wire, at stage, err error) provider.Outcome {
	if w != nil && w.late != nil {
		return provider.Outcome{Class: provider.Transient, Unsent: true, Text: w.late.Error()}
	}
	if r, ok := replyOf(err); ok {
		o := judge(at, r)
		o.Text = t.words(o.Text)
		return o
	}
	return provider.Outcome{Class: provider.Transient, Text: t.words(fmt.Sprintf("%s: %v", stageLost[at], err))}
}

var stageLost = [...]string{
	"no connection", "the connection ended at the login", "the connection ended at MAIL FROM", "the connection ended at RCPT TO",
	"the connection ended before the message was handed over",
}

// drop ends the connection without a word.
func (s *session) drop() {
	s.wire.alight()
	_ = s.wire.Close() // it may be closed already
}

// quit says goodbye and ends the connection.
func (s *session) quit(ctx context.Context) {
	if s.wire.board(ctx) == nil {
		_ = s.client.Quit() // whether the server hears it does not matter
		s.wire.alight()
	}
	_ = s.wire.Close()
}
