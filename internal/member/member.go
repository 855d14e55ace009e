// Package member manages the people who use the dashboard: who they are, what they may do, how they sign in.
//
// A member belongs to one account and has a role: a viewer looks, an admin changes, an owner also manages the members. Passwords are stored
// as argon2id makes them. A session is a random token in a cookie; the database knows its hash, so every node knows every session, and what
// ends one ends it everywhere at once. Invitations are such tokens, too: they are shown once, and let their bearer set a password, once.
//
// The package must not import an engine of the store.
package member

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/peer"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// Errors that callers decide on.
var (
	ErrSignedOut   = errors.New("nobody is signed in, or the session has ended")
	ErrForged      = errors.New("the request does not come from the dashboard's own page: the header " + CSRFHeader + " is missing or wrong, or another site made it")
	ErrCredentials = errors.New("the email or the password is wrong")
	ErrSetUp       = errors.New("the account has members already; one of its owners can invite others")
	ErrAccountKey  = errors.New("this is not the API key of an account")
	ErrInvitation  = errors.New("the invitation is not good any more: it was used, replaced by another one, or has expired")
	ErrNotFound    = errors.New("the account has no such member")
	ErrEmailTaken  = errors.New("somebody has this email already")
	ErrLastOwner   = errors.New("the account's last owner cannot be removed, nor get another role")
)

// How long things last.
const (
	MaxAge     = 7 * 24 * time.Hour // of a session
	MaxIdle    = 12 * time.Hour     // without a request
	Invitation = 72 * time.Hour

	// usedEvery is how often the use of a session is recorded: it may end that much early.
	usedEvery = 5 * time.Minute
)

// Store is what the service needs of the storage contract.
type Store interface {
	store.Members
}

// Accounts finds accounts; *account.Service does.
type Accounts interface {
	AuthenticateAccount(key string) *directory.Account
}

// Config is what the service works with.
type Config struct {
	Store     Store
	Accounts  Accounts
	PublicURL string           // where browsers find the dashboard, without a slash at the end
	Now       func() time.Time // the store's clock
	Proxies   peer.Proxies     // that are believed about where requests come from
	Audit     Audit            // nil: nobody wants to know who signs in
	Alone     func() int32     // the account when there is only one, else 0; nil: nobody knows
}

// Service manages members. It is safe for concurrent use.
type Service struct {
	Config
	secure  bool // the public URL is https
	origins *http.CrossOriginProtection
	hasher  *hasher
	limits  *limits
}

// New returns a Service.
func New(c Config) (*Service, error) { return newService(c, current) }

func newService(c Config, effort cost) (*Service, error) {
	s := &Service{Config: c, origins: http.NewCrossOriginProtection(), hasher: newHasher(effort), limits: newLimits()}
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	s.secure = public.Scheme == "https"
	// A proxy may give us another Host than browsers asked for.
	if err := s.origins.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	return s, nil
}

// Session is somebody who is signed in.
type Session struct {
	Member *store.Member
	Token  [32]byte // hash of the token
	CSRF   string   // what its page proves itself with
}

// Proves tells whether a request's header is what the session's page was told.
func (s *Session) Proves(header string) bool { return secret.Equal(header, s.CSRF) }

// csrfOf is bound to the session's token, which only the browser has.
func csrfOf(token string) string {
	mac := hmac.New(sha256.New, []byte(token))
	_, _ = mac.Write([]byte("postyard csrf")) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// newToken makes a token of 256 random bits.
func newToken() string { return base64.RawURLEncoding.EncodeToString(random(32)) }

// ParseEmail returns an email as it is stored: in lower case, the domain in ASCII. It fails with a *mail.FieldError.
func ParseEmail(email string) (string, error) {
	parsed, err := mail.ParseEmail(email)
	if err != nil {
		return "", mail.Invalid("invalid_email", "email", "email: %s", err)
	}
	return strings.ToLower(parsed), nil
}

// NeedsSetup tells whether nobody can sign in, because there are no members at all.
func (s *Service) NeedsSetup(ctx context.Context) (bool, error) {
	found, err := s.Store.AnyMember(ctx)
	return !found && err == nil, err
}

// SetUp makes the first owner of the account that has the key, and signs them in. It fails with a *mail.FieldError, ErrAccountKey, ErrSetUp,
// ErrEmailTaken or a *TriesError.
func (s *Service) SetUp(ctx context.Context, r *http.Request, accountKey, name, email, password string) (token string, err error) {
	back, err := s.take(ctx, r, "", said(email), tracedSetUp)
	if err != nil {
		return "", err
	}
	a := s.Accounts.AuthenticateAccount(strings.TrimSpace(accountKey))
	if a == nil {
		s.refused(r, &store.Member{}, said(email), tracedSetUp, ErrAccountKey)
		return "", ErrAccountKey
	}
	back()
	m := &store.Member{AccountID: a.ID, Role: store.Owner, Created: s.Now().UTC()}
	if m.Name, err = directory.ParseName(name); err != nil {
		return "", err
	}
	if m.Email, err = ParseEmail(email); err != nil {
		return "", err
	}
	if err = checkPassword(password); err != nil {
		return "", err
	}
	if m.Password, err = s.hasher.hash(ctx, password); err != nil {
		return "", err
	}
	end, err := s.traceAs(ctx, r, a.ID, store.Actor{Kind: store.ByAccountKey, ID: a.ID, Name: a.Name}, m.Email, tracedSetUp, statusDone)
	if err != nil {
		return "", err
	}
	defer func() { end(err) }()
	if err = s.Store.CreateFirstMember(ctx, m); err != nil {
		return "", fmt.Errorf("set up: %w", s.whyConflict(ctx, a.ID, err))
	}
	return s.begin(ctx, r, m)
}

// whyConflict tells what the first member of an account is in conflict with.
func (s *Service) whyConflict(ctx context.Context, accountID int32, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	members, listing := s.Store.Members(ctx, accountID)
	switch {
	case listing != nil:
		return listing
	case len(members) > 0:
		return ErrSetUp
	}
	return ErrEmailTaken
}

// SignIn begins a session and returns its token; the one that the request comes with ends. It fails with ErrCredentials or a *TriesError.
// An email that nobody has takes as long as a password that is wrong: that it was refused is written behind the answer.
func (s *Service) SignIn(ctx context.Context, r *http.Request, email, password string) (token string, err error) {
	known := strings.ToLower(strings.TrimSpace(email))
	if parsed, err := ParseEmail(email); err == nil {
		known = parsed
	}
	back, err := s.take(ctx, r, known, said(email), tracedSignIn)
	if err != nil {
		return "", err
	}
	m, err := s.verify(ctx, known, password)
	if err != nil {
		if !errors.Is(err, ErrCredentials) {
			back() // nothing was learnt
			return "", err
		}
		s.refused(r, m, said(email), tracedSignIn, err)
		return "", err
	}
	back()
	end, err := s.trace(ctx, r, m, tracedSignIn, statusDone)
	if err != nil {
		return "", err
	}
	defer func() { end(err) }()
	token, err = s.begin(ctx, r, m)
	if errors.Is(err, store.ErrNotFound) { // removed meanwhile
		return "", ErrCredentials
	}
	return token, err
}

// verify finds who has an email and a password, or fails with ErrCredentials.
func (s *Service) verify(ctx context.Context, email, password string) (*store.Member, error) {
	m, err := s.Store.MemberByEmail(ctx, email)
	switch {
	case errors.Is(err, store.ErrNotFound):
		m = &store.Member{}
	case err != nil:
		return nil, err
	}
	if len(password) > maxPassword {
		password = "" // nobody has one; hashing it takes as long
	}
	ok, err := s.hasher.verify(ctx, m.Password, password)
	if err == nil && !ok {
		err = ErrCredentials
	}
	return m, err
}

// begin begins a session, and ends the one that the request comes with.
func (s *Service) begin(ctx context.Context, r *http.Request, m *store.Member) (token string, err error) {
	if old := s.Token(r); old != "" {
		if err := s.Store.EndSession(ctx, secret.Hash(old)); err != nil {
			return "", err
		}
	}
	token, now := newToken(), s.Now().UTC()
	return token, s.Store.CreateSession(ctx, &store.Session{Token: secret.Hash(token), MemberID: m.ID, Address: s.addressOf(r), Agent: agentOf(r), Created: now, Used: now},
		m.Password, now.Add(-MaxAge), now.Add(-MaxIdle))
}

// Session finds the session with a token, or fails with ErrSignedOut.
func (s *Service) Session(ctx context.Context, token string) (*Session, error) {
	if token == "" {
		return nil, ErrSignedOut
	}
	hash := secret.Hash(token)
	known, m, err := s.Store.Session(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrSignedOut
	}
	if err != nil {
		return nil, err
	}
	now := s.Now()
	if now.Sub(known.Created) >= MaxAge || now.Sub(known.Used) >= MaxIdle {
		return nil, ErrSignedOut
	}
	if now.Sub(known.Used) >= usedEvery {
		if err := s.Store.UseSession(ctx, hash, now); err != nil {
			return nil, err
		}
	}
	return &Session{Member: m, Token: hash, CSRF: csrfOf(token)}, nil
}

// SignOut ends a session.
func (s *Service) SignOut(ctx context.Context, r *http.Request, now *Session) (err error) {
	end, err := s.trace(ctx, r, now.Member, tracedSignOut, statusDoneSilent)
	if err != nil {
		return err
	}
	defer func() { end(err) }()
	return s.Store.EndSession(ctx, now.Token)
}

// Sessions lists where the member of a session is signed in, the one that was used last first.
func (s *Service) Sessions(ctx context.Context, now *Session) (list []store.Session, err error) {
	all, err := s.Store.Sessions(ctx, now.Member.ID)
	for _, one := range all {
		if at := s.Now(); at.Sub(one.Created) < MaxAge && at.Sub(one.Used) < MaxIdle {
			list = append(list, one)
		}
	}
	return list, err
}

// SignOutOthers ends the other sessions of the member of a session.
func (s *Service) SignOutOthers(ctx context.Context, r *http.Request, now *Session) (err error) {
	end, err := s.trace(ctx, r, now.Member, tracedSignOuts, statusDoneSilent)
	if err != nil {
		return err
	}
	defer func() { end(err) }()
	return s.Store.EndOtherSessions(ctx, now.Member.ID, now.Token)
}

// ChangePassword gives the member of a session another password; their other sessions end. It fails with a *mail.FieldError, ErrCredentials
// or a *TriesError.
func (s *Service) ChangePassword(ctx context.Context, r *http.Request, now *Session, was, password string) (err error) {
	back, err := s.take(ctx, r, now.Member.Email, now.Member.Email, tracedPassword)
	if err != nil {
		return err
	}
	end, err := s.trace(ctx, r, now.Member, tracedPassword, statusDoneSilent)
	if err != nil {
		return err
	}
	defer func() { end(err) }()
	if _, err := s.verify(ctx, now.Member.Email, was); err != nil {
		if !errors.Is(err, ErrCredentials) {
			back()
		}
		return err
	}
	back()
	if err := checkPassword(password); err != nil {
		return err
	}
	encoded, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return store.Instead(s.Store.ChangePassword(ctx, now.Member.ID, now.Member.Password, encoded, now.Token), ErrCredentials, ErrCredentials)
}

// Join takes an invitation: it sets its member's password and signs them in. It fails with a *mail.FieldError, ErrInvitation or a *TriesError.
func (s *Service) Join(ctx context.Context, r *http.Request, invitation, password string) (token string, err error) {
	back, err := s.take(ctx, r, "", noInvitation, tracedJoin)
	if err != nil {
		return "", err
	}
	hash := secret.Hash(strings.TrimSpace(invitation))
	invited, err := s.Store.Invited(ctx, hash, s.Now())
	if err != nil { // before a hashing is spent on it
		if !errors.Is(err, store.ErrNotFound) {
			back()
			return "", err
		}
		if late, err := s.Store.Invited(ctx, hash, time.Time{}); err == nil { // it has expired
			s.refused(r, late, late.Email, tracedJoin, ErrInvitation)
		} else {
			s.refused(r, &store.Member{}, noInvitation, tracedJoin, ErrInvitation)
		}
		return "", ErrInvitation
	}
	back()
	if err := checkPassword(password); err != nil {
		return "", err
	}
	encoded, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	end, err := s.trace(ctx, r, invited, tracedJoin, statusDone)
	if err != nil {
		return "", err
	}
	defer func() { end(err) }()
	m, err := s.Store.Join(ctx, hash, encoded, s.Now())
	if err != nil {
		return "", store.Instead(err, ErrInvitation, ErrInvitation)
	}
	token, err = s.begin(ctx, r, m)
	return token, store.Instead(err, ErrInvitation, ErrInvitation)
}

// Members lists an account's members.
func (s *Service) Members(ctx context.Context, accountID int32) ([]store.Member, error) {
	return s.Store.Members(ctx, accountID)
}

// Invite makes a member who has not joined yet, and returns the URL of their invitation. It fails with a *mail.FieldError or ErrEmailTaken.
func (s *Service) Invite(ctx context.Context, accountID int32, email, name, role string) (m *store.Member, invitation string, err error) {
	m = &store.Member{AccountID: accountID, Created: s.Now().UTC()}
	if m.Email, err = ParseEmail(email); err != nil {
		return nil, "", err
	}
	if m.Name, err = directory.ParseName(name); err != nil {
		return nil, "", err
	}
	if m.Role, err = parseRole(role); err != nil {
		return nil, "", err
	}
	token, i := s.newInvitation()
	if err := s.Store.CreateMember(ctx, m, i); err != nil {
		return nil, "", fmt.Errorf("invite: %w", ours(err))
	}
	m.Invited = i.Expires
	return m, s.urlOf(token), nil
}

// InviteAgain gives a member an invitation in the place of the former one, such as one who forgot their password. It fails with ErrNotFound.
func (s *Service) InviteAgain(ctx context.Context, accountID, id int32) (m *store.Member, invitation string, err error) {
	token, i := s.newInvitation()
	if err := s.Store.Invite(ctx, accountID, id, i); err != nil {
		return nil, "", fmt.Errorf("invite member %d: %w", id, ours(err))
	}
	m, err = s.member(ctx, accountID, id)
	return m, s.urlOf(token), err
}

func (s *Service) newInvitation() (token string, i store.Invitation) {
	token = newToken()
	return token, store.Invitation{Token: secret.Hash(token), Expires: s.Now().UTC().Add(Invitation)}
}

// urlOf is where an invitation is taken. Its token stands where browsers send it to no server.
func (s *Service) urlOf(token string) string { return s.PublicURL + "/join#" + token }

// Update changes what is given: nil stays. It fails with a *mail.FieldError, ErrNotFound or ErrLastOwner.
func (s *Service) Update(ctx context.Context, accountID, id int32, name, role *string) (*store.Member, error) {
	m, err := s.member(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	if name != nil {
		if m.Name, err = directory.ParseName(*name); err != nil {
			return nil, err
		}
	}
	if role != nil {
		if m.Role, err = parseRole(*role); err != nil {
			return nil, err
		}
	}
	if err := s.Store.UpdateMember(ctx, accountID, id, m.Name, m.Role); err != nil {
		return nil, fmt.Errorf("update member %d: %w", id, ours(err))
	}
	return s.member(ctx, accountID, id)
}

// Remove removes a member and returns who it was. It fails with ErrNotFound or ErrLastOwner.
func (s *Service) Remove(ctx context.Context, accountID, id int32) (*store.Member, error) {
	m, err := s.member(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DeleteMember(ctx, accountID, id); err != nil {
		return nil, fmt.Errorf("remove member %d: %w", id, ours(err))
	}
	return m, nil
}

func (s *Service) member(ctx context.Context, accountID, id int32) (*store.Member, error) {
	list, err := s.Store.Members(ctx, accountID)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].ID == id {
			return &list[i], nil
		}
	}
	return nil, ErrNotFound
}

func parseRole(name string) (store.Role, error) {
	if r := store.RoleNamed(name); r != 0 {
		return r, nil
	}
	return 0, mail.Invalid("invalid_role", "role", "role must be owner, admin or viewer")
}

// ours puts the package's own errors in the place of the store's.
func ours(err error) error {
	if errors.Is(err, store.ErrLastOwner) {
		return ErrLastOwner
	}
	return store.Instead(err, ErrEmailTaken, ErrNotFound)
}
