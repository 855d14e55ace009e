package smtp

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/sandbox/fault"
)

// session is a client that has said hello.
type session struct {
	receiver *Receiver
	line     *line
	user     bool // has logged in
	letter   letter
}

var _ gosmtp.AuthSession = (*session)(nil)

func (r *Receiver) newSession(conn *gosmtp.Conn) (gosmtp.Session, error) {
	s := &session{receiver: r, line: lineOf(conn.Conn())}
	if s.line == nil {
		return nil, errors.New("not a connection of this server")
	}
	return s, s.fault("ehlo")
}

// fault has the fault of a stage happen; the error is the answer.
func (s *session) fault(stage string) error {
	rule, freed, ok := s.receiver.pick(stage)
	if !ok {
		return nil
	}
	if done, err := s.line.suffer(rule, freed); done {
		return err
	}
	if rule.Kind == fault.ResetAfter {
		s.line.reset()
		return errGone
	}
	return nil
}

// AuthMechanisms implements smtp.AuthSession.
func (*session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth implements smtp.AuthSession.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if err := s.fault("auth"); err != nil {
		return nil, err
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return s.login(user, password) }), nil
	case sasl.Login:
		return &loginServer{login: s.login}, nil
	}
	return nil, gosmtp.ErrAuthUnknownMechanism
}

func (s *session) login(user, password string) error {
	right := subtle.ConstantTimeCompare([]byte(user), []byte(DemoUser)) & subtle.ConstantTimeCompare([]byte(password), []byte(DemoPassword))
	if right != 1 {
		return gosmtp.ErrAuthFailed
	}
	s.user = true
	return nil
}

// loginServer is AUTH LOGIN, which go-sasl has for clients only.
type loginServer struct {
	login func(user, password string) error
	user  string
	step  int
}

// Next implements sasl.Server.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil && l.step == 0 {
		return []byte("Username:"), false, nil
	}
	l.step++
	if l.step == 1 {
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.login(l.user, string(response))
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *gosmtp.MailOptions) error {
	if err := s.fault("mail"); err != nil {
		return err
	}
	if s.receiver.Settings.Get().SMTPLogin && !s.user {
		return &gosmtp.SMTPError{Code: 530, EnhancedCode: gosmtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.letter = letter{From: from}
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if err := s.fault("rcpt/" + to); err != nil {
		return err
	}
	s.letter.To = append(s.letter.To, to)
	return nil
}

// Data implements smtp.Session. The server has said 354 by now.
func (s *session) Data(r io.Reader) error {
	if err := s.fault("data"); err != nil {
		return err
	}
	var data bytes.Buffer
	if _, err := data.ReadFrom(r); err != nil {
		return err
	}
	rule, freed, ok := s.receiver.pick("content")
	if ok {
		if done, err := s.line.suffer(rule, freed); done {
			return err
		}
	}
	l := s.letter
	l.Data = data.Bytes()
	if err := s.receiver.keep(&l); err != nil {
		s.receiver.Log.Error("sandbox mail cannot be kept", "err", err)
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 0}, Message: "the mail could not be kept"}
	}
	if ok && rule.Kind == fault.ResetAfter {
		s.line.reset()
		return errGone
	}
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.letter = letter{} }

// Logout implements smtp.Session.
func (*session) Logout() error { return nil }
