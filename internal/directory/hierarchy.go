package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/limit"
)

// MaxLevels is on how many levels sub-accounts may stand under each other.
const MaxLevels = 5

// Parent returns the id of the sub-account that it stands under, 0 for none.
func (a *SubAccount) Parent() int32 {
	if len(a.Path) == 0 {
		return 0
	}
	return a.Path[0]
}

// Level returns on which level it stands, from 1.
func (a *SubAccount) Level() int { return len(a.Path) + 1 }

// Chain returns a sub-account of the account, by id, and those above it, itself first: those of a deleted one as well while they may hold
// its messages. It is empty when nothing of it is known.
func (s *Snapshot) Chain(accountID, id int32) (chain []*SubAccount) {
	known := func(id int32) *SubAccount { return cmp.Or(s.subAccounts[id], s.formerSubs[id]) }
	a := known(id)
	if a == nil || a.AccountID != accountID {
		return nil
	}
	chain = append(chain, a)
	for _, id := range a.Path {
		if above := known(id); above != nil {
			chain = append(chain, above)
		}
	}
	return chain
}

// Under returns the ids of the account's sub-accounts that stand under one, however deep, in their order; deleted ones are among them.
func (s *Snapshot) Under(accountID, id int32) (under []int32) {
	for _, list := range []map[int32]*SubAccount{s.subAccounts, s.formerSubs} {
		for _, a := range list {
			if a.AccountID == accountID && slices.Contains(a.Path, id) {
				under = append(under, a.ID)
			}
		}
	}
	slices.Sort(under)
	return under
}

// Children returns the sub-accounts that stand directly under one, or under none (0), by name.
func (s *Snapshot) Children(accountID, id int32) []*SubAccount {
	list := slices.DeleteFunc(s.SubAccounts(accountID), func(a *SubAccount) bool { return a.Parent() != id })
	slices.SortStableFunc(list, byName)
	return list
}

// Tree returns the account's sub-accounts: each right before those that stand under it, and those under the same one by name.
func (s *Snapshot) Tree(accountID int32) []*SubAccount {
	under := map[int32][]*SubAccount{}
	all := s.SubAccounts(accountID)
	for _, a := range all {
		under[a.Parent()] = append(under[a.Parent()], a)
	}
	list := make([]*SubAccount, 0, len(all))
	var add func(id int32)
	add = func(id int32) {
		slices.SortStableFunc(under[id], byName)
		for _, a := range under[id] {
			list = append(list, a)
			add(a.ID)
		}
	}
	add(0)
	return list
}

func byName(a, b *SubAccount) int {
	return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
}

// Blocker returns who is blocked so that nothing is sent for a sub-account: itself or the nearest one above it; nil when it is not blocked.
func (s *Snapshot) Blocker(a *SubAccount) *SubAccount {
	if !a.Blocked.IsZero() {
		return a
	}
	if len(a.Path) == 0 {
		return nil
	}
	return blocker(s.Chain(a.AccountID, a.ID))
}

func blocker(chain []*SubAccount) *SubAccount {
	if i := slices.IndexFunc(chain, func(a *SubAccount) bool { return !a.Blocked.IsZero() }); i >= 0 {
		return chain[i]
	}
	return nil
}

// WhyBlocked says why nothing is sent for a sub-account, "" when something is. The chain is its own.
func WhyBlocked(chain []*SubAccount) string {
	by := blocker(chain)
	if by == nil {
		return ""
	}
	why := fmt.Sprintf("the sub-account %q is blocked", chain[0].Name)
	if by != chain[0] {
		why += fmt.Sprintf(", because %s is", chain[0].above(by))
	}
	if by.BlockReason != "" {
		why += ": " + by.BlockReason
	}
	return why
}

// above names a sub-account above another one as that one's people see it.
func (a *SubAccount) above(other *SubAccount) string {
	if a.Parent() == other.ID {
		return fmt.Sprintf("its parent %q", other.Name)
	}
	return fmt.Sprintf("%q above it", other.Name)
}

// Limited returns the ids of those of a chain that have a limit.
func Limited(chain []*SubAccount) (ids []int32) {
	for _, a := range chain {
		if a.PerHour > 0 {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// LimitReached says which limit of a chain keeps messages of its first sub-account waiting, and until when; "" when none does. taken is what
// is taken of the limits, and claim how long a claim lasts.
func LimitReached(chain []*SubAccount, taken map[int32][]limit.Use, now time.Time, claim time.Duration) (why string, until time.Time) {
	for _, a := range chain {
		if a.PerHour == 0 {
			continue
		}
		_, free := limit.Room(a.PerHour, taken[a.ID], now, claim)
		if !free.After(until) {
			continue
		}
		whose := fmt.Sprintf("the sub-account %q", a.Name)
		if a != chain[0] {
			whose += ", which is above it,"
		}
		why, until = fmt.Sprintf("the limit of %s of %d messages an hour is reached", whose, a.PerHour), free
	}
	return why, until
}
