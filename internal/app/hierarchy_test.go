package app

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"postyard/internal/client"
)

// TestSubAccountHierarchy has mail flow through a real server: the limit of a parent holds its child's mail, a block refuses and holds it,
// and each lets it go when it ends.
func TestSubAccountHierarchy(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	low, top := s.SubAccounts[0].ID, s.SubAccounts[1].ID
	must := func(_ client.Place, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.api.MoveSubAccount(t.Context(), low, &top))
	must(s.api.LimitSubAccount(t.Context(), top, 3))
	ids := s.send("a@gmail.com", "b@gmail.com", "c@yahoo.com", "d@yahoo.com", "e@example.com")
	waitFor(t, "three to arrive", func() bool { return s.inState("delivered", ids) == 3 })
	for _, id := range ids {
		if s.explain(id).State == "queued" {
			s.waitsFor(id, `which is above it, of 3 messages an hour is reached`)
		}
	}
	if n := s.inState("queued", ids); n != 2 {
		t.Errorf("%d wait", n)
	}
	must(s.api.BlockSubAccount(t.Context(), top, "complaints"))
	for _, id := range ids {
		if s.explain(id).State == "queued" {
			s.waitsFor(id, `is blocked, because its parent "`+s.SubAccounts[1].Name+`" is: complaints`)
		}
	}
	err := s.api.SubAccount(t.Context(), http.MethodPost, "/api/v1/subaccount/email/", map[string]any{"from": map[string]string{"email": "shop@example.com"},
		"to": []any{map[string]string{"email": "f@gmail.com"}}, "subject": "Hi", "textBody": "Hi", "ippool": s.Pool}, nil)
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Status != http.StatusForbidden || refused.Code != "sub_account_blocked" {
		t.Errorf("a send of a blocked sub-account: %v", err)
	}
	must(s.api.LimitSubAccount(t.Context(), top, 0))
	if n := s.inState("queued", ids); n != 2 {
		t.Errorf("%d wait while it is blocked", n)
	}
	began := time.Now()
	must(s.api.UnblockSubAccount(t.Context(), top))
	s.want("[69 70 71]", 1, ids...)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("they left after %s", took)
	}
	var tree client.Tree
	if err := s.api.SubAccountTree(t.Context(), 1, &tree); err != nil || len(tree.SubAccounts) < 2 {
		t.Fatalf("tree %+v, %v", tree, err)
	}
	for _, b := range tree.SubAccounts {
		if b.ID == top && (b.Taken != 5 || b.WithChildren.Delivered != 5 || b.Stat.Delivered != 0) {
			t.Errorf("the parent %+v", b)
		}
	}
	s.balanced()
}
