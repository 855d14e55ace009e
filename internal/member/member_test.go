package member

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"postyard/internal/account"
	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/secret"
	"postyard/internal/store"
	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// quick is a cost that keeps tests short.
var quick = cost{memory: 64, passes: 1, threads: 1}

// office is an account with its members, on a clock that tests move.
type office struct {
	*testing.T
	*Service
	db  *sqlite.DB
	key string
	at  time.Time
}

const goodPassword = "correct horse battery"

func newOffice(t *testing.T, public string) *office {
	t.Helper()
	o := &office{T: t, at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	var err error
	o.db, err = sqlite.Open(t.Context(), sqlitetest.Dir(t))
	o.must(err)
	t.Cleanup(func() { _ = o.db.Close() })
	dir, err := directory.Open(t.Context(), o.db)
	o.must(err)
	accounts := account.New(dir, o.db, secret.NewBox(secret.NewKey()), time.Now)
	fresh, _, err := accounts.Bootstrap(t.Context(), "Pied Piper")
	o.must(err)
	o.key = fresh.AccountKey.Reveal()
	o.Service = o.node(accounts, public)
	return o
}

// node is a server of its own with the same database.
func (o *office) node(accounts Accounts, public string) *Service {
	o.Helper()
	s, err := newService(Config{Store: o.db, Accounts: accounts, PublicURL: public, Now: func() time.Time { return o.at }}, quick)
	o.must(err)
	return s
}

func (o *office) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// want checks an error.
func (o *office) want(what string, got, want error) {
	o.Helper()
	if !errors.Is(got, want) {
		o.Errorf("%s: %v, want %v", what, got, want)
	}
}

// from is a request that comes from an address, with the cookies of a token if there is one.
func (o *office) from(address string, token ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/web/session", http.NoBody)
	r.RemoteAddr = address + ":4711"
	for _, one := range token {
		r.AddCookie(&http.Cookie{Name: o.cookieName(), Value: one})
	}
	return r
}

// setUp makes the first owner and returns the token of their session.
func (o *office) setUp() string {
	o.Helper()
	token, err := o.SetUp(o.Context(), o.from("198.51.100.1"), o.key, "Richard", "richard@example.com", goodPassword)
	o.must(err)
	return token
}

// join invites somebody who takes the invitation.
func (o *office) join(email, role string) (m *store.Member, token string) {
	o.Helper()
	m, invitation, err := o.Invite(o.Context(), 1, email, "Somebody", role)
	o.must(err)
	token, err = o.Join(o.Context(), o.from("198.51.100.2"), tokenOf(invitation), goodPassword)
	o.must(err)
	return m, token
}

func tokenOf(invitation string) string { return invitation[strings.Index(invitation, "#")+1:] }

func TestSetUpOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	if needed, err := o.NeedsSetup(t.Context()); err != nil || !needed {
		t.Fatalf("needs set-up: %t, %v", needed, err)
	}
	_, err := o.SetUp(t.Context(), o.from("198.51.100.1"), "AAAAAAAAAAAAAAAAAAAA", "Richard", "richard@example.com", goodPassword)
	o.want("another key", err, ErrAccountKey)
	var running sync.WaitGroup
	tokens := make(chan string, 8)
	for i := range cap(tokens) {
		running.Go(func() {
			token, err := o.SetUp(t.Context(), o.from("198.51.100.1"), " "+o.key+" ", "Richard", fmt.Sprintf("r%d@example.com", i), goodPassword)
			if err == nil {
				tokens <- token
			} else {
				o.want("the others", err, ErrSetUp)
			}
		})
	}
	running.Wait()
	if len(tokens) != 1 {
		t.Fatalf("%d set the account up", len(tokens))
	}
	now, err := o.Session(t.Context(), <-tokens)
	o.must(err)
	if now.Member.Role != store.Owner {
		t.Errorf("the first member is %s", now.Member.Role)
	}
	if needed, err := o.NeedsSetup(t.Context()); err != nil || needed {
		t.Errorf("needs set-up: %t, %v", needed, err)
	}
}

func TestWhatPeopleTypeIsChecked(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	for _, c := range []struct{ name, email, password, code string }{
		{"", "a@example.com", goodPassword, "missing_name"},
		{"a\x00b", "a@example.com", goodPassword, "invalid_name"},
		{"a\nb", "a@example.com", goodPassword, "invalid_name"},
		{"a\u009bb", "a@example.com", goodPassword, "invalid_name"},
		{strings.Repeat("a", 300), "a@example.com", goodPassword, "name_too_long"},
		{"Ann", "a", goodPassword, "invalid_email"},
		{"Ann", "a@example.com\r\nBcc: x@example.com", goodPassword, "invalid_email"},
		{"Ann", strings.Repeat("a", 1<<16) + "@example.com", goodPassword, "invalid_email"},
		{"Ann", "a@example.com", "", "missing_password"},
		{"Ann", "a@example.com", "ninechars", "password_too_short"},
		{"Ann", "a@example.com", "äöüäöüäöü", "password_too_short"}, // nine characters, more bytes
		{"Ann", "a@example.com", strings.Repeat("a", 257), "password_too_long"},
		{"Ann", "a@example.com", "aaaaaaaaaa\xff", "invalid_password"},
	} {
		_, err := o.SetUp(t.Context(), o.from("198.51.100.1"), o.key, c.name, c.email, c.password)
		if bad, ok := errors.AsType[*mail.FieldError](err); !ok || bad.Code != c.code {
			t.Errorf("%.20q %.20q %.20q: %v, want %s", c.name, c.email, c.password, err, c.code)
		}
	}
	if members, err := o.Members(t.Context(), 1); err != nil || len(members) != 0 {
		t.Errorf("members %v, %v", members, err)
	}
}

// One mailbox is one member, in whichever way its address and the password's letters are typed.
func TestSignInHoweverItIsTyped(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	_, err := o.SetUp(t.Context(), o.from("198.51.100.1"), o.key, "Jörg", " Jörg.X@Bücher.Example", "müllerstraße")
	if err == nil {
		t.Fatal("a local part that is not ASCII was taken")
	}
	_, err = o.SetUp(t.Context(), o.from("198.51.100.1"), o.key, "Jörg", " Joerg.X@Bücher.Example", "müllerstraße")
	o.must(err)
	for _, email := range []string{"joerg.x@bücher.example", "JOERG.X@XN--BCHER-KVA.EXAMPLE", "\tJoerg.X@BÜCHER.example "} {
		if _, err := o.SignIn(t.Context(), o.from("198.51.100.1"), email, "mu\u0308llerstraße"); err != nil {
			t.Errorf("%q: %v", email, err)
		}
	}
	_, _, err = o.Invite(t.Context(), 1, "JOERG.x@bücher.example", "Another", "viewer")
	o.want("the same mailbox again", err, ErrEmailTaken)
	_, err = o.SignIn(t.Context(), o.from("198.51.100.1"), "joerg.x@bücher.example", "Müllerstraße")
	o.want("another letter", err, ErrCredentials)
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	began := o.at
	token := o.setUp()
	alive := func(want bool) {
		t.Helper()
		now, err := o.Session(t.Context(), token)
		if want && err != nil || !want && !errors.Is(err, ErrSignedOut) {
			t.Errorf("after %s: %+v, %v", o.at.Sub(began), now, err)
		}
	}
	o.at = o.at.Add(MaxIdle - time.Second)
	alive(true)
	o.at = o.at.Add(MaxIdle - time.Second)
	alive(true) // its use was recorded
	o.at = o.at.Add(MaxIdle)
	alive(false)

	began = o.at
	token, err := o.SignIn(t.Context(), o.from("198.51.100.1"), "richard@example.com", goodPassword)
	o.must(err)
	for o.at.Add(11 * time.Hour).Before(began.Add(MaxAge)) {
		o.at = o.at.Add(11 * time.Hour)
		alive(true)
	}
	o.at = began.Add(MaxAge - time.Second)
	alive(true)
	o.at = began.Add(MaxAge)
	alive(false)
	if list, err := o.db.Sessions(t.Context(), 1); err != nil || len(list) != 1 {
		t.Errorf("%d sessions, %v; the next one that begins sweeps", len(list), err)
	}
	for _, strange := range []string{"", "x", token + "x", strings.Repeat("x", 1<<16), "\x00"} {
		_, err := o.Session(t.Context(), strange)
		o.want(fmt.Sprintf("token %.10q", strange), err, ErrSignedOut)
	}
}

// What another node does is seen at once.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	other := o.node(nil, "http://127.0.0.1:8025")
	o.setUp()
	m, token := o.join("monica@example.com", "admin")
	now, err := other.Session(t.Context(), token)
	if err != nil || now.Member.ID != m.ID || now.Member.Role != store.Admin {
		t.Fatalf("at the other node: %+v, %v", now, err)
	}
	here, err := o.Session(t.Context(), token)
	o.must(err)
	if here.CSRF != now.CSRF || !here.Proves(now.CSRF) {
		t.Error("the nodes do not agree on what proves a request")
	}
	viewer := "viewer"
	_, err = other.Update(t.Context(), 1, m.ID, nil, &viewer)
	o.must(err)
	_, err = o.Session(t.Context(), token)
	o.want("another role", err, ErrSignedOut)
	token, err = o.SignIn(t.Context(), o.from("198.51.100.1"), "monica@example.com", goodPassword)
	o.must(err)
	if now, err := other.Session(t.Context(), token); err != nil || now.Member.Role != store.Viewer {
		t.Errorf("%+v, %v", now, err)
	}
	_, err = other.Remove(t.Context(), 1, m.ID)
	o.must(err)
	_, err = o.Session(t.Context(), token)
	o.want("removed", err, ErrSignedOut)
	_, err = o.SignIn(t.Context(), o.from("198.51.100.1"), "monica@example.com", goodPassword)
	o.want("removed", err, ErrCredentials)
}

// A token that somebody had before signing in is worth nothing afterwards.
func TestATokenIsNotKeptOverASignIn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	first := o.setUp()
	second, err := o.SignIn(t.Context(), o.from("198.51.100.1", first), "richard@example.com", goodPassword)
	o.must(err)
	if first == second {
		t.Fatal("the token was kept")
	}
	_, err = o.Session(t.Context(), first)
	o.want("the former session", err, ErrSignedOut)
	planted := strings.Repeat("A", 43)
	third, err := o.SignIn(t.Context(), o.from("198.51.100.1", planted), "richard@example.com", goodPassword)
	o.must(err)
	_, err = o.Session(t.Context(), planted)
	o.want("a token that was planted", err, ErrSignedOut)
	for _, token := range []string{second, third} {
		if _, err := o.Session(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	if list, err := o.db.Sessions(t.Context(), 1); err != nil || string(list[0].Token[:]) == third {
		t.Errorf("%v: the token itself is stored", err)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	first := o.setUp()
	second, err := o.SignIn(t.Context(), o.from("198.51.100.1"), "richard@example.com", goodPassword)
	o.must(err)
	now, err := o.Session(t.Context(), second)
	o.must(err)
	o.want("a wrong password", o.ChangePassword(t.Context(), o.from("198.51.100.1"), now, "wrong", "another good one"), ErrCredentials)
	if err := o.ChangePassword(t.Context(), o.from("198.51.100.1"), now, goodPassword, "short"); err == nil {
		t.Error("a short password was taken")
	}
	o.must(o.ChangePassword(t.Context(), o.from("198.51.100.1"), now, goodPassword, "another good one"))
	_, err = o.Session(t.Context(), first)
	o.want("the other session", err, ErrSignedOut)
	_, err = o.Session(t.Context(), second)
	o.must(err)
	_, err = o.SignIn(t.Context(), o.from("198.51.100.1"), "richard@example.com", goodPassword)
	o.want("the former password", err, ErrCredentials)

	// An invitation is for a forgotten one, too: it is good once, and ends every session.
	_, invitation, err := o.InviteAgain(t.Context(), 1, now.Member.ID)
	o.must(err)
	_, err = o.Session(t.Context(), second)
	o.must(err)
	o.at = o.at.Add(Invitation)
	_, err = o.Join(t.Context(), o.from("198.51.100.1"), tokenOf(invitation), goodPassword)
	o.want("too late", err, ErrInvitation)
	_, invitation, err = o.InviteAgain(t.Context(), 1, now.Member.ID)
	o.must(err)
	if _, err = o.Join(t.Context(), o.from("198.51.100.1"), tokenOf(invitation), "short"); errors.Is(err, ErrInvitation) || err == nil {
		t.Errorf("a short password: %v", err)
	}
	third, err := o.Join(t.Context(), o.from("198.51.100.1"), tokenOf(invitation), goodPassword)
	o.must(err)
	_, err = o.Join(t.Context(), o.from("198.51.100.1"), tokenOf(invitation), goodPassword)
	o.want("twice", err, ErrInvitation)
	if _, err := o.Session(t.Context(), third); err != nil {
		t.Error(err)
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	o.setUp()
	admin := "admin"
	_, err := o.Remove(t.Context(), 1, 1)
	o.want("removed", err, ErrLastOwner)
	_, err = o.Update(t.Context(), 1, 1, nil, &admin)
	o.want("demoted", err, ErrLastOwner)
	m, _ := o.join("monica@example.com", "owner")
	_, err = o.Remove(t.Context(), 1, 1)
	o.must(err)
	_, err = o.Remove(t.Context(), 1, m.ID)
	o.want("the other one", err, ErrLastOwner)
}

// Attempts are limited by what is tried and by where they come from, not by how many come, and those that succeed do not count.
func TestAttemptsAreLimited(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "http://127.0.0.1:8025")
	o.setUp()
	try := func(address, email, password string) error {
		_, err := o.SignIn(t.Context(), o.from(address), email, password)
		return err
	}
	limited := func(what string, err error) {
		t.Helper()
		if e, ok := errors.AsType[*TriesError](err); !ok || e.RetryAfter <= 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 50 {
		o.must(try("198.51.100.7", "richard@example.com", goodPassword))
	}
	for i := range triesPerEmail { // each from another address
		o.want("a guess", try(fmt.Sprintf("[2001:db8:%d::1]", i), "richard@example.com", "wrong password"), ErrCredentials)
	}
	limited("one email from many addresses", try("[2001:db8:ffff::1]", " RICHARD@example.com", goodPassword))
	o.must(func() error { _, err := o.Session(t.Context(), o.sessionOf(1)); return err }())
	o.at = o.at.Add(emailRefill)
	o.must(try("[2001:db8:ffff::1]", "richard@example.com", goodPassword))

	for i := range triesPerAddress { // the addresses are one customer's
		o.want("a guess", try(fmt.Sprintf("[2001:db8:9:9::%d]", i+1), fmt.Sprintf("nobody%d@example.com", i), "wrong password"), ErrCredentials)
	}
	limited("many emails from one address", try("[2001:db8:9:9::ffff]", "nobody@example.com", "wrong password"))
	_, err := o.Join(t.Context(), o.from("[2001:db8:9:9::1]"), "guess", goodPassword)
	limited("invitations", err)
	_, err = o.SetUp(t.Context(), o.from("[2001:db8:9:9::1]"), "guess", "x", "x@example.com", goodPassword)
	limited("account keys", err)
	o.at = o.at.Add(addressRefill)
	o.want("later", try("[2001:db8:9:9::ffff]", "nobody@example.com", "wrong password"), ErrCredentials)
}

// sessionOf begins a session without a sign-in and returns its token.
func (o *office) sessionOf(id int32) string {
	o.Helper()
	list, err := o.Members(o.Context(), 1)
	o.must(err)
	for i := range list {
		if list[i].ID == id {
			token, err := o.begin(o.Context(), o.from("198.51.100.1"), &list[i])
			o.must(err)
			return token
		}
	}
	o.Fatalf("no member %d", id)
	return ""
}

// Attempts that come all at once are as many as those that come one after another.
func TestAttemptsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLimits()
	var taken sync.Map
	var running sync.WaitGroup
	for i := range 64 {
		running.Go(func() {
			if _, err := l.take(fmt.Sprint("address", i), "one@example.com", time.Unix(1, 0)); err == nil {
				taken.Store(i, true)
			}
		})
	}
	running.Wait()
	n := 0
	taken.Range(func(any, any) bool { n++; return true })
	if n != triesPerEmail {
		t.Errorf("%d attempts, want %d", n, triesPerEmail)
	}
}

// Whoever comes with many keys makes the count of no other one be forgotten.
func TestCountsAreNotFlushed(t *testing.T) {
	t.Parallel()
	counted, now := newTries(3, time.Hour), time.Unix(1, 0)
	for range 3 {
		if wait := counted.take("victim@example.com", now); wait != 0 {
			t.Fatal(wait)
		}
	}
	for i := range 100_000 {
		counted.take(fmt.Sprint("other", i), now)
	}
	if counted.take("victim@example.com", now) == 0 {
		t.Error("the count was forgotten")
	}
	if wait := counted.take("victim@example.com", now.Add(time.Hour)); wait != 0 {
		t.Errorf("an hour later: wait %s", wait)
	}
	counted.giveBack("fresh", now.Add(-time.Hour)) // a clock that goes back
}

// An email that nobody has costs what a wrong password costs, and so does somebody who has not joined. It is measured by the memory that
// hashing takes, so it is alone.
func TestUnknownEmailsCostAsMuch(t *testing.T) {
	o := newOffice(t, "http://127.0.0.1:8025")
	costly, err := New(Config{Store: o.db, Accounts: o.Accounts, PublicURL: "http://127.0.0.1:8025", Now: time.Now})
	o.must(err)
	_, err = costly.SetUp(t.Context(), o.from("198.51.100.1"), o.key, "Richard", "richard@example.com", goodPassword)
	o.must(err)
	_, _, err = costly.Invite(t.Context(), 1, "invited@example.com", "Invited", "viewer")
	o.must(err)
	for _, email := range []string{"richard@example.com", "nobody@example.com", "invited@example.com", "nonsense", ""} {
		for _, password := range []string{"wrong password", "", strings.Repeat("x", 10_000)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := costly.SignIn(t.Context(), o.from("198.51.100.1"), email, password)
			runtime.ReadMemStats(&after)
			o.want(email, err, ErrCredentials)
			costs := after.TotalAlloc - before.TotalAlloc
			if want := uint64(current.memory) << 10; costs < want || costs > want*3/2 {
				t.Errorf("%q with %d letters took %d bytes, want some %d", email, len(password), costs, want)
			}
		}
	}
}

// Hashing is bounded: so many at once, so many waiting, and who hangs up while waiting leaves.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	h := newHasher(quick)
	for range hashesAtOnce {
		h.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	failed := make(chan error, cap(h.queue)+10)
	for range cap(failed) {
		running.Go(func() {
			_, err := h.hash(ctx, goodPassword)
			failed <- err
		})
	}
	for range 10 { // those for whom there is no room come back at once
		if _, ok := errors.AsType[*TriesError](<-failed); !ok {
			t.Error("more wait than there is room for")
		}
	}
	cancel()
	running.Wait()
	for range cap(h.queue) {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: %v", err)
		}
	}
	<-h.turns
	if encoded, err := h.hash(t.Context(), goodPassword); err != nil || !strings.HasPrefix(encoded, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("%q, %v", encoded, err)
	}
}

func TestStoredPasswords(t *testing.T) {
	t.Parallel()
	h := newHasher(quick)
	encoded, err := h.hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.hash(t.Context(), goodPassword); err != nil || again == encoded {
		t.Errorf("no salt: %q, %v", again, err)
	}
	// What was made at another cost is verified at that cost.
	for _, c := range []cost{quick, {memory: 128, passes: 2, threads: 2}} {
		salt := random(saltBytes)
		other := encode(c, salt, derive(c, goodPassword, salt, hashBytes))
		if ok, err := h.verify(t.Context(), other, goodPassword); err != nil || !ok {
			t.Errorf("%+v: %t, %v", c, ok, err)
		}
		if ok, err := h.verify(t.Context(), other, goodPassword+"x"); err != nil || ok {
			t.Errorf("%+v, wrong: %t, %v", c, ok, err)
		}
	}
	for _, broken := range []string{"x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=16$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=64,t=1,p=1$!$AAAA", "$argon2id$v=19$m=64,t=1,p=1$AAAA$", encoded + "$"} {
		if ok, err := h.verify(t.Context(), broken, ""); ok || err == nil {
			t.Errorf("%q: %t, %v", broken, ok, err)
		}
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]string{
		"http://127.0.0.1:8025":     "postyard_session=x; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict",
		"https://post.example.com":  "__Host-postyard_session=x; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict",
		"https://post.example:8443": "__Host-postyard_session=x; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict",
	} {
		o := newOffice(t, public)
		if got := o.Cookie("x").String(); got != want {
			t.Errorf("%s: %s", public, got)
		}
		if got := o.Cookie("").String(); !strings.Contains(got, "Max-Age=0") {
			t.Errorf("%s: %s forgets nothing", public, got)
		}
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.AddCookie(o.Cookie("token"))
		if got := o.Token(r); got != "token" {
			t.Errorf("%s: token %q", public, got)
		}
	}
	// A cookie that plain http could have set is none.
	o := newOffice(t, "https://post.example.com")
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: "postyard_session", Value: "planted"})
	if got := o.Token(r); got != "" {
		t.Errorf("token %q", got)
	}
}

// What changes something must prove to come from the session's own page, and from no other site.
func TestRequestsProveThemselves(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "https://post.example.com")
	token, other := o.setUp(), o.sessionOf(1)
	now, err := o.Session(t.Context(), token)
	o.must(err)
	stranger, err := o.Session(t.Context(), other)
	o.must(err)
	for _, c := range []struct {
		what, method, token, proof string
		header                     map[string]string
		want                       error
	}{
		{"reading", "GET", token, "", nil, nil},
		{"reading, from elsewhere", "GET", token, "", map[string]string{"Sec-Fetch-Site": "cross-site"}, nil}, // the cookie does not come along; and nothing changes
		{"the page", "POST", token, now.CSRF, map[string]string{"Sec-Fetch-Site": "same-origin"}, nil},
		{"the page behind a proxy", "POST", token, now.CSRF, map[string]string{"Origin": "https://post.example.com"}, nil},
		{"a program", "DELETE", token, now.CSRF, nil, nil},
		{"no proof", "POST", token, "", map[string]string{"Sec-Fetch-Site": "same-origin"}, ErrForged},
		{"another session's proof", "PUT", token, stranger.CSRF, nil, ErrForged},
		{"another site", "POST", token, now.CSRF, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, ErrForged},
		{"another site of the same domain", "POST", token, now.CSRF, map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example.com"}, ErrForged},
		{"an old browser at another site", "POST", token, now.CSRF, map[string]string{"Origin": "http://evil.example"}, ErrForged},
		{"a method of one's own", "PATCHY", token, "", nil, ErrForged},
		{"nobody", "POST", "", now.CSRF, nil, ErrSignedOut},
		{"nobody's token", "GET", token + "x", "", nil, ErrSignedOut},
	} {
		r := httptest.NewRequest(c.method, "http://internal:8025/api/v1/account/tpsp", http.NoBody)
		r.AddCookie(o.Cookie(c.token))
		if c.token == "" {
			r.Header.Del("Cookie")
		}
		r.Header.Set(CSRFHeader, c.proof)
		for name, value := range c.header {
			r.Header.Set(name, value)
		}
		if _, err := o.OfRequest(r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}
