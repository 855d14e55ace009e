package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/secret"
	"postyard/internal/store"
)

func (b *bench) wantErr(what string, got, want error) {
	b.t.Helper()
	if !errors.Is(got, want) {
		b.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (b *bench) member(accountID int32, email string, role store.Role) store.Member {
	b.t.Helper()
	m := store.Member{AccountID: accountID, Email: email, Name: "Ann \U0001F984", Role: role, Created: b.now}
	i := store.Invitation{Token: secret.Hash("invitation of " + email), Expires: b.now.Add(time.Hour)}
	b.must(b.store.CreateMember(b.ctx(), &m, i))
	m.Invited = i.Expires
	return m
}

// joined is a member with a password.
func (b *bench) joined(accountID int32, email string, role store.Role) store.Member {
	b.t.Helper()
	b.member(accountID, email, role)
	m, err := b.store.Join(b.ctx(), secret.Hash("invitation of "+email), "password of "+email, b.now)
	b.must(err)
	return *m
}

func (b *bench) signIn(m store.Member, name string) store.Session {
	b.t.Helper()
	s := store.Session{Token: secret.Hash(name), MemberID: m.ID, Address: "203.0.113.9", Agent: name, Created: b.now, Used: b.now}
	b.must(b.store.CreateSession(b.ctx(), &s, m.Password, b.now.AddDate(0, 0, -7), b.now.Add(-12*time.Hour)))
	return s
}

func (b *bench) wantSessions(m store.Member, names ...string) {
	b.t.Helper()
	list, err := b.store.Sessions(b.ctx(), m.ID)
	b.must(err)
	got := []string{}
	for _, s := range list {
		got = append(got, s.Agent)
		if _, of, err := b.store.Session(b.ctx(), s.Token); err != nil || of.ID != m.ID {
			b.t.Errorf("session %s: %+v, %v", s.Agent, of, err)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(got)), names) && len(got)+len(names) > 0 {
		b.t.Errorf("sessions %v, want %v", got, names)
	}
}

func members(t *testing.T, b *bench) {
	if any, err := b.store.AnyMember(b.ctx()); err != nil || any {
		t.Fatalf("a fresh store has members: %t, %v", any, err)
	}
	account, _ := b.newAccount("other")
	first := store.Member{AccountID: b.account.ID, Email: "ann@example.com", Name: "Ann", Role: store.Owner, Password: "p", Created: b.now}
	b.must(b.store.CreateFirstMember(b.ctx(), &first))
	second := store.Member{AccountID: b.account.ID, Email: "eve@example.com", Name: "Eve", Role: store.Owner, Password: "p", Created: b.now}
	b.wantErr("a second first one", b.store.CreateFirstMember(b.ctx(), &second), store.ErrConflict)
	theirs := store.Member{AccountID: account.ID, Email: "ann@example.com", Name: "Ann", Role: store.Owner, Password: "p", Created: b.now}
	b.wantErr("an email that is taken in another account", b.store.CreateFirstMember(b.ctx(), &theirs), store.ErrConflict)
	theirs.Email = "zoe@example.com"
	b.must(b.store.CreateFirstMember(b.ctx(), &theirs))
	bob := b.member(b.account.ID, "bob@example.com", store.Viewer)
	b.wantErr("an email twice", b.store.CreateMember(b.ctx(), &store.Member{AccountID: account.ID, Email: "bob@example.com", Name: "x", Role: store.Viewer},
		store.Invitation{Token: secret.Hash("x"), Expires: b.now}), store.ErrConflict)
	if any, err := b.store.AnyMember(b.ctx()); err != nil || !any {
		t.Errorf("members: %t, %v", any, err)
	}

	for what, err := range map[string]error{
		"another account changes":   b.store.UpdateMember(b.ctx(), account.ID, bob.ID, "x", store.Owner),
		"another account removes":   b.store.DeleteMember(b.ctx(), account.ID, bob.ID),
		"another account invites":   b.store.Invite(b.ctx(), account.ID, bob.ID, store.Invitation{Token: secret.Hash("y"), Expires: b.now.Add(time.Hour)}),
		"somebody who is not there": b.store.UpdateMember(b.ctx(), b.account.ID, bob.ID+99, "x", store.Owner),
	} {
		b.wantErr(what, err, store.ErrNotFound)
	}
	b.must(b.store.UpdateMember(b.ctx(), b.account.ID, bob.ID, "Robert", store.Admin))
	bob.Name, bob.Role = "Robert", store.Admin
	b.restart()
	got, err := b.store.Members(b.ctx(), b.account.ID)
	b.must(err)
	if diff := cmp.Diff([]store.Member{first, bob}, got); diff != "" {
		t.Errorf("members: %s", diff)
	}
	if m, err := b.store.MemberByEmail(b.ctx(), "zoe@example.com"); err != nil || m.ID != theirs.ID || m.AccountID != account.ID || m.Password != "p" {
		t.Errorf("by email: %+v, %v", m, err)
	}
	_, err = b.store.MemberByEmail(b.ctx(), "Zoe@example.com")
	b.wantErr("an email in other letters", err, store.ErrNotFound)
	b.must(b.store.DeleteMember(b.ctx(), b.account.ID, bob.ID))
	b.wantErr("removed twice", b.store.DeleteMember(b.ctx(), b.account.ID, bob.ID), store.ErrNotFound)
	_, err = b.store.Invited(b.ctx(), secret.Hash("invitation of bob@example.com"), b.now)
	b.wantErr("the invitation of somebody who was removed", err, store.ErrNotFound)
	if again := b.member(b.account.ID, "bob@example.com", store.Viewer); again.ID <= bob.ID {
		t.Errorf("id %d was used before (%d)", again.ID, bob.ID)
	}
}

// invitations are good once, until they expire or another one is made; who joins begins anew.
func invitations(t *testing.T, b *bench) {
	m := b.member(b.account.ID, "ann@example.com", store.Admin)
	old := secret.Hash("invitation of ann@example.com")
	if who, err := b.store.Invited(b.ctx(), old, b.now); err != nil || who.ID != m.ID || !who.Invited.Equal(b.now.Add(time.Hour)) {
		t.Errorf("invited: %+v, %v", who, err)
	}
	_, err := b.store.Join(b.ctx(), old, "p", b.now.Add(time.Hour))
	b.wantErr("an hour later", err, store.ErrNotFound)
	_, err = b.store.Invited(b.ctx(), old, b.now.Add(time.Hour))
	b.wantErr("an hour later", err, store.ErrNotFound)
	_, err = b.store.Join(b.ctx(), secret.Hash("nobody's"), "p", b.now)
	b.wantErr("nobody's", err, store.ErrNotFound)
	b.wantErr("no password yet", b.store.CreateSession(b.ctx(), &store.Session{Token: secret.Hash("s"), MemberID: m.ID, Created: b.now}, "p", b.now, b.now), store.ErrNotFound)

	fresh := secret.Hash("another")
	b.must(b.store.Invite(b.ctx(), b.account.ID, m.ID, store.Invitation{Token: fresh, Expires: b.now.Add(2 * time.Hour)}))
	_, err = b.store.Join(b.ctx(), old, "p", b.now)
	b.wantErr("the former one", err, store.ErrNotFound)
	var wins sync.Map
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			if who, err := b.store.Join(b.ctx(), fresh, fmt.Sprint("p", i), b.now); err == nil {
				wins.Store(who.Password, who.ID)
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	running.Wait()
	n := 0
	wins.Range(func(password, id any) bool {
		n++
		who, err := b.store.MemberByEmail(b.ctx(), "ann@example.com")
		b.must(err)
		if who.ID != id || who.Password != password || !who.Invited.IsZero() {
			t.Errorf("%v joined with %v; stored: %+v", id, password, who)
		}
		return true
	})
	if n != 1 {
		t.Errorf("%d took one invitation", n)
	}
	who, err := b.store.MemberByEmail(b.ctx(), "ann@example.com")
	b.must(err)
	b.signIn(*who, "one")
	b.must(b.store.Invite(b.ctx(), b.account.ID, m.ID, store.Invitation{Token: old, Expires: b.now.Add(time.Hour)}))
	b.wantSessions(*who, "one") // the password is good until the invitation is taken
	_, err = b.store.Join(b.ctx(), old, "new", b.now)
	b.must(err)
	b.wantSessions(*who)
}

func sessions(t *testing.T, b *bench) {
	ann, bob := b.joined(b.account.ID, "ann@example.com", store.Owner), b.joined(b.account.ID, "bob@example.com", store.Admin)
	one := b.signIn(ann, "ann one")
	b.signIn(ann, "ann two")
	b.signIn(bob, "bob one")
	b.restart()
	s, m, err := b.store.Session(b.ctx(), one.Token)
	b.must(err)
	if diff := cmp.Diff(&one, s); diff != "" || m.ID != ann.ID || m.Role != store.Owner || m.AccountID != b.account.ID {
		t.Errorf("session: %s, %+v", diff, m)
	}
	_, _, err = b.store.Session(b.ctx(), secret.Hash("nobody's"))
	b.wantErr("nobody's", err, store.ErrNotFound)
	wrong := store.Session{Token: secret.Hash("wrong"), MemberID: ann.ID, Created: b.now, Used: b.now}
	b.wantErr("a password that was changed meanwhile", b.store.CreateSession(b.ctx(), &wrong, "former", b.now, b.now), store.ErrNotFound)

	later := b.now.Add(time.Minute)
	b.must(b.store.UseSession(b.ctx(), one.Token, later))
	b.must(b.store.UseSession(b.ctx(), one.Token, b.now)) // a node whose clock is behind
	if s, _, err := b.store.Session(b.ctx(), one.Token); err != nil || !s.Used.Equal(later) || !s.Created.Equal(b.now) {
		t.Errorf("used: %+v, %v", s, err)
	}
	list, err := b.store.Members(b.ctx(), b.account.ID)
	b.must(err)
	if !list[0].Seen.Equal(later) || !list[1].Seen.Equal(b.now) {
		t.Errorf("seen %v, %v", list[0].Seen, list[1].Seen)
	}

	b.must(b.store.UpdateMember(b.ctx(), b.account.ID, bob.ID, "Robert", store.Admin))
	b.wantSessions(bob, "bob one")
	b.must(b.store.UpdateMember(b.ctx(), b.account.ID, bob.ID, "Robert", store.Viewer))
	b.wantSessions(bob)
	b.wantErr("not the present password", b.store.ChangePassword(b.ctx(), ann.ID, "former", "new", one.Token), store.ErrNotFound)
	b.wantSessions(ann, "ann one", "ann two")
	b.must(b.store.ChangePassword(b.ctx(), ann.ID, ann.Password, "new", one.Token))
	ann.Password = "new"
	b.wantSessions(ann, "ann one")
	b.signIn(ann, "ann three")
	b.must(b.store.EndOtherSessions(b.ctx(), ann.ID, one.Token))
	b.wantSessions(ann, "ann one")
	b.must(b.store.EndSession(b.ctx(), one.Token))
	b.must(b.store.EndSession(b.ctx(), one.Token))
	b.wantSessions(ann)

	b.signIn(ann, "idle")
	b.now = b.now.Add(11 * time.Hour)
	b.signIn(ann, "used")
	b.now = b.now.Add(2 * time.Hour)
	b.signIn(bob, "bob two") // sweeps
	b.wantSessions(ann, "used")
	for range 8 {
		b.now = b.now.AddDate(0, 0, 1)
		b.must(b.store.UseSession(b.ctx(), secret.Hash("used"), b.now))
	}
	b.signIn(bob, "bob three")
	b.wantSessions(ann) // it was too old
	b.signIn(ann, "ann four")
	carol := b.joined(b.account.ID, "carol@example.com", store.Owner)
	b.signIn(carol, "carol one")
	b.must(b.store.DeleteMember(b.ctx(), b.account.ID, ann.ID))
	_, _, err = b.store.Session(b.ctx(), secret.Hash("ann four"))
	b.wantErr("of a member who was removed", err, store.ErrNotFound)
	b.wantSessions(carol, "carol one")
}

// sessionsAreCapped: of one member the newest stay, and those of others are not touched.
func sessionsAreCapped(_ *testing.T, b *bench) {
	ann, bob := b.joined(b.account.ID, "ann@example.com", store.Owner), b.joined(b.account.ID, "bob@example.com", store.Admin)
	b.signIn(bob, "bob one")
	var names []string
	for i := range store.MostSessions + 5 {
		names = append(names, fmt.Sprintf("ann %02d", i))
		b.signIn(ann, names[i])
		if i == 0 {
			b.must(b.store.UseSession(b.ctx(), secret.Hash(names[0]), b.now.Add(time.Hour))) // that it is in use does not make it newer
		}
		b.now = b.now.Add(time.Second)
	}
	names = names[5:]
	b.wantSessions(ann, names...)
	b.wantSessions(bob, "bob one")
	b.now = b.now.Add(-time.Hour) // a node whose clock is behind
	b.signIn(ann, "ann behind")
	b.wantSessions(ann, append(names[1:], "ann behind")...)
}

// lastOwner holds also when owners take the role from each other at once.
func lastOwner(t *testing.T, b *bench) {
	ann := b.joined(b.account.ID, "ann@example.com", store.Owner)
	b.wantErr("demoted", b.store.UpdateMember(b.ctx(), b.account.ID, ann.ID, "Ann", store.Admin), store.ErrLastOwner)
	b.wantErr("removed", b.store.DeleteMember(b.ctx(), b.account.ID, ann.ID), store.ErrLastOwner)
	b.must(b.store.UpdateMember(b.ctx(), b.account.ID, ann.ID, "Anna", store.Owner))
	invited := b.member(b.account.ID, "bob@example.com", store.Owner)
	b.wantErr("the other one has not joined", b.store.DeleteMember(b.ctx(), b.account.ID, ann.ID), store.ErrLastOwner)
	b.must(b.store.DeleteMember(b.ctx(), b.account.ID, invited.ID))
	account, _ := b.newAccount("other")
	b.joined(account.ID, "zoe@example.com", store.Owner)
	b.wantErr("the other one is another account's", b.store.DeleteMember(b.ctx(), b.account.ID, ann.ID), store.ErrLastOwner)

	for round := range 5 {
		owners := []store.Member{ann}
		for i := range 3 {
			owners = append(owners, b.joined(b.account.ID, fmt.Sprintf("o%d-%d@example.com", round, i), store.Owner))
		}
		var running sync.WaitGroup
		for i, o := range owners {
			running.Go(func() {
				err := b.store.UpdateMember(b.ctx(), b.account.ID, o.ID, "x", store.Viewer)
				if i%2 == 1 {
					err = b.store.DeleteMember(b.ctx(), b.account.ID, o.ID)
				}
				if err != nil && !errors.Is(err, store.ErrLastOwner) {
					t.Error(err)
				}
			})
		}
		running.Wait()
		list, err := b.store.Members(b.ctx(), b.account.ID)
		b.must(err)
		left := slices.DeleteFunc(list, func(m store.Member) bool { return m.Role != store.Owner })
		if len(left) != 1 {
			t.Fatalf("%d owners are left", len(left))
		}
		ann = left[0]
	}
}

// firstMemberOnce: of those who set an account up at once, one does.
func firstMemberOnce(t *testing.T, b *bench) {
	var running sync.WaitGroup
	won := make(chan int32, 6)
	for i := range cap(won) {
		running.Go(func() {
			m := store.Member{AccountID: b.account.ID, Email: fmt.Sprintf("m%d@example.com", i), Name: "x", Role: store.Owner, Password: "p", Created: b.now}
			switch err := b.store.CreateFirstMember(b.ctx(), &m); {
			case err == nil:
				won <- m.ID
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
			}
		})
	}
	running.Wait()
	list, err := b.store.Members(b.ctx(), b.account.ID)
	b.must(err)
	if len(won) != 1 || len(list) != 1 || list[0].ID != <-won {
		t.Errorf("%d won; members %+v", len(won), list)
	}
}
