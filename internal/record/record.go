// Package record settles what is not known about the real Postmark. A person with an account there runs it: it asks each of the open
// questions with real calls, and writes down what was asked, what came back, and what that means for what our code takes for granted.
//
// What it sends and makes is small, said before, and removed afterwards. What it writes holds no secret and no address of a person.
package record

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

// Endpoint is Postmark's public API.
const Endpoint = "https://api.postmarkapp.com"

// Options say what a run may do.
type Options struct {
	Token     secret.String // a Server API token
	Endpoint  string        // base URL; "" is Endpoint
	Stream    string        // the message stream that is used
	Recipient string        // who gets the few mails
	Sender    string        // "" is Recipient; its domain or address must be confirmed at Postmark
	Listen    string        // host:port at which webhooks are taken; "" asks no question that needs them
	PublicURL string        // the URL that leads there, without a slash at the end
	Archive   bool          // also asks what leaves an archived stream behind
	Only      []int         // numbers of the questions to ask; none is all
	Out       string        // directory to write to; must be empty or absent
	Patience  time.Duration // how long to wait for one thing that comes by itself; 0 is DefaultPatience

	Adapter   func(http.RoundTripper) provider.Adapter // our code for Postmark, whose judgement is part of the record
	Transport http.RoundTripper                        // carries the calls
	Confirm   func(plan string) (bool, error)          // asked before anything is sent; nil is yes
	Progress  func(line string)                        // told what is done now; nil is nobody
	Now       func() time.Time                         // nil is time.Now
}

// DefaultPatience is longer than any time-out that Postmark is known to have.
const DefaultPatience = 3 * time.Minute

// ErrDeclined means that the person did not agree; nothing was sent.
var ErrDeclined = errors.New("nothing was sent: the answer was not yes")

// Result is what a run came to.
type Result struct {
	Confirmed, Contradicted, Open int      // defaults
	Left                          []string // what could not be removed, and how it is removed by hand
}

// session is one run.
type session struct {
	Options
	endpoint string
	nonce    string // is in every name that the run makes
	server   string // what is asked, for people
	recorder *recorder
	adapter  provider.Adapter
	redactor *redactor
	listener *listener // nil: none
	ledger   *ledger
	answers  []*answer
	stays    []string // what cannot be removed, as was said before
}

func (s *session) token() string { return strings.TrimSpace(s.Token.Reveal()) }

// Run asks the questions and writes the answers. It returns a Result also with an error, once anything was asked. When ctx ends
// it asks no more, removes what it made, and writes what it knows; the error is then ctx's.
func Run(ctx context.Context, o Options) (*Result, error) {
	s, err := newSession(o)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	questions := s.questions()
	if s.Confirm != nil {
		yes, err := s.Confirm(s.plan(questions))
		if err != nil {
			return nil, err
		}
		if !yes {
			return nil, ErrDeclined
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.ledger.open(s.Out); err != nil {
		return nil, err
	}
	stop := func() error { return nil }
	if s.Listen != "" {
		if stop, err = s.listener.serve(ctx, s.Listen); err != nil {
			return nil, err
		}
	}
	for i := range questions {
		s.answers = append(s.answers, s.answer(ctx, &questions[i]))
	}
	left, ledgerErr := s.ledger.settle(ctx)
	result, err := s.write(left)
	return result, errors.Join(ctx.Err(), err, ledgerErr, stop())
}

func newSession(o Options) (*session, error) {
	s := &session{Options: o, endpoint: strings.TrimRight(o.Endpoint, "/"), nonce: strings.ToLower(secret.APIKey())[:12], redactor: newRedactor()}
	if s.endpoint == "" {
		s.endpoint = Endpoint
	}
	if s.Sender == "" {
		s.Sender = s.Recipient
	}
	if s.Patience == 0 {
		s.Patience = DefaultPatience
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Progress == nil {
		s.Progress = func(string) {}
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.recorder = &recorder{base: o.Transport, now: s.Now}
	s.adapter = o.Adapter(s.recorder)
	base := "/postyard-record/" + s.nonce + "/"
	s.redactor.marker = base
	s.ledger = newLedger(s)
	s.redactor.hide(s.token())
	s.redactor.name(s.Recipient, "recipient@redacted.invalid")
	s.redactor.name(s.Sender, "sender@redacted.invalid")
	if s.Listen != "" {
		public, err := url.Parse(s.PublicURL)
		if err != nil || public.Host == "" || public.Scheme != "http" && public.Scheme != "https" || public.User != nil || public.RawQuery != "" {
			return nil, errors.New("the public URL must be an http or https URL without credentials")
		}
		s.redactor.name(strings.TrimRight(s.PublicURL, "/"), "https://public.redacted.invalid")
		s.redactor.name(public.Host, "public.redacted.invalid")
		s.listener = newListener(s.adapter, s.Now, s.Patience, base, s.nonce)
	}
	return s, nil
}

func (s *session) check() error {
	switch {
	case s.token() == "":
		return errors.New("the Server API token is missing: set POSTYARD_RECORD_TOKEN")
	case s.Stream == "":
		return errors.New("name a message stream")
	case !isAddress(s.Recipient):
		return errors.New("name a recipient: an email address of yours")
	case !isAddress(s.Sender):
		return errors.New("the sender is not an email address")
	case s.Out == "":
		return errors.New("name a directory to write to")
	case (s.Listen == "") != (s.PublicURL == ""):
		return errors.New("an address to listen at and the public URL that leads there go together")
	}
	for _, n := range s.Only {
		if !slices.ContainsFunc(Questions(), func(q Question) bool { return q.Number == n }) {
			return fmt.Errorf("there is no question %d", n)
		}
	}
	return nil
}

func isAddress(text string) bool {
	_, err := mail.ParseEmail(text)
	return err == nil
}

// prepare looks, without changing anything, whether the token is good, and learns what is not to be written down.
func (s *session) prepare(ctx context.Context) error {
	e, err := s.call(ctx, "look at the server", request{method: http.MethodGet, path: "/server"})
	if err != nil {
		return err
	}
	if err := s.adapter.Check(ctx, provider.Connection{Endpoint: s.endpoint, Key: s.Token, Stream: s.Stream}); err != nil {
		return fmt.Errorf("check the token and the stream: %w", err)
	}
	var server struct {
		Name, DeliveryType string
		APITokens          []string `json:"ApiTokens"`
	}
	if err := decodeAnswer(e, &server); err != nil {
		return fmt.Errorf("look at the server: %w", err)
	}
	for _, token := range server.APITokens {
		s.redactor.hide(token)
	}
	s.server = fmt.Sprintf("%q (%s)", provider.Clean(server.Name, 128), provider.Clean(server.DeliveryType, 32))
	s.recorder.take() // it is about no question
	return nil
}

// questions are those that may be asked.
func (s *session) questions() []Question {
	return slices.DeleteFunc(Questions(), func(q Question) bool { return len(s.Only) > 0 && !slices.Contains(s.Only, q.Number) })
}

// skip says why a question is not asked, "" when it is.
func (s *session) skip(q *Question) string {
	switch {
	case q.Public && s.listener == nil:
		return "it needs --listen and --public-url"
	case q.Optional == "archive" && !s.Archive:
		return "it needs --archive"
	}
	return ""
}

// plan says what is going to happen.
func (s *session) plan(questions []Question) string {
	var b strings.Builder
	mails := 0
	for i := range questions {
		if s.skip(&questions[i]) == "" {
			mails += questions[i].Mails
		}
	}
	fmt.Fprintf(&b, "At %s, on the server %s, stream %q, this sends at most %d mails from %s to %s, and makes what is named below.\n"+
		"All of it is removed again, but for what a line says. The answers go to %s, without secrets and addresses.\n\n",
		s.endpoint, s.server, s.Stream, mails, s.Sender, s.Recipient, s.Out)
	for i := range questions {
		q := &questions[i]
		if why := s.skip(q); why != "" {
			fmt.Fprintf(&b, "%3d  not asked: %s\n", q.Number, why)
			continue
		}
		fmt.Fprintf(&b, "%3d  %s\n", q.Number, q.Asks)
	}
	return b.String()
}
