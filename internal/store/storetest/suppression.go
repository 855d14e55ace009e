package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// suppress stores what a user suppresses in the bench's sub-account.
func (b *bench) suppress(push []int32, reason provider.Reason, emails ...string) []store.Suppression {
	b.t.Helper()
	var list []store.Suppression
	for _, email := range emails {
		list = append(list, store.Suppression{AccountID: b.account.ID, SubAccountID: b.sub.ID, Email: email, Reason: reason, Source: store.ByUser,
			Since: b.now, Created: b.now})
	}
	stored, err := b.store.Suppress(b.ctx(), list, push)
	b.must(err)
	return stored
}

func (b *bench) reactivate(push []int32, emails ...string) []store.Suppression {
	b.t.Helper()
	ended, err := b.store.Reactivate(b.ctx(), b.account.ID, b.sub.ID, emails, b.now, push)
	b.must(err)
	return ended
}

// wantSuppressed checks what a sub-account suppresses: "email reason" of each, in the order of addresses.
func (b *bench) wantSuppressed(sub int32, want ...string) {
	b.t.Helper()
	list, err := b.store.Suppressions(b.ctx(), store.SuppressionFilter{SubAccountID: sub, From: start.AddDate(-1, 0, 0), To: start.AddDate(1, 0, 0)})
	b.must(err)
	got := []string{}
	for _, s := range list {
		got = append(got, fmt.Sprintf("%s %s", s.Email, s.Reason))
	}
	slices.Sort(got)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		b.t.Errorf("suppressed: %s", diff)
	}
}

func (b *bench) later(d time.Duration) { b.now = b.now.Add(d) }

// newSub makes another sub-account.
func (b *bench) newSub(name string) int32 {
	b.t.Helper()
	s := directory.SubAccount{AccountID: b.account.ID, Name: name, KeyHash: secret.Hash(name), SealedKey: []byte("k"), Created: b.now}
	b.must(b.store.CreateSubAccount(b.ctx(), &s))
	return s.ID
}

// suppressions: what users do, and how it is listed.
func suppressions(t *testing.T, b *bench) {
	stored := b.suppress(nil, provider.HardBounce, "b@example.net", "a@example.net")
	if len(stored) != 2 || stored[0].Email != "b@example.net" || stored[0].ID == stored[1].ID || stored[0].Reason != provider.HardBounce ||
		!stored[0].Created.Equal(b.now) || stored[0].ID == 0 {
		t.Errorf("stored: %+v", stored)
	}
	b.later(time.Hour)
	again := b.suppress(nil, provider.Manual, "a@example.net")
	if again[0].ID != stored[1].ID || !again[0].Created.Equal(start) || again[0].Reason != provider.Manual {
		t.Errorf("again: %+v", again)
	}
	b.suppress(nil, provider.SpamComplaint, "c@example.net")
	if kept := b.suppress(nil, provider.Manual, "c@example.net"); kept[0].Reason != provider.SpamComplaint {
		t.Errorf("a complaint was made less of: %+v", kept)
	}
	b.restart()
	b.wantSuppressed(b.sub.ID, "a@example.net manual", "b@example.net hardBounce", "c@example.net spamComplaint")
	b.wantSuppressed(b.sub.ID + 1000)

	spam := provider.SpamComplaint
	whole := store.SuppressionFilter{SubAccountID: b.sub.ID, From: start.AddDate(0, 0, -1), To: start.AddDate(0, 0, 1)}
	for _, c := range []struct {
		want   string
		n      int64
		change func(*store.SuppressionFilter)
	}{
		{"a b c", 3, func(*store.SuppressionFilter) {}},
		{"c", 1, func(f *store.SuppressionFilter) { f.Reason = &spam }},
		{"b", 1, func(f *store.SuppressionFilter) { f.Search = "B@EX" }},
		{"", 0, func(f *store.SuppressionFilter) { f.Search = "%" }},
		{"c", 1, func(f *store.SuppressionFilter) { f.From = b.now }},
		{"a b", 2, func(f *store.SuppressionFilter) { f.To = b.now }},
		{"b", 3, func(f *store.SuppressionFilter) { f.Offset, f.Limit = 1, 1 }},
	} {
		f := whole
		c.change(&f)
		list, err := b.store.Suppressions(b.ctx(), f)
		b.must(err)
		var got []string
		for _, s := range list {
			got = append(got, s.Email[:1])
		}
		n, err := b.store.CountSuppressions(b.ctx(), f)
		b.must(err)
		newest := len(got) == 0 || got[0] == "c" || f.To.Equal(b.now)
		slices.Sort(got)
		if f.Limit == 1 && len(got) == 1 { // of two that were made at once
			got[0] = c.want
			newest = true
		}
		if strings.Join(got, " ") != c.want || n != c.n || f.Search == "" && !newest {
			t.Errorf("%+v: %v, %d", f, got, n)
		}
	}
	var walked []string // one by one, from place to place
	for f := (store.SuppressionFilter{SubAccountID: b.sub.ID, From: whole.From, To: whole.To, Limit: 1}); len(walked) < 10; {
		list, err := b.store.Suppressions(b.ctx(), f)
		b.must(err)
		if len(list) == 0 {
			break
		}
		walked = append(walked, list[0].Email[:1])
		f.Below = list[0].Place()
	}
	if slices.Sort(walked[1:]); strings.Join(walked, " ") != "c a b" {
		t.Errorf("from place to place: %v", walked)
	}
	if ended := b.reactivate(nil, "A@Example.net", "nobody@example.net"); len(ended) != 1 || ended[0].ID != stored[1].ID {
		t.Errorf("ended: %+v", ended)
	}
	b.wantSuppressed(b.sub.ID, "b@example.net hardBounce", "c@example.net spamComplaint")
	held, err := b.store.Suppressed(b.ctx(), []store.SuppressionKey{{SubAccountID: b.sub.ID, Email: "a@example.net"}, {SubAccountID: b.sub.ID, Email: "b@example.net"},
		{SubAccountID: b.sub.ID + 1, Email: "c@example.net"}})
	b.must(err)
	if len(held) != 1 || held[store.SuppressionKey{SubAccountID: b.sub.ID, Email: "b@example.net"}].Reason != provider.HardBounce {
		t.Errorf("held: %+v", held)
	}
	b.suppress(nil, provider.Unsubscribed, "a@example.net")
	b.wantSuppressed(b.sub.ID, "a@example.net unsubscribe", "b@example.net hardBounce", "c@example.net spamComplaint")
}

// suppressedMail: a suppressed recipient's message is dropped when it comes, and takes no place in a sequence; a suppressed copy is left out.
func suppressedMail(t *testing.T, b *bench) {
	if held, err := b.store.Suppressed(b.ctx(), []store.SuppressionKey{{SubAccountID: b.sub.ID, Email: "x@example.net"}}); err != nil || len(held) != 0 {
		t.Errorf("fresh: %v, %v", held, err)
	}
	b.suppress(nil, provider.HardBounce, "gone@example.net", "copy@example.net")
	s, ids := b.submission("ana@gmail.com", "Gone@example.net", "bob@gmail.com")
	var seqs []uint64
	for i := range s.Messages {
		m := &s.Messages[i]
		m.Spread = true
		m.Plan = func(seq uint64) store.Planned { seqs = append(seqs, seq); return plan(b.egress())(seq) }
		m.Copies = []string{"Copy@example.net"}
		m.Without = func(gone func(string) bool) ([]byte, error) {
			var r mail.Recipient
			if err := mail.DecodeRecipient(m.Recipient, &r); err != nil {
				return nil, err
			}
			rest := r.Without(gone)
			return rest.Encode()
		}
	}
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	b.accept("carl@gmail.com")
	if len(seqs) != 2 || seqs[1] != seqs[0]+1 {
		t.Errorf("places in the sequence: %v", seqs)
	}
	if n := b.backlog(); n > 3 {
		t.Errorf("backlog %d", n)
	}
	b.wantState(ids[1], lifecycle.Dropped)
	b.wantTypes(ids[1], 0, 1)
	b.wantTypes(ids[0], 69, 1) // its copy is left out
	events, err := b.store.Events(b.ctx(), store.EventFilter{AccountID: b.account.ID, MessageID: ids[1], Limit: 9})
	b.must(err)
	if got := events[1].Detail.SMTPDescription; !strings.Contains(got, "hardBounce") || events[1].TPSPID != 0 {
		t.Errorf("the event: %+v", events[1])
	}
	entries, err := b.store.Entries(b.ctx(), b.account.ID, mail.ID{}, 10)
	b.must(err)
	for _, e := range entries {
		if e.ID == ids[1] && (e.Queued || e.Stored != lifecycle.Dropped || e.Attempts != 0) {
			t.Errorf("in the books: %+v", e)
		}
	}
	if jobs := b.claim(10); len(jobs) != 3 {
		t.Errorf("claimed %d", len(jobs))
	}

	s, ids = b.submission("dora@gmail.com")
	m := &s.Messages[0]
	r := mail.Recipient{Address: mail.Address{Email: "dora@gmail.com"}, CC: []mail.Address{{Email: "Copy@example.net"}, {Email: "fine@example.net"}}}
	m.Copies = []string{"Copy@example.net", "fine@example.net"}
	m.Without = func(gone func(string) bool) ([]byte, error) { rest := r.Without(gone); return rest.Encode() }
	b.must(b.store.Accept(b.ctx(), []store.Submission{s}))
	if got := b.message(ids[0]); len(got.Recipient.CC) != 1 || got.Recipient.CC[0].Email != "fine@example.net" {
		t.Errorf("copies: %+v", got.Recipient)
	}
	b.wantTypes(ids[0], 69, 1)
	if counts := b.counts(); counts[1] != 1 {
		t.Errorf("a dropped copy counts for recipients: %v", counts)
	}
	b.reactivate(nil, "gone@example.net")
	b.wantTypes(b.accept("gone@example.net")[0], 69)
}

// suppressingReports: fresh reports suppress; what is older than a reactivation does not.
func suppressingReports(t *testing.T, b *bench) {
	id := b.send("ana@gmail.com")
	bounce := b.report(id, event.HardBounced, "bounce")
	bounce.Suppresses, bounce.Reason, bounce.SMTPDescription = true, provider.HardBounce, "550 no such user"
	b.deliver(bounce)
	b.wantSuppressed(b.sub.ID, "ana@gmail.com hardBounce")
	b.later(time.Hour)
	b.reactivate(nil, "ana@gmail.com")
	b.deliver(bounce) // a copy
	late := bounce
	late.Identity, late.OccurredAt = "late", b.now.Add(-time.Minute)
	b.deliver(late)
	b.wantSuppressed(b.sub.ID)
	b.later(time.Minute)
	spam := b.report(id, event.Spam, "spam")
	spam.Suppresses, spam.Reason = true, provider.SpamComplaint
	again := b.report(id, event.HardBounced, "again")
	again.Suppresses, again.Reason = true, provider.HardBounce
	opened := b.report(id, event.Opened, "open")
	b.deliver(again, spam, opened)
	b.wantSuppressed(b.sub.ID, "ana@gmail.com spamComplaint")
	other := b.report(id, event.HardBounced, "copy")
	other.Recipient, other.Suppresses, other.Reason = "Copy@example.net", true, provider.HardBounce
	b.deliver(other)
	b.wantSuppressed(b.sub.ID, "ana@gmail.com spamComplaint", "copy@example.net hardBounce")
}

// suppressingAnswers: what a provider says when it is called suppresses, whatever becomes of the message; any other source knows better.
func suppressingAnswers(t *testing.T, b *bench) {
	b.accept("ana@gmail.com", "bob@gmail.com")
	jobs := b.claim(2)
	drop := event.Type(74)
	one := store.Settlement{Job: &jobs[0], Trigger: lifecycle.Drop, Drop: &drop, Inactive: []string{"Ana@gmail.com", "copy@example.net"},
		Outcome: &provider.Outcome{Class: provider.Inactive, Text: "inactive"}}
	two := accepted(&jobs[1], "pm-2")
	two.Inactive = []string{"copy@example.net"}
	b.settle(one, two)
	b.wantSuppressed(b.sub.ID, "ana@gmail.com manual", "copy@example.net manual")
	bounce := b.report(jobs[1].ID, event.SoftBounced, "b")
	bounce.Recipient, bounce.Suppresses, bounce.Reason = "copy@example.net", true, provider.HardBounce
	b.deliver(bounce)
	b.wantSuppressed(b.sub.ID, "ana@gmail.com manual", "copy@example.net hardBounce")

	b.accept("cleo@gmail.com")
	refused := accepted(&b.claim(1)[0], "id")
	refused.Inactive, refused.Outcome = []string{"gone@example.net"}, &provider.Outcome{Class: provider.Accepted, Bounce: event.HardBounced, Text: "5.1.1"}
	b.settle(refused)
	b.wantSuppressed(b.sub.ID, "ana@gmail.com manual", "copy@example.net hardBounce", "gone@example.net hardBounce")
	b.reactivate(nil, "gone@example.net")

	b.later(time.Minute)
	b.reactivate(nil, "ana@gmail.com")
	for _, c := range []struct {
		after time.Duration
		want  []string
	}{{time.Minute, nil}, {store.EchoTime, []string{"ana@gmail.com manual"}}} {
		b.later(c.after)
		b.accept("ana@gmail.com")
		job := b.claim(1)
		echo := one
		echo.Job, echo.Inactive, echo.At = &job[0], []string{"ana@gmail.com"}, b.now
		b.settle(echo)
		b.wantSuppressed(b.sub.ID, append(c.want, "copy@example.net hardBounce")...)
	}
	if held, err := b.store.Suppressed(b.ctx(), []store.SuppressionKey{{SubAccountID: b.sub.ID, Email: "ana@gmail.com"}}); err != nil || len(held) != 1 {
		t.Errorf("held: %v, %v", held, err)
	}
}

// explainedAnswers: an answer without a reason has the one of the provider's list, also for a sub-account that mails an address long after it was
// listed. What another list says, or one from which the address was taken off, is none.
func explainedAnswers(t *testing.T, b *bench) {
	b.inMirror(b.tpsp.ID, "one")
	other, _ := b.newTPSP(b.account.ID, "Other", "token two", "outbound")
	b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "left@gmail.com", Reason: provider.Unsubscribed, At: b.now},
		provider.Listed{Email: "spam@gmail.com", Reason: provider.SpamComplaint, At: b.now}, provider.Listed{Email: "hand@gmail.com", Reason: provider.Manual, At: b.now},
		provider.Listed{Email: "released@gmail.com", Reason: provider.HardBounce, At: b.now})
	b.mirror(other.ID, nil, provider.Listed{Email: "elsewhere@gmail.com", Reason: provider.HardBounce, At: b.now})
	b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: store.Push{TPSPID: b.tpsp.ID, Email: "released@gmail.com", Release: true}, Done: true, Mirror: true, At: b.now}}))
	b.later(time.Hour)
	two := b.newSub("two")
	b.as(two, func() {
		b.accept("left@gmail.com", "spam@gmail.com", "hand@gmail.com", "released@gmail.com", "elsewhere@gmail.com")
		drop := event.Type(74)
		var batch []store.Settlement
		for _, job := range b.claim(5) {
			batch = append(batch, store.Settlement{Job: &job, Trigger: lifecycle.Drop, Drop: &drop, At: b.now, Inactive: []string{job.Recipient.Email},
				Outcome: &provider.Outcome{Class: provider.Inactive, Text: "inactive"}})
		}
		b.settle(batch...)
	})
	b.wantSuppressed(two, "elsewhere@gmail.com manual", "hand@gmail.com manual", "left@gmail.com unsubscribe", "released@gmail.com manual", "spam@gmail.com spamComplaint")
}

// mirror brings changes of the bench's list in.
func (b *bench) mirror(tpsp int32, gone []string, listed ...provider.Listed) store.MirrorEffect {
	b.t.Helper()
	effect, err := b.store.MirrorSuppressions(b.ctx(), store.ListChange{AccountID: b.account.ID, TPSPID: tpsp, DefaultSubAccount: b.sub.ID, Listed: listed,
		Gone: gone, ReadAt: b.now, Now: b.now.Add(time.Second)})
	b.must(err)
	return effect
}

// inMirror returns the addresses of a mirror, those that we put there with a star, those
// that we took off with a dash.
func (b *bench) inMirror(tpsp int32, connection string) string {
	b.t.Helper()
	b.must(b.store.ConnectSuppressions(b.ctx(), tpsp, connection))
	mirror, err := b.store.SuppressionMirror(b.ctx(), tpsp)
	b.must(err)
	var list []string
	for email, m := range mirror {
		switch {
		case !m.Pushed.IsZero():
			email += "*"
		case !m.Released.IsZero():
			email += "-"
		}
		list = append(list, email)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// suppressionLists: providers' lists and what follows from them.
func suppressionLists(t *testing.T, b *bench) {
	two := b.newSub("two")
	b.sub.ID, two = two, b.sub.ID // the second one mails
	b.send("ana@gmail.com")
	b.sub.ID, two = two, b.sub.ID
	if got := b.inMirror(b.tpsp.ID, "one"); got != "" {
		t.Errorf("fresh: %s", got)
	}
	old := b.now.Add(-time.Hour)
	effect := b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "ana@gmail.com", Reason: provider.HardBounce, At: old},
		provider.Listed{Email: "stranger@example.net", Reason: provider.Manual, At: old})
	if effect != (store.MirrorEffect{Suppressed: 2}) {
		t.Errorf("effect: %+v", effect)
	}
	b.wantSuppressed(two, "ana@gmail.com hardBounce")
	b.wantSuppressed(b.sub.ID, "stranger@example.net manual")
	if effect := b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "ana@gmail.com", Reason: provider.SpamComplaint, At: old}); effect.Suppressed != 1 {
		t.Errorf("another reason: %+v", effect)
	}
	b.wantSuppressed(two, "ana@gmail.com spamComplaint")
	if got := b.inMirror(b.tpsp.ID, "one"); got != "ana@gmail.com stranger@example.net" {
		t.Errorf("mirror: %s", got)
	}

	// Another list has it as well: the suppression is that one's, until it is gone from there.
	other, _ := b.newTPSP(b.account.ID, "Other", "token two", "outbound")
	b.inMirror(other.ID, "x")
	b.mirror(other.ID, nil, provider.Listed{Email: "stranger@example.net", Reason: provider.Manual, At: old})
	b.later(time.Minute)
	if effect := b.mirror(b.tpsp.ID, []string{"stranger@example.net"}); effect.Reactivated != 0 {
		t.Errorf("it stands elsewhere: %+v", effect)
	}
	b.wantSuppressed(b.sub.ID, "stranger@example.net manual")
	if effect := b.mirror(other.ID, []string{"stranger@example.net", "never@example.net"}); effect.Reactivated != 1 {
		t.Errorf("it stands nowhere: %+v", effect)
	}
	b.wantSuppressed(b.sub.ID)

	// What stood there before the reactivation is no news; what a user said since counts.
	b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "stranger@example.net", Reason: provider.Manual, At: old})
	b.wantSuppressed(b.sub.ID)
	b.later(time.Minute)
	b.suppress(nil, provider.Manual, "stranger@example.net")
	b.mirror(b.tpsp.ID, []string{"stranger@example.net"})
	b.wantSuppressed(b.sub.ID, "stranger@example.net manual")

	// An entry that somebody else made concerns nobody where a user suppresses the address already, and does not end what that user said.
	own := b.sub.ID
	b.sub.ID = two
	b.suppress(nil, provider.Manual, "late@example.net")
	b.sub.ID = own
	if effect := b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "late@example.net", Reason: provider.Manual, At: b.now}); effect.Suppressed != 0 {
		t.Errorf("it is suppressed already: %+v", effect)
	}
	b.wantSuppressed(own, "stranger@example.net manual")
	b.later(time.Minute)
	if effect := b.mirror(b.tpsp.ID, []string{"late@example.net"}); effect.Reactivated != 0 {
		t.Errorf("gone from there: %+v", effect)
	}
	b.wantSuppressed(two, "ana@gmail.com spamComplaint", "late@example.net manual")

	// What came through a TPSP that was deleted is that one's which has the list now.
	b.inMirror(other.ID, "x")
	b.mirror(other.ID, nil, provider.Listed{Email: "old@example.net", Reason: provider.HardBounce, At: b.now})
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, other.ID, true, b.now))
	b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "old@example.net", Reason: provider.HardBounce, At: b.now})
	b.later(time.Minute)
	if effect := b.mirror(b.tpsp.ID, []string{"old@example.net"}); effect.Reactivated != 1 {
		t.Errorf("of a deleted TPSP: %+v", effect)
	}

	// Another connection is another list, of which nothing is known: nothing ends.
	if got := b.inMirror(b.tpsp.ID, "two"); got != "" {
		t.Errorf("mirror of another connection: %s", got)
	}
	b.wantSuppressed(two, "ana@gmail.com spamComplaint", "late@example.net manual")
	b.must(b.store.SuppressionsRead(b.ctx(), b.tpsp.ID, b.now, "no"))
	lists, err := b.store.SuppressionLists(b.ctx())
	b.must(err)
	if len(lists) != 2 || lists[0].TPSPID != b.tpsp.ID || !lists[0].ReadAt.Equal(b.now) || lists[0].Error != "no" || !lists[1].ReadAt.IsZero() {
		t.Errorf("lists: %+v", lists)
	}
}

func (b *bench) pushes(tpsp int32) []store.Push {
	b.t.Helper()
	list, err := b.store.Pushes(b.ctx(), tpsp, b.now, 50)
	b.must(err)
	return list
}

// suppressionPushes: what is to be done at providers.
func suppressionPushes(t *testing.T, b *bench) {
	push := []int32{b.tpsp.ID}
	b.suppress(push, provider.Manual, "a@example.net", "b@example.net")
	b.later(time.Second)
	lists, err := b.store.SuppressionLists(b.ctx())
	b.must(err)
	if len(lists) != 1 || lists[0].PushAt.IsZero() || lists[0].PushAt.After(b.now) {
		t.Errorf("lists: %+v", lists)
	}
	due := b.pushes(b.tpsp.ID)
	if len(due) != 2 || due[0].Email != "a@example.net" || due[0].Release || due[0].Shared || due[0].SubAccountID != b.sub.ID || due[0].AccountID != b.account.ID {
		t.Fatalf("due: %+v", due)
	}
	// The list has one of them already, when it is read: it is ours.
	b.inMirror(b.tpsp.ID, "one")
	if effect := b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "b@example.net", At: b.now}); effect.Suppressed != 0 {
		t.Errorf("an echo: %+v", effect)
	}
	b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: due[0], Done: true, Mirror: true, At: b.now},
		{Push: due[1], Failure: "no", Next: b.now.Add(time.Minute), At: b.now}}))
	if left := b.pushes(b.tpsp.ID); len(left) != 0 {
		t.Errorf("too early: %+v", left)
	}
	if got := b.inMirror(b.tpsp.ID, "one"); got != "a@example.net* b@example.net*" {
		t.Errorf("mirror: %s", got)
	}
	b.later(time.Minute)
	again := b.pushes(b.tpsp.ID)
	if len(again) != 1 || again[0].Tries != 1 || again[0].Error != "no" {
		t.Fatalf("again: %+v", again)
	}
	// A later wish counts, and what came of the former one does not end it.
	b.reactivate(push, "b@example.net")
	b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: again[0], Done: true, Mirror: true, At: b.now}}))
	wish := b.pushes(b.tpsp.ID)
	if len(wish) != 1 || !wish[0].Release || wish[0].Tries != 0 {
		t.Fatalf("a later wish: %+v", wish)
	}
	if effect := b.mirror(b.tpsp.ID, []string{"b@example.net"}, provider.Listed{Email: "b@example.net", At: b.now.Add(time.Hour)}); effect != (store.MirrorEffect{}) {
		t.Errorf("the list does not matter while a wish stands: %+v", effect)
	}
	b.wantSuppressed(b.sub.ID, "a@example.net manual")
	b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: wish[0], Refused: "not allowed", Kept: true, Reason: provider.SpamComplaint, At: b.now}}))
	b.wantSuppressed(b.sub.ID, "a@example.net manual", "b@example.net spamComplaint")
	refused, err := b.store.RefusedPushes(b.ctx(), b.tpsp.ID, 10)
	b.must(err)
	if len(refused) != 1 || refused[0].Email != "b@example.net" || refused[0].Error != "not allowed" || !refused[0].Release || len(b.pushes(b.tpsp.ID)) != 0 {
		t.Errorf("refused: %+v", refused)
	}
	// Taken off the list by others, it ends here as well.
	b.later(time.Minute)
	if effect := b.mirror(b.tpsp.ID, []string{"a@example.net"}); effect.Reactivated != 1 {
		t.Errorf("gone from there: %+v", effect)
	}

	// What was taken off may still show, and that it does not, then, ends nothing.
	b.suppress(push, provider.Manual, "d@example.net")
	b.reactivate(push, "d@example.net")
	b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: b.pushes(b.tpsp.ID)[0], Done: true, Mirror: true, At: b.now}}))
	if got := b.inMirror(b.tpsp.ID, "one"); got != "b@example.net* d@example.net-" {
		t.Errorf("mirror: %s", got)
	}
	b.later(time.Minute)
	b.suppress(nil, provider.Manual, "d@example.net")
	b.later(time.Minute)
	b.mirror(b.tpsp.ID, []string{"d@example.net"})
	b.wantSuppressed(b.sub.ID, "b@example.net spamComplaint", "d@example.net manual")
	if got := b.inMirror(b.tpsp.ID, "one"); got != "b@example.net*" {
		t.Errorf("mirror: %s", got)
	}

	two := b.newSub("two")
	b.sub.ID, two = two, b.sub.ID
	b.send("x@gmail.com")
	b.sub.ID, two = two, b.sub.ID
	b.suppress(push, provider.Manual, "c@example.net")
	b.later(time.Second)
	if list := b.pushes(b.tpsp.ID); len(list) != 1 || !list[0].Shared {
		t.Errorf("others mail through it: %+v", list)
	}
	own := b.sub.ID
	b.sub.ID = two
	b.suppress(nil, provider.Manual, "c@example.net")
	b.sub.ID = own
	if list := b.pushes(b.tpsp.ID); len(list) != 1 || list[0].Shared {
		t.Errorf("others do not mail it: %+v", list)
	}
}

// as runs something for another sub-account than the bench's.
func (b *bench) as(sub int32, run func()) {
	own := b.sub.ID
	b.sub.ID = sub
	run()
	b.sub.ID = own
}

// suppressionsOfOthers: an entry that is gone ends those suppressions of users only that were put on that very list.
func suppressionsOfOthers(t *testing.T, b *bench) {
	const email = "x@example.net"
	push := []int32{b.tpsp.ID}
	two := b.newSub("two")
	entry := provider.Listed{Email: email, Reason: provider.Manual}
	b.inMirror(b.tpsp.ID, "one")
	gone := func(what string, want int) {
		t.Helper()
		b.later(time.Hour)
		if effect := b.mirror(b.tpsp.ID, []string{email}); effect.Reactivated != want {
			t.Errorf("%s: %+v", what, effect)
		}
	}
	comesAndGoes := func(what string, want int) {
		t.Helper()
		b.later(time.Hour)
		entry.At = b.now
		b.mirror(b.tpsp.ID, nil, entry)
		gone(what, want)
	}
	done := func(mirror bool) {
		t.Helper()
		b.later(time.Minute)
		due := b.pushes(b.tpsp.ID)
		if len(due) != 1 {
			t.Fatalf("due: %+v", due)
		}
		b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: due[0], Done: true, Mirror: mirror, At: b.now}}))
	}

	b.suppress(nil, provider.Unsubscribed, email) // as with from-provider
	comesAndGoes("never pushed", 0)
	b.wantSuppressed(b.sub.ID, email+" unsubscribe")

	b.suppress(push, provider.Unsubscribed, email)
	done(false)
	comesAndGoes("kept here, because others mail it", 0)
	b.wantSuppressed(b.sub.ID, email+" unsubscribe")

	b.as(two, func() { b.suppress(nil, provider.Unsubscribed, email) })
	b.suppress(push, provider.Manual, email)
	done(true)
	gone("one of two is pushed", 1)
	b.wantSuppressed(b.sub.ID)
	b.wantSuppressed(two, email+" unsubscribe")

	// What is suppressed anew, and not pushed, is not what was pushed before.
	b.suppress(push, provider.Manual, email)
	done(true)
	b.reactivate(nil, email)
	b.later(time.Minute)
	b.suppress(nil, provider.Manual, email)
	gone("pushed before", 0)
	b.wantSuppressed(b.sub.ID, email+" manual")

	// What was pushed is there although nobody heard of it.
	b.suppress(push, provider.Manual, email)
	b.later(time.Minute)
	b.mirror(b.tpsp.ID, nil, entry)
	b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: b.pushes(b.tpsp.ID)[0], Refused: "no", At: b.now}}))
	gone("found there", 1)
	b.wantSuppressed(b.sub.ID)

	// Another connection is another list.
	b.suppress(push, provider.Manual, email)
	done(true)
	b.inMirror(b.tpsp.ID, "two")
	comesAndGoes("of another connection", 0)
	b.wantSuppressed(b.sub.ID, email+" manual")
	b.wantSuppressed(two, email+" unsubscribe")
}

// setSync changes how a TPSP's list is kept in step.
func (b *bench) setSync(p directory.TPSP, sync directory.SuppressionSync) {
	b.t.Helper()
	p.SuppressionSync = sync
	b.must(b.store.UpdateTPSP(b.ctx(), &p))
}

// listsThatAreOff: a list that nobody reads any more keeps no address suppressed.
func listsThatAreOff(t *testing.T, b *bench) {
	other, _ := b.newTPSP(b.account.ID, "Other", "token two", "outbound")
	for _, c := range []struct {
		sync directory.SuppressionSync
		want int
	}{{directory.SyncFromProvider, 0}, {directory.SyncOff, 1}} {
		entry := provider.Listed{Email: fmt.Sprintf("%s@example.net", c.sync), Reason: provider.HardBounce, At: b.now}
		b.setSync(other, directory.SyncBoth)
		b.mirror(b.tpsp.ID, nil, entry)
		b.mirror(other.ID, nil, entry)
		b.setSync(other, c.sync)
		b.later(time.Minute)
		if effect := b.mirror(b.tpsp.ID, []string{entry.Email}); effect.Reactivated != c.want {
			t.Errorf("the other list is %s: %+v", c.sync, effect)
		}
	}
}

// wishesOfAnotherSetting: what was to be pushed is not, once that is not asked for any more.
func wishesOfAnotherSetting(t *testing.T, b *bench) {
	push := []int32{b.tpsp.ID}
	b.inMirror(b.tpsp.ID, "one")
	b.suppress(push, provider.Manual, "waits@example.net", "refused@example.net")
	b.later(time.Second)
	for _, p := range b.pushes(b.tpsp.ID) {
		if p.Email == "refused@example.net" {
			b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: p, Refused: "no", At: b.now}}))
		}
	}
	b.setSync(b.tpsp, directory.SyncBoth)
	if due := b.pushes(b.tpsp.ID); len(due) != 1 {
		t.Errorf("the setting is as it was: %+v", due)
	}
	b.setSync(b.tpsp, directory.SyncFromProvider)
	refused, err := b.store.RefusedPushes(b.ctx(), b.tpsp.ID, 10)
	b.must(err)
	if due := b.pushes(b.tpsp.ID); len(due) != 0 || len(refused) != 0 {
		t.Errorf("due: %+v, refused: %+v", due, refused)
	}
	// A wish of somebody who did not know yet.
	b.suppress(push, provider.Manual, "late@example.net")
	b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "late@example.net", Reason: provider.Manual, At: b.now})
	if got := b.inMirror(b.tpsp.ID, "one"); got != "late@example.net" {
		t.Errorf("mirror: %s", got)
	}
}

// deletedSuppress: what sub-accounts did that were deleted keeps no entry from suppressing its address.
func deletedSuppress(t *testing.T, b *bench) {
	two := b.newSub("two")
	b.as(two, func() {
		b.suppress(nil, provider.Manual, "suppressed@example.net")
		b.send("mailed@gmail.com")
	})
	b.must(b.store.DeleteSubAccount(b.ctx(), b.account.ID, two, b.now))
	b.mirror(b.tpsp.ID, nil, provider.Listed{Email: "mailed@gmail.com", Reason: provider.HardBounce, At: b.now},
		provider.Listed{Email: "suppressed@example.net", Reason: provider.HardBounce, At: b.now})
	b.wantSuppressed(b.sub.ID, "mailed@gmail.com hardBounce", "suppressed@example.net hardBounce")
	b.wantSuppressed(two, "suppressed@example.net manual")
}

// suppressionsForgotten: what is left of reactivations is kept for so long as something from before may be reported, and of a list until its
// TPSP is deleted.
func suppressionsForgotten(t *testing.T, b *bench) {
	b.suppress(nil, provider.Manual, "old@example.net", "fresh@example.net", "again@example.net", "stays@example.net")
	b.reactivate(nil, "old@example.net", "again@example.net")
	b.later(300 * 24 * time.Hour)
	b.suppress(nil, provider.Manual, "again@example.net")
	b.reactivate(nil, "fresh@example.net")
	other, _ := b.newTPSP(b.account.ID, "Other", "token two", "outbound")
	var listed []provider.Listed
	for i := range 1200 {
		listed = append(listed, provider.Listed{Email: fmt.Sprintf("u%04d@example.net", i), Reason: provider.Manual, At: b.now})
	}
	for _, tpsp := range []int32{b.tpsp.ID, other.ID} {
		b.inMirror(tpsp, "one")
		b.mirror(tpsp, nil, listed...)
		b.suppress([]int32{tpsp}, provider.Manual, "stays@example.net")
		b.later(time.Second)
		due := b.pushes(tpsp)
		b.must(b.store.Pushed(b.ctx(), []store.PushOutcome{{Push: due[0], Done: true, Mirror: true, At: b.now}}))
		b.suppress([]int32{tpsp}, provider.Manual, "stays@example.net")
	}
	b.must(b.store.DeleteTPSP(b.ctx(), b.account.ID, other.ID, true, b.now))
	b.later(101 * 24 * time.Hour)
	_, _, err := b.store.Expire(b.ctx(), store.Expiry{TTL: time.Hour, Now: b.now, Limit: 1})
	b.must(err)
	lists, err := b.store.SuppressionLists(b.ctx())
	b.must(err)
	if len(lists) != 1 || lists[0].TPSPID != b.tpsp.ID || lists[0].PushAt.IsZero() {
		t.Errorf("lists: %+v", lists)
	}
	for tpsp, want := range map[int32]int{b.tpsp.ID: 1201, other.ID: 0} {
		mirror, err := b.store.SuppressionMirror(b.ctx(), tpsp)
		b.must(err)
		if len(mirror) != want {
			t.Errorf("mirror of %d: %d entries, want %d", tpsp, len(mirror), want)
		}
	}
	// Only now does a report from before count: nobody knows of the reactivation.
	id := b.send("ana@gmail.com")
	var late []provider.Report
	for _, email := range []string{"old@example.net", "fresh@example.net"} {
		r := b.report(id, event.HardBounced, email)
		r.Recipient, r.Suppresses, r.Reason, r.OccurredAt = email, true, provider.HardBounce, start.Add(-time.Hour)
		late = append(late, r)
	}
	b.deliver(late...)
	held, err := b.store.Suppressed(b.ctx(), []store.SuppressionKey{{SubAccountID: b.sub.ID, Email: "old@example.net"},
		{SubAccountID: b.sub.ID, Email: "fresh@example.net"}, {SubAccountID: b.sub.ID, Email: "again@example.net"}, {SubAccountID: b.sub.ID, Email: "stays@example.net"}})
	b.must(err)
	var got []string
	for key := range held {
		got = append(got, key.Email)
	}
	slices.Sort(got)
	if want := []string{"again@example.net", "old@example.net", "stays@example.net"}; !slices.Equal(got, want) {
		t.Errorf("suppressed: %v, want %v", got, want)
	}
}
