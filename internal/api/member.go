package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"postyard/internal/directory"
	"postyard/internal/member"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// Members manages those who use the dashboard, and finds their sessions; *member.Service does.
type Members interface {
	Token(r *http.Request) string
	OfRequest(r *http.Request) (*member.Session, error)
	Members(ctx context.Context, accountID int32) ([]store.Member, error)
	Invite(ctx context.Context, accountID int32, email, name, role string) (m *store.Member, invitation string, err error)
	InviteAgain(ctx context.Context, accountID, id int32) (m *store.Member, invitation string, err error)
	Update(ctx context.Context, accountID, id int32, name, role *string) (*store.Member, error)
	Remove(ctx context.Context, accountID, id int32) (*store.Member, error)
}

// sessionOwner names members where the owners of keys are named.
const sessionOwner auth = "session"

// subAccountHeader names the sub-account for which a session uses an operation of one.
const subAccountHeader = "X-SubAccount-Id"

// hasSession tells whether a request comes with a session and without any key.
func (s *server) hasSession(r *http.Request) bool {
	return s.Members != nil && apiKey(r, accountKey) == "" && apiKey(r, subAccountKey) == "" && s.Members.Token(r) != ""
}

// admitMember finds who is signed in, and refuses what their role does not allow.
func (s *server) admitMember(r *http.Request) (*store.Member, error) {
	now, err := s.Members.OfRequest(r)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(r.Context())
	if x == nil || x.operation == nil {
		return nil, fmt.Errorf("%s %s is no operation of the table", r.Method, r.URL.Path)
	}
	x.session = now
	m := now.Member
	if err := s.throttle.admit(keyOwner{sessionOwner, m.ID}); err != nil {
		return nil, err
	}
	if needed := x.operation.needed(); m.Role < needed {
		return nil, &problem{status: http.StatusForbidden, Code: "forbidden_role",
			Message: "this needs the role " + needed.String() + "; yours is " + m.Role.String()}
	}
	// Another node may have changed the configuration.
	return m, s.Directory.Refresh(r.Context())
}

// accountOf is whom a member works for.
func (s *server) accountOf(_ *http.Request, m *store.Member) (*directory.Account, error) {
	if a := s.Directory.Current().Account(m.AccountID); a != nil {
		return a, nil
	}
	return nil, member.ErrSignedOut
}

// subAccountOf is the sub-account that a request with a session names.
func (s *server) subAccountOf(r *http.Request, m *store.Member) (*directory.SubAccount, error) {
	text := strings.TrimSpace(r.Header.Get(subAccountHeader))
	if text == "" {
		return nil, &problem{status: http.StatusBadRequest, Code: "missing_sub_account", Field: subAccountHeader,
			Message: "the header " + subAccountHeader + " is missing; it names the sub-account by its id"}
	}
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, Code: "invalid_sub_account", Field: subAccountHeader,
			Message: subAccountHeader + " must be the id of a sub-account"}
	}
	return s.Accounts.SubAccount(m.AccountID, int32(id))
}

// memberOf is who is signed in and asks without a key, or nil.
func memberOf(r *http.Request) *store.Member {
	x := exchangeOf(r.Context())
	if x == nil || x.session == nil {
		return nil
	}
	return x.session.Member
}

// seesSecrets tells whether the answer to a request may hold secrets: keys may see them, viewers may not.
func seesSecrets(r *http.Request) bool {
	m := memberOf(r)
	return m == nil || m.Role >= store.Admin
}

// shownURL is a URL as an answer to a request may hold it: to viewers without what may be a token in it.
func shownURL(r *http.Request, url string) string {
	if seesSecrets(r) {
		return url
	}
	return secret.MaskURL(url)
}

// memberAnswer is a member.
type memberAnswer struct {
	ID             int32  `json:"id"`
	Email          string `json:"email"`
	Name           string `json:"name"`
	Role           string `json:"role"`                 // owner, admin, viewer
	Joined         bool   `json:"joined"`               // they have a password
	InvitedUntil   int64  `json:"invitedUntil"`         // until when an invitation of theirs is good; 0: there is none
	Created        int64  `json:"created"`              // when they were invited first
	LastSeen       int64  `json:"lastSeen"`             // when a session of theirs was used last, to within minutes; 0: they have none
	InvitationLink string `json:"invitation,omitempty"` // where they join or get another password, once; it is not shown again
}

// memberRequest is the body that invites a member.
type memberRequest struct {
	Email string `json:"email"`
	Name  string `json:"name"`
	Role  string `json:"role"`
}

// memberChanges is the body that changes a member. What is absent stays.
type memberChanges struct {
	Name *string `json:"name"`
	Role *string `json:"role"`
}

func (s *server) memberAnswerOf(m *store.Member, invitation string) memberAnswer {
	a := memberAnswer{ID: m.ID, Email: m.Email, Name: m.Name, Role: m.Role.String(), Joined: m.Password != "", Created: nanos(m.Created), LastSeen: nanos(m.Seen),
		InvitationLink: invitation}
	if s.Now().Before(m.Invited) {
		a.InvitedUntil = nanos(m.Invited)
	}
	return a
}

// memberOperations are those about who uses the dashboard.
func (s *server) memberOperations(v1 string) []operation {
	path := v1 + "/account/member"
	return []operation{
		op(http.MethodGet, path, accountKey, "list members of the dashboard", s.forAccount(s.listMembers)).
			answers(http.StatusOK, []memberAnswer{}),
		op(http.MethodPost, path, accountKey, "invite a member", s.forAccount(s.inviteMember)).
			body(memberRequest{}).answers(http.StatusOK, memberAnswer{}).forOwners(),
		op(http.MethodPut, path+"/{id}", accountKey, "change a member's name or role; another role ends their sessions", s.forAccount(s.updateMember)).
			body(memberChanges{}).answers(http.StatusOK, memberAnswer{}).forOwners(),
		op(http.MethodDelete, path+"/{id}", accountKey, "remove a member, and end their sessions", s.forAccount(s.removeMember)).
			answers(http.StatusOK, deletedAnswer{}).forOwners(),
		op(http.MethodPost, path+"/{id}/invitation", accountKey, "make a member another invitation, such as for a forgotten password", s.forAccount(s.inviteAgain)).
			answers(http.StatusOK, memberAnswer{}).forOwners(),
	}
}

func (s *server) listMembers(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	list, err := s.Members.Members(r.Context(), a.ID)
	if err != nil {
		return err
	}
	answers := make([]memberAnswer, len(list))
	for i := range list {
		answers[i] = s.memberAnswerOf(&list[i], "")
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) inviteMember(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in memberRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	m, invitation, err := s.Members.Invite(r.Context(), a.ID, in.Email, in.Name, in.Role)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.memberAnswerOf(m, invitation))
}

func (s *server) inviteAgain(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	m, invitation, err := s.Members.InviteAgain(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.memberAnswerOf(m, invitation))
}

func (s *server) updateMember(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in memberChanges
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	m, err := s.Members.Update(r.Context(), a.ID, id, in.Name, in.Role)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.memberAnswerOf(m, ""))
}

func (s *server) removeMember(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	m, err := s.Members.Remove(r.Context(), a.ID, id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: id, Message: "Member (" + m.Email + ") has been deleted successfully."})
}
