package smtp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/event"
	"postyard/internal/provider"
	"postyard/internal/provider/compose"
)

// Send implements provider.Adapter. A batch goes over one connection, message by message; when that breaks, the next message gets
// another one.
func (a *Adapter) Send(ctx context.Context, conn provider.Connection, batch []provider.Outgoing) []provider.Outcome {
	outcomes, single := make([]provider.Outcome, len(batch)), make([]bool, len(batch))
	t, bad := parse(conn)
	if bad != nil {
		for i := range outcomes {
			outcomes[i] = provider.Outcome{Class: provider.Account, Text: provider.Clean(bad.Message, provider.MaxText)}
		}
		return outcomes
	}
	l := &line{adapter: a, ctx: ctx, target: t}
	defer l.hangUp()
	enough := provider.Budget(ctx)
	for i := range batch {
		switch {
		case ctx.Err() != nil:
			outcomes[i] = provider.Outcome{Class: provider.Transient, Unsent: true, Text: "not sent: " + ctx.Err().Error()}
		case l.failed != nil:
			outcomes[i] = l.failed.outcome
		case !enough():
			outcomes[i] = provider.NoTime()
		default:
			outcomes[i] = l.carry(&batch[i])
			single[i] = l.single
		}
	}
	weigh(outcomes, single)
	return outcomes
}

// weigh takes back what the answer to a single message seemed to say of all, when the server took another one in the same call. A
// limit may be reached on the way, so only what was taken later speaks against it.
func weigh(outcomes []provider.Outcome, single []bool) {
	took := slices.ContainsFunc(outcomes, func(o provider.Outcome) bool { return o.Class == provider.Accepted })
	later := false
	for i := range slices.Backward(outcomes) {
		o := &outcomes[i]
		switch {
		case o.Class == provider.Accepted:
			later = true
		case !single[i]:
		case o.Class == provider.Throttled && later:
			o.Class, o.Own = provider.Transient, true
		case o.Class == provider.Account && !o.SenderOnly && took:
			o.Class, o.Elsewhere = provider.Rejected, true
		}
	}
}

// line is what a call has of the server.
type line struct {
	adapter *Adapter
	ctx     context.Context
	target  target
	session *session // nil: none yet, or the last one broke
	failed  *failure // no connection is to be had
	single  bool     // the last answer may be about its message only, see ofMessage
}

// carry hands one message over.
func (l *line) carry(out *provider.Outgoing) provider.Outcome {
	l.single = false
	m, err := write(out, l.adapter.Now())
	if err != nil {
		return provider.Outcome{Class: provider.Rejected, Text: l.target.words("the message cannot be written: " + err.Error())}
	}
	reused := l.session != nil
	if !reused {
		if l.session = l.adapter.pool.take(l.target); l.session != nil {
			reused = l.session.wire.board(l.ctx) == nil
			if !reused {
				l.drop()
			}
		}
	}
	if reused {
		// The server may have ended the connection while it was not in use, or after so many messages. It shows at MAIL FROM.
		if o, gone := l.transact(m); !gone {
			return l.learn(o)
		}
	}
	if l.session, l.failed = l.adapter.connect(l.ctx, l.target); l.failed != nil {
		return l.failed.outcome
	}
	o, gone := l.transact(m)
	if gone {
		l.failed = &failure{outcome: o}
	}
	return l.learn(o)
}

// learn keeps the rest of a call's messages back when the server does not want any of them now.
func (l *line) learn(o provider.Outcome) provider.Outcome {
	if !l.single && (o.Class == provider.Throttled || o.Class == provider.Account && !o.SenderOnly) {
		rest := o
		rest.Unwritten = true
		l.failed = &failure{outcome: rest}
	}
	return o
}

// transact hands one message over by the connection. gone tells that the server ended the connection before it heard anything of
// the message.
func (l *line) transact(m *compose.Message) (o provider.Outcome, gone bool) {
	s := l.session
	if s.most > 0 && len(m.Raw) > s.most {
		return provider.Outcome{Class: provider.Rejected, Elsewhere: true,
			Text: fmt.Sprintf("the message has %d bytes; the server takes %d", len(m.Raw), s.most)}, false
	}
	s.carried++
	if err := s.begin(m); err != nil {
		o := l.end(sender, err)
		return o, l.session == nil && !o.Unsent && l.ctx.Err() == nil
	}
	refused, err := s.address(m)
	if err != nil {
		return l.end(recipient, err), false
	}
	data, err := s.client.Data()
	if err == nil {
		_, err = data.Write(m.Raw)
	}
	if err != nil {
		return l.end(handover, err), false
	}
	s.open = false
	before := s.wire.left.Load()
	answer, err := data.CloseWithResponse() // what is left of the message leaves together with the dot
	r, answered := replyOf(err)
	switch {
	case err == nil:
		o = provider.Outcome{Class: provider.Accepted, Text: answer.StatusText}
	case answered:
		o = judge(content, r)
		l.single = ofMessage(content, r)
		l.afterReply(r)
	case s.wire.left.Load() == before:
		return l.end(handover, err), false
	default:
		l.drop()
		o = provider.Outcome{Class: provider.Ambiguous, Text: fmt.Sprintf("the message was handed over, but no answer came: %v", err)}
	}
	return l.taken(o, m, refused), false
}

// begin begins a transaction. What was left of the last one is given up.
func (s *session) begin(m *compose.Message) error {
	if s.open {
		if err := s.client.Reset(); err != nil {
			_ = s.wire.Close() // whatever it answered: the next step finds the connection broken
			return errors.New("RSET: " + err.Error())
		}
		s.open = false
	}
	if err := accepted(s.client.Mail(m.From, &gosmtp.MailOptions{Size: int64(len(m.Raw))})); err != nil {
		return err
	}
	s.open = true
	return nil
}

// taken completes the outcome of a message that the server has heard as a whole.
func (l *line) taken(o provider.Outcome, m *compose.Message, refused []refusal) provider.Outcome {
	if o.Class == provider.Accepted {
		o.ProviderMessageID, o.Code = m.ID, ""
		for _, r := range refused {
			if r.bounced {
				o.InactiveAddresses, o.Bounce = append(o.InactiveAddresses, r.address), event.HardBounced
			}
			o.Text += "; not to " + r.address + ": " + r.words
		}
	}
	o.Text = l.target.words(o.Text)
	return o
}

// refusal is a copy that the server does not take.
type refusal struct {
	address string
	words   string
	bounced bool // for good, and for the address's own sake
}

// address names the recipients. Without the first, the message's own, there is no message.
func (s *session) address(m *compose.Message) (refused []refusal, err error) {
	for i, to := range m.To {
		err := accepted(s.client.Rcpt(to, nil))
		if err == nil {
			continue
		}
		r, answered := replyOf(err)
		if i == 0 || !answered || r.code == 421 {
			return nil, err
		}
		refused = append(refused, refusal{address: to, words: r.codes() + " " + r.text, bounced: judge(recipient, r).Bounce == event.HardBounced})
	}
	return refused, nil
}

// accepted takes any 2xx for the one that was expected.
func accepted(err error) error {
	if r, ok := replyOf(err); ok && r.class() == 2 {
		return nil
	}
	return err
}

// end is the outcome of a message that did not get as far as the final dot.
func (l *line) end(at stage, err error) provider.Outcome {
	o := l.target.lost(l.session.wire, at, err)
	if r, answered := replyOf(err); answered && r.class() != 2 {
		l.single = ofMessage(at, r)
		l.afterReply(r)
	} else {
		l.drop()
	}
	return o
}

// afterReply ends the connection after an answer with which the server ends it, or that shows that it and we are out of step.
func (l *line) afterReply(r reply) {
	if r.code == 421 || r.code == 503 || r.class() != 2 && r.class() != 4 && r.class() != 5 {
		l.drop()
	}
}

func (l *line) drop() {
	if l.session != nil {
		l.session.drop()
		l.session = nil
	}
}

// hangUp ends the call: a connection that is fit is kept for the next one.
func (l *line) hangUp() {
	s := l.session
	if s == nil {
		return
	}
	if !s.wire.alight() || s.wire.late != nil {
		_ = s.wire.Close()
		return
	}
	l.adapter.pool.put(l.target, s)
}
