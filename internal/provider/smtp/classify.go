package smtp

import (
	"errors"
	"fmt"
	"strings"

	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// stage is what was asked of the server.
type stage uint8

const (
	connecting     stage = iota // connect, TLS, greeting, EHLO, STARTTLS
	authenticating              // AUTH
	sender                      // MAIL FROM
	recipient                   // RCPT TO
	handover                    // DATA, before any content
	content                     // the final dot
)

var stageWords = [...]string{
	"the server refused the connection", "the server refused the login", "the server refused the sender", "the server refused the recipient",
	"the server refused the message", "the server refused the message's content",
}

// reply is what a server answered.
type reply struct {
	code     int    // 250
	enhanced [3]int // 5.1.1 (RFC 3463); zero when there is none
	text     string
}

// replyOf returns the server's answer in an error, if there is one.
func replyOf(err error) (reply, bool) {
	refused, ok := errors.AsType[*gosmtp.SMTPError](err)
	if !ok || refused.Code < 100 || refused.Code > 999 {
		return reply{}, false
	}
	r := reply{code: refused.Code, text: refused.Message}
	if e := refused.EnhancedCode; e[0] == r.class() && inRange(e[1]) && inRange(e[2]) {
		r.enhanced = e
	}
	return r, true
}

func inRange(n int) bool { return n >= 0 && n <= 999 }

func (r reply) class() int { return r.code / 100 }

// is tells whether the answer has the enhanced code x.subject.detail.
func (r reply) is(subject, detail int) bool {
	return r.enhanced[0] != 0 && r.enhanced[1] == subject && r.enhanced[2] == detail
}

// about tells whether the enhanced code is of a subject: 1 addresses, 2 mailboxes, 7 security and policy.
func (r reply) about(subject int) bool { return r.enhanced[0] != 0 && r.enhanced[1] == subject }

func (r reply) says(phrases ...string) bool {
	text := strings.ToLower(r.text)
	for _, phrase := range phrases {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}

// codes are the answer's numbers: "550 5.1.1", or "550".
func (r reply) codes() string {
	if r.enhanced[0] == 0 {
		return fmt.Sprint(r.code)
	}
	return fmt.Sprintf("%d %d.%d.%d", r.code, r.enhanced[0], r.enhanced[1], r.enhanced[2])
}

// judge says what an answer means for the message. The cases stand in the order in which they decide.
func judge(at stage, r reply) provider.Outcome {
	out := provider.Outcome{Code: r.codes(), Text: stageWords[at] + ": " + r.codes() + " " + r.text}
	final := r.class() == 5
	switch {
	case r.class() == 2 && at == content:
		out.Class, out.Text = provider.Accepted, r.codes()+" "+r.text
	case r.class() != 4 && !final && at == content:
		out.Class, out.Text = provider.Ambiguous, "the server gave an answer that means nothing after a message: "+r.codes()+" "+r.text
	case r.class() != 4 && !final:
		out.Class, out.Text = provider.Transient, "the server gave an answer that means nothing here: "+r.codes()+" "+r.text
	case limited(at, r):
		out.Class = provider.Throttled
	case at != connecting && wantsLogin(at, r):
		out.Class = provider.Account
	case !final || at == connecting:
		out.Class, out.Own = provider.Transient, ofMessage(at, r)
	case at == authenticating:
		out.Class = provider.Account
	case tooLarge(r):
		out.Class, out.Elsewhere = provider.Rejected, true
	case refusesSender(at, r):
		out.Class, out.SenderOnly = provider.Account, true
	case at == recipient && refusesUs(r):
		out.Class = provider.Account
	case at >= recipient && (r.about(7) || refusesUs(r)), at == recipient && refusesRelaying(r):
		out.Class, out.Elsewhere = provider.Rejected, true // policy is this server's; another may carry the message
	default:
		out.Class = provider.Rejected
		out.Bounce = bounce(at, r)
	}
	return out
}

// bounce says what a final answer to the recipient means for the address, 0 when it is not about that: the server's system (x.3.x) or the
// conversation (x.5.x, 500 to 504).
func bounce(at stage, r reply) event.Kind {
	switch {
	case at != recipient || r.code < 550 || r.about(3) || r.about(5):
		return 0
	case r.is(2, 2): // the mailbox is full
		return event.SoftBounced
	}
	return event.HardBounced
}

// ofMessage tells whether an answer may be about one message only: the server has heard whom it is for, and goes on to talk to us.
func ofMessage(at stage, r reply) bool { return at >= recipient && r.code != 421 && !wantsLogin(at, r) }

// limited tells whether the server says that we send too much. What it says of a mailbox (x.2.x) or an address (x.1.x) is not
// about us. Once it has heard the recipient, words do not do: "over quota" is what a full mailbox is.
func limited(at stage, r reply) bool {
	switch {
	case r.about(1), r.about(2):
		return false
	case r.is(4, 5):
		return true // Gmail's daily limit is a final answer
	case r.class() == 5, ofMessage(at, r) && !r.about(7):
		return false
	case r.code == 421 && r.is(7, 0):
		return true
	}
	return r.says("too many", "rate limit", "ratelimit", "rate exceeded", "throttl", "slow down", "limit exceeded", "quota")
}

// wantsLogin tells whether the server does not take mail from who we say we are (RFC 4954 section 6, RFC 3207 section 4).
func wantsLogin(at stage, r reply) bool {
	switch r.code {
	case 530, 534, 535, 538, 523:
		return true
	}
	return at == sender && r.class() == 5 && (r.code == 502 || r.code == 503 || r.is(7, 0)) && r.says("authent", "log in", "login", "starttls")
}

// tooLarge tells whether the message is larger than the server takes. 552 is a full mailbox as well.
func tooLarge(r reply) bool { return r.is(3, 4) || r.is(2, 3) || r.code == 552 && !r.is(2, 2) }

// refusesUs tells whether the server's policy is against the machine that talks to it, and not one of the recipient.
func refusesUs(r reply) bool {
	if r.enhanced[0] != 0 && !r.about(7) || r.says("recipient address", "by recipient", "by the recipient", "by user", "user has", "not listed") {
		return false
	}
	return r.says("client host", "blocked", "blacklist", "blocklist", "is listed", "listed in", "listed on", "listed at", "listed by", "banned", "reputation")
}

// refusesRelaying tells whether the server does not carry mail there for us.
func refusesRelaying(r reply) bool {
	return r.says("relay access denied", "relaying denied", "relay denied", "unable to relay", "cannot relay", "do not relay",
		"not permitted to relay", "not allowed to relay", "relay not permitted", "relaying not permitted", "relaying not allowed")
}

// refusesSender tells whether the sender's address is what the server does not like: other senders' mail may pass. Servers may
// say so at RCPT TO only.
func refusesSender(at stage, r reply) bool {
	switch {
	case r.is(1, 7), r.is(1, 8), r.says("sender address rejected", "not verified"):
		return true
	case at == sender:
		return r.about(7) || r.code == 550 || r.code == 551 || r.code == 553 || r.code == 554
	}
	return false
}
