package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postyard/internal/limit"
)

// TestHierarchy reads a small tree: shop > berlin > web, and a deleted one under berlin.
func TestHierarchy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	contents := Contents{Accounts: []Account{{ID: 1}, {ID: 2}}, SubAccounts: []SubAccount{
		{ID: 1, AccountID: 1, Name: "shop", PerHour: 5},
		{ID: 2, AccountID: 1, Name: "berlin", Path: []int32{1}, PerHour: 2},
		{ID: 3, AccountID: 1, Name: "web", Path: []int32{2, 1}},
		{ID: 4, AccountID: 1, Name: "gone", Path: []int32{2, 1}, Deleted: now},
		{ID: 5, AccountID: 1, Name: "Athens", Path: []int32{1}},
		{ID: 6, AccountID: 2, Name: "theirs"},
	}}
	view := newSnapshot(contents)
	var names []string
	for _, a := range view.Tree(1) {
		names = append(names, fmt.Sprint(a.Name, a.Level()))
	}
	if got := strings.Join(names, " "); got != "shop1 Athens2 berlin2 web3" {
		t.Errorf("tree %s", got)
	}
	if view.SubAccount(1, 4) != nil || len(view.Chain(1, 4)) != 3 || view.Chain(1, 6) != nil || view.Chain(1, 9) != nil {
		t.Error("chains")
	}
	if n := len(view.Children(1, 2)); n != 1 {
		t.Errorf("%d children", n)
	}
	for _, id := range []int32{1, 2, 3, 4} {
		if why := WhyBlocked(view.Chain(1, id)); why != "" || view.Blocker(view.Chain(1, id)[0]) != nil {
			t.Errorf("%d is not blocked: %s", id, why)
		}
	}
	contents.SubAccounts[0].Blocked, contents.SubAccounts[0].BlockReason = now, "spam"
	view = newSnapshot(contents)
	for id, want := range map[int32]string{
		1: `the sub-account "shop" is blocked: spam`,
		2: `the sub-account "berlin" is blocked, because its parent "shop" is: spam`,
		3: `the sub-account "web" is blocked, because "shop" above it is: spam`,
		4: `the sub-account "gone" is blocked, because "shop" above it is: spam`,
	} {
		if got := WhyBlocked(view.Chain(1, id)); got != want {
			t.Errorf("%d: %s", id, got)
		}
		if by := view.Blocker(view.Chain(1, id)[0]); by == nil || by.ID != 1 {
			t.Errorf("%d is blocked by %v", id, by)
		}
	}
	// Of several limits that are reached the one counts that lasts longest.
	uses := func(n int, ago time.Duration) []limit.Use {
		return []limit.Use{{Span: limit.SpanOf(now.Add(-ago)), N: n}}
	}
	chain := view.Chain(1, 3)
	if got := fmt.Sprint(Limited(chain)); got != "[2 1]" {
		t.Errorf("limited %s", got)
	}
	for _, test := range []struct {
		taken map[int32][]limit.Use
		want  string
	}{
		{nil, ""},
		{map[int32][]limit.Use{1: uses(4, 0), 2: uses(1, 0)}, ""},
		{map[int32][]limit.Use{1: uses(5, 30*time.Minute), 2: uses(2, time.Minute)}, `the limit of the sub-account "berlin", which is above it, of 2 messages an hour is reached`},
		{map[int32][]limit.Use{1: uses(5, time.Minute), 2: uses(2, 30*time.Minute)}, `the limit of the sub-account "shop", which is above it, of 5 messages an hour is reached`},
	} {
		why, until := LimitReached(chain, test.taken, now, time.Minute)
		if why != test.want || until.IsZero() != (why == "") {
			t.Errorf("%v: %s until %s", test.taken, why, until)
		}
	}
}
