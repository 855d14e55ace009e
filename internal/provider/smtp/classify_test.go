package smtp

import (
	"errors"
	"testing"
	"unicode/utf8"

	gosmtp "github.com/emersion/go-smtp"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// verdict is what a reply means, for tables.
type verdict struct {
	class                 provider.Class
	senderOnly, elsewhere bool
	own                   bool
}

func TestJudge(t *testing.T) {
	t.Parallel()
	taken, retry, slower := verdict{class: provider.Accepted}, verdict{class: provider.Transient}, verdict{class: provider.Throttled}
	no, account, doubt := verdict{class: provider.Rejected}, verdict{class: provider.Account}, verdict{class: provider.Ambiguous}
	sender1, other := verdict{class: provider.Account, senderOnly: true}, verdict{class: provider.Rejected, elsewhere: true}
	own := verdict{class: provider.Transient, own: true}
	for _, tc := range []struct {
		at   stage
		r    reply
		want verdict
	}{
		{connecting, reply{421, [3]int{4, 3, 2}, "closing"}, retry},
		{connecting, reply{421, [3]int{4, 7, 0}, "try later"}, slower},
		{connecting, reply{421, [3]int{}, "too many connections from you"}, slower},
		{connecting, reply{554, [3]int{5, 7, 1}, "blocked"}, retry},
		{connecting, reply{530, [3]int{5, 7, 0}, "STARTTLS first"}, retry},
		{connecting, reply{999, [3]int{}, ""}, retry},
		{authenticating, reply{535, [3]int{5, 7, 8}, "bad credentials"}, account},
		{authenticating, reply{535, [3]int{}, ""}, account},
		{authenticating, reply{530, [3]int{}, ""}, account},
		{authenticating, reply{534, [3]int{5, 7, 9}, "application-specific password required"}, account},
		{authenticating, reply{504, [3]int{5, 7, 4}, "mechanism"}, account},
		{authenticating, reply{454, [3]int{4, 7, 0}, "temporary"}, retry},
		{authenticating, reply{454, [3]int{4, 7, 0}, "Too many login attempts, please try again later."}, slower},
		{authenticating, reply{235, [3]int{}, ""}, retry},
		{sender, reply{450, [3]int{}, "later"}, retry},
		{sender, reply{452, [3]int{4, 3, 1}, "no space"}, retry},
		{sender, reply{421, [3]int{4, 7, 0}, "IP not in whitelist"}, slower},
		{sender, reply{451, [3]int{4, 7, 1}, "Too many messages"}, slower},
		{sender, reply{530, [3]int{5, 7, 0}, "Authentication required"}, account},
		{sender, reply{502, [3]int{5, 7, 0}, "Please authenticate first"}, account},
		{sender, reply{550, [3]int{5, 7, 0}, "Login required"}, account},
		{sender, reply{550, [3]int{5, 7, 1}, "sender not allowed"}, sender1},
		{sender, reply{553, [3]int{5, 1, 8}, "domain not found"}, sender1},
		{sender, reply{550, [3]int{}, "not yours"}, sender1},
		{sender, reply{552, [3]int{5, 3, 4}, "size"}, other},
		{sender, reply{501, [3]int{5, 5, 4}, "syntax"}, no},
		{recipient, reply{450, [3]int{4, 2, 1}, "mailbox busy"}, own},
		{recipient, reply{450, [3]int{4, 2, 0}, "Greylisted, see http://postgrey.example"}, own},
		{recipient, reply{451, [3]int{}, "Greylisted, please try again"}, own},
		{recipient, reply{452, [3]int{4, 2, 2}, "over quota"}, own},
		{recipient, reply{452, [3]int{}, "mailbox over quota"}, own},
		{recipient, reply{452, [3]int{}, "Too many recipients received this hour"}, own},
		{recipient, reply{452, [3]int{4, 5, 3}, "Too many recipients"}, own},
		{recipient, reply{450, [3]int{4, 1, 2}, "Domain not found"}, own},
		{recipient, reply{451, [3]int{4, 7, 1}, "Greylisted"}, own},
		{recipient, reply{451, [3]int{4, 3, 0}, "Temporary lookup failure"}, own},
		{recipient, reply{452, [3]int{4, 3, 1}, "Insufficient system storage, quota"}, own},
		{recipient, reply{421, [3]int{}, "too many errors"}, slower},
		{recipient, reply{421, [3]int{4, 3, 2}, "shutting down"}, retry},
		{recipient, reply{450, [3]int{4, 7, 1}, "Error: too many mail from 192.0.2.1"}, slower},
		{recipient, reply{451, [3]int{4, 4, 5}, "congested"}, slower},
		{recipient, reply{454, [3]int{4, 7, 0}, "no TLS"}, own},
		{recipient, reply{450, [3]int{4, 7, 1}, "rate limit"}, slower},
		{recipient, reply{550, [3]int{5, 1, 1}, "unknown"}, no},
		{recipient, reply{550, [3]int{}, ""}, no},
		{recipient, reply{552, [3]int{5, 2, 2}, "full"}, no},
		{recipient, reply{552, [3]int{}, "too big"}, other},
		{recipient, reply{552, [3]int{5, 2, 2}, "mailbox over quota"}, no},
		{recipient, reply{550, [3]int{5, 7, 1}, "Unable to relay"}, other},
		{recipient, reply{554, [3]int{}, "<ana@example.net>: Relay access denied"}, other},
		{recipient, reply{550, [3]int{}, "Relaying denied"}, other},
		{recipient, reply{550, [3]int{}, "relay not permitted"}, other},
		{recipient, reply{550, [3]int{}, "not permitted to relay through this server"}, other},
		{recipient, reply{550, [3]int{}, "no such user here, says relay.example.net"}, no},
		{recipient, reply{550, [3]int{5, 1, 1}, "relay.example.net blocked nothing; no such user"}, no},
		{recipient, reply{554, [3]int{5, 7, 1}, "<ana@example.net>: Recipient address rejected: Access denied"}, other},
		{recipient, reply{554, [3]int{5, 7, 1}, "Recipient address rejected: blocked"}, other},
		{recipient, reply{550, [3]int{5, 7, 1}, "message refused: the user has blocked you"}, other},
		{recipient, reply{550, [3]int{5, 7, 26}, "unauthenticated"}, other},
		{recipient, reply{554, [3]int{5, 7, 1}, "<unknown[192.0.2.1]>: Client host rejected: Access denied"}, account},
		{recipient, reply{554, [3]int{5, 7, 1}, "Service unavailable; Client host [192.0.2.1] blocked using zen.example"}, account},
		{recipient, reply{550, [3]int{5, 7, 606}, "Access denied, banned sending IP [192.0.2.1]"}, account},
		{recipient, reply{554, [3]int{}, "Your IP is listed, see http://example.com"}, account},
		{recipient, reply{550, [3]int{}, "192.0.2.1 is on a blacklist"}, account},
		{recipient, reply{554, [3]int{5, 7, 1}, "poor reputation"}, account},
		{recipient, reply{550, [3]int{}, "not listed in our directory"}, no},
		{recipient, reply{550, [3]int{5, 2, 1}, "mailbox blocked"}, no},
		{recipient, reply{553, [3]int{5, 7, 1}, "Sender address rejected: not owned by user"}, sender1},
		{recipient, reply{530, [3]int{5, 7, 0}, ""}, account},
		{handover, reply{451, [3]int{}, ""}, own},
		{handover, reply{421, [3]int{}, ""}, retry},
		{handover, reply{554, [3]int{5, 7, 1}, "no"}, other},
		{handover, reply{554, [3]int{5, 5, 1}, "no valid recipients"}, no},
		{handover, reply{250, [3]int{}, ""}, retry},
		{content, reply{250, [3]int{2, 0, 0}, "queued"}, taken},
		{content, reply{251, [3]int{}, ""}, taken},
		{content, reply{354, [3]int{}, ""}, doubt},
		{content, reply{199, [3]int{}, ""}, doubt},
		{content, reply{600, [3]int{}, ""}, doubt},
		{content, reply{451, [3]int{4, 3, 0}, "later"}, own},
		{content, reply{421, [3]int{4, 7, 0}, ""}, slower},
		{content, reply{450, [3]int{4, 2, 0}, "Greylisted"}, own},
		{content, reply{452, [3]int{}, "mailbox over quota"}, own},
		{content, reply{451, [3]int{4, 7, 1}, "rate limit exceeded"}, slower},
		{content, reply{554, [3]int{5, 7, 1}, "spam"}, other},
		{content, reply{554, [3]int{5, 7, 1}, "Client host [192.0.2.1] blocked"}, other},
		{content, reply{554, [3]int{}, "your IP is listed by example.com"}, other},
		{content, reply{554, [3]int{}, "spam"}, no},
		{content, reply{554, [3]int{5, 6, 0}, "syntax"}, no},
		{content, reply{554, [3]int{}, "Message rejected: Email address is not verified."}, sender1},
		{content, reply{552, [3]int{5, 3, 4}, "size"}, other},
		{content, reply{550, [3]int{5, 4, 5}, "Daily sending quota exceeded"}, slower},
		{content, reply{554, [3]int{5, 2, 3}, "longer than allowed"}, other},
	} {
		o := judge(tc.at, tc.r)
		if o.Bounce != 0 && (tc.at != recipient || tc.want != no) {
			t.Errorf("stage %d, %s %q: bounces", tc.at, tc.r.codes(), tc.r.text)
		}
		if got := (verdict{o.Class, o.SenderOnly, o.Elsewhere, o.Own}); got != tc.want {
			t.Errorf("stage %d, %s %q: %v %+v, want %v %+v", tc.at, tc.r.codes(), tc.r.text, got.class, got, tc.want.class, tc.want)
		}
	}
}

func TestReplyOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in    gosmtp.SMTPError
		codes string
		ok    bool
	}{
		{gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}}, "550 5.1.1", true},
		{gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{4, 1, 1}}, "550", true},
		{gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, -1, 1}}, "550", true},
		{gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1000}}, "550", true},
		{gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.NoEnhancedCode}, "550", true},
		{gosmtp.SMTPError{Code: 12}, "", false},
	} {
		r, ok := replyOf(&tc.in)
		if ok != tc.ok || ok && r.codes() != tc.codes {
			t.Errorf("%+v: %q, %t", tc.in, r.codes(), ok)
		}
	}
	if _, ok := replyOf(errors.New("550 5.1.1 not an answer")); ok {
		t.Error("an error that is no answer has one")
	}
}

// Whatever a server says, a message is not taken to be refused when it may be with the server, and the words are fit to keep.
func FuzzJudge(f *testing.F) {
	f.Add(uint8(5), 550, 5, 1, 1, "no such user")
	f.Add(uint8(5), 250, 2, 0, 0, "queued")
	f.Add(uint8(2), 421, 4, 7, 0, "too many\x00\xff")
	f.Fuzz(func(t *testing.T, at uint8, code, class, subject, detail int, text string) {
		stage := stage(at % uint8(len(stageWords)))
		target := target{user: "user", password: "hunter22"}
		r, ok := replyOf(&gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{class, subject, detail}, Message: text + target.password})
		if !ok {
			return
		}
		o := judge(stage, r)
		switch {
		case o.Class == provider.Accepted && (stage != content || r.class() != 2):
			t.Errorf("accepted at %d with %d", stage, code)
		case o.Class == provider.Ambiguous && stage != content:
			t.Errorf("in doubt at %d with %d", stage, code)
		case stage == content && r.class() != 2 && r.class() != 4 && r.class() != 5 && o.Class != provider.Ambiguous:
			t.Errorf("%v after the content with %d", o.Class, code)
		case o.Own && (o.Class != provider.Transient || stage < recipient || code == 421):
			t.Errorf("of its own at %d with %d: %v", stage, code, o.Class)
		case o.Class == provider.Rejected && r.class() != 5:
			t.Errorf("rejected at %d with %d", stage, code)
		}
		if words := target.words(o.Text); !utf8.ValidString(words) || len(words) > provider.MaxText || words == "" {
			t.Errorf("words %q", words)
		}
	})
}

// What is refused at RCPT TO for good bounces, but for what is said of us, of the conversation, or of a policy.
func TestBounces(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		at   stage
		r    reply
		want event.Kind
	}{
		{recipient, reply{550, [3]int{5, 1, 1}, "unknown"}, event.HardBounced},
		{recipient, reply{550, [3]int{}, ""}, event.HardBounced},
		{recipient, reply{550, [3]int{5, 4, 1}, "Recipient address rejected: Access denied"}, event.HardBounced},
		{recipient, reply{556, [3]int{5, 1, 10}, "null MX"}, event.HardBounced},
		{recipient, reply{552, [3]int{5, 2, 2}, "full"}, event.SoftBounced},
		{recipient, reply{554, [3]int{5, 2, 2}, "over quota"}, event.SoftBounced},
		{recipient, reply{503, [3]int{}, "MAIL first"}, 0},
		{recipient, reply{501, [3]int{5, 1, 3}, "syntax"}, 0},
		{recipient, reply{550, [3]int{5, 3, 0}, "broken"}, 0},
		{recipient, reply{554, [3]int{5, 5, 1}, "no"}, 0},
		{recipient, reply{554, [3]int{5, 7, 1}, "policy"}, 0},
		{recipient, reply{554, [3]int{}, "Relay access denied"}, 0},
		{recipient, reply{552, [3]int{}, "too big"}, 0},
		{recipient, reply{450, [3]int{4, 1, 1}, "later"}, 0},
		{sender, reply{550, [3]int{5, 1, 1}, "no"}, 0},
		{content, reply{554, [3]int{5, 6, 0}, "syntax"}, 0},
	} {
		if got := judge(tc.at, tc.r).Bounce; got != tc.want {
			t.Errorf("stage %d, %s %q: %d, want %d", tc.at, tc.r.codes(), tc.r.text, got, tc.want)
		}
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	if f := New(Config{}).Capabilities().Family; f != event.CustomSMTP {
		t.Errorf("a provider's events are of family %d", f)
	}
	if f := New(Config{Own: true}).Capabilities().Family; f != event.Native {
		t.Errorf("an IP's events are of family %d", f)
	}
}
