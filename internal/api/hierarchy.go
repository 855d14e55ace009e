package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"postyard/internal/account"
	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// Hierarchy manages how sub-accounts stand under each other, their limits and their blocks; *account.Service does.
type Hierarchy interface {
	Arrange(ctx context.Context, accountID, id int32, a account.Arrangement) (*directory.SubAccount, error)
	Block(ctx context.Context, accountID, id int32, reason string) (*directory.SubAccount, error)
	Unblock(ctx context.Context, accountID, id int32) (*directory.SubAccount, error)
	Taken(ctx context.Context, ids []int32, claim time.Duration) (map[int32][]limit.Use, error)
}

// placeAnswer is where a sub-account stands, what it may send, and whether it does. SendPost's SubAccount takes no extra keys.
type placeAnswer struct {
	ID          int32   `json:"id"`
	Name        string  `json:"name"`
	Default     bool    `json:"default"` // made with the account; it cannot be deleted
	ParentID    *int32  `json:"parentId"`
	Level       int     `json:"level"`       // from 1
	Children    []int32 `json:"children"`    // directly under it, by name
	Paused      bool    `json:"paused"`      // it alone
	RatePerHour int     `json:"ratePerHour"` // most messages in any 60 minutes, with those of all under it; 0: no limit
	Taken       int     `json:"taken"`       // how many count at present, with those of all under it
	FreeAt      int64   `json:"freeAt"`      // when the next one may go, in ns; 0: now
	Blocked     bool    `json:"blocked"`     // it, or one above it
	BlockedBy   int32   `json:"blockedBy"`   // who is blocked: itself or the nearest one above it; 0: none
	BlockedAt   int64   `json:"blockedAt"`   // since when, in ns
	BlockReason string  `json:"blockReason"`
	Why         string  `json:"why"` // it sends nothing at present, for people; "" when it may
	Created     int64   `json:"created"`
}

// branchAnswer is a sub-account of the tree.
type branchAnswer struct {
	placeAnswer
	Labels       []label      `json:"labels"`
	Stat         statCounters `json:"stat"`         // its own
	WithChildren statCounters `json:"withChildren"` // and that of all under it
}

// treeAnswer is all sub-accounts: each right before those that stand under it.
type treeAnswer struct {
	From        string         `json:"from"` // YYYY-MM-DD, of what is counted
	To          string         `json:"to"`
	SubAccounts []branchAnswer `json:"subAccounts"`
}

// placeRequest changes where a sub-account stands and what it may send. What is absent stays.
type placeRequest struct {
	ParentID    parentReference `json:"parentId"`    // null: under none
	RatePerHour *int            `json:"ratePerHour"` // 0: no limit
}

// parentReference is an id, null for none, or absent.
type parentReference struct {
	given bool
	id    int32
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *parentReference) UnmarshalJSON(raw []byte) error {
	p.given, p.id = true, 0
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return json.Unmarshal(raw, &p.id)
}

// blockRequest says why a sub-account is blocked.
type blockRequest struct {
	Reason string `json:"reason"`
}

// How many days the tree counts.
const (
	usualTreeDays = 7
	mostTreeDays  = maxAggregate
)

// hierarchyOperations are the operations on how sub-accounts stand under each other.
func (s *server) hierarchyOperations(v1 string) []operation {
	const path = "/account/subaccount"
	return []operation{
		op(http.MethodGet, v1+path+"/tree", accountKey, "list sub-accounts under each other, with their limits and statistics", s.forAccount(s.subAccountTree)).
			asks(parameter{Name: "days", Kind: "integer", Summary: "how many days are counted, the present one included; 7 unless it is said"}).
			answers(http.StatusOK, treeAnswer{}),
		op(http.MethodGet, v1+path+"/{id}/hierarchy", accountKey, "read where a sub-account stands, its limit and its block", s.forAccount(s.getPlace)).
			answers(http.StatusOK, placeAnswer{}),
		op(http.MethodPut, v1+path+"/{id}/hierarchy", accountKey, "put a sub-account under another one, or set its limit", s.forAccount(s.setPlace)).
			body(placeRequest{}).answers(http.StatusOK, placeAnswer{}),
		op(http.MethodPost, v1+path+"/{id}/block", accountKey, "send nothing for a sub-account, nor for those under it", s.forAccount(s.blockSubAccount)).
			body(blockRequest{}).orNone().answers(http.StatusOK, placeAnswer{}),
		op(http.MethodPost, v1+path+"/{id}/unblock", accountKey, "send for it again", s.forAccount(s.unblockSubAccount)).
			answers(http.StatusOK, placeAnswer{}),
	}
}

// place describes a sub-account; taken is what counts at present.
func (s *server) place(view *directory.Snapshot, a *directory.SubAccount, children []int32, taken map[int32][]limit.Use) placeAnswer {
	answer := placeAnswer{ID: a.ID, Name: a.Name, Default: a.Default, Level: a.Level(), Children: children, Paused: a.Paused,
		RatePerHour: a.PerHour, Taken: limit.Sum(taken[a.ID]), Created: nanos(a.Created)}
	if answer.Children == nil {
		answer.Children = []int32{}
	}
	if parent := a.Parent(); parent != 0 {
		answer.ParentID = &parent
	}
	now := s.Now()
	chain := view.Chain(a.AccountID, a.ID)
	if a.PerHour > 0 {
		_, free := limit.Room(a.PerHour, taken[a.ID], now, s.Claim)
		answer.FreeAt = nanos(free)
	}
	if by := view.Blocker(a); by != nil {
		answer.Blocked, answer.BlockedBy, answer.BlockedAt, answer.BlockReason = true, by.ID, nanos(by.Blocked), by.BlockReason
		answer.Why = directory.WhyBlocked(chain)
	} else {
		answer.Why, _ = directory.LimitReached(chain, taken, now, s.Claim)
	}
	return answer
}

func (s *server) replyPlace(w http.ResponseWriter, r *http.Request, a *directory.SubAccount, err error) error {
	if err != nil {
		return err
	}
	view := s.Directory.Current()
	ids := append(directory.Limited(view.Chain(a.AccountID, a.ID)), a.ID)
	taken, err := s.Accounts.Taken(r.Context(), ids, s.Claim)
	if err != nil {
		return err
	}
	var children []int32
	for _, child := range view.Children(a.AccountID, a.ID) {
		children = append(children, child.ID)
	}
	return reply(w, http.StatusOK, s.place(view, a, children, taken))
}

func (s *server) getPlace(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.SubAccount(a.ID, id)
	return s.replyPlace(w, r, sub, err)
}

func (s *server) setPlace(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Accounts.SubAccount(a.ID, id); err != nil {
		return err // before the body is judged
	}
	var in placeRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	change := account.Arrangement{PerHour: in.RatePerHour}
	if in.ParentID.given {
		if in.ParentID.id < 0 {
			return mail.Invalid("unknown_parent", "parentId", "parentId is the id of a sub-account, or null")
		}
		change.Parent = &in.ParentID.id
	}
	sub, err := s.Accounts.Arrange(r.Context(), a.ID, id, change)
	if err == nil {
		s.Changed()
	}
	return s.replyPlace(w, r, sub, err)
}

func (s *server) blockSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.Accounts.SubAccount(a.ID, id); err != nil {
		return err // before the body is judged
	}
	var in blockRequest
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := decode(body, &in); err != nil {
			return err
		}
	}
	sub, err := s.Accounts.Block(r.Context(), a.ID, id, in.Reason)
	return s.replyPlace(w, r, sub, err)
}

func (s *server) unblockSubAccount(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	sub, err := s.Accounts.Unblock(r.Context(), a.ID, id)
	if err == nil {
		s.Changed()
	}
	return s.replyPlace(w, r, sub, err)
}

func (s *server) subAccountTree(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	count, err := wholeNumber(r.URL.Query(), "days", usualTreeDays, 1, mostTreeDays)
	if err != nil {
		return err
	}
	view, now := s.Directory.Current(), s.Now().UTC()
	list := view.Tree(a.ID)
	ids, place, children := make([]int32, len(list)), make(map[int32]int, len(list)), map[int32][]int32{}
	for i, sub := range list {
		ids[i], place[sub.ID] = sub.ID, i
		children[sub.Parent()] = append(children[sub.Parent()], sub.ID)
	}
	taken, err := s.Accounts.Taken(r.Context(), ids, s.Claim)
	if err != nil {
		return err
	}
	f := store.StatFilter{AccountID: a.ID, From: now.AddDate(0, 0, 1-count), To: now, By: store.BySubAccount}
	sums, err := s.sums(r, f)
	if err != nil {
		return err
	}
	own, all := make([]figures, len(list)), make([]figures, len(list))
	for i := range sums {
		id := int32(sums[i].Key)
		if k, inUse := place[id]; inUse {
			own[k].add(&sums[i])
		}
		for _, above := range view.Chain(a.ID, id) { // that of a deleted one as well
			if k, inUse := place[above.ID]; inUse {
				all[k].add(&sums[i])
			}
		}
	}
	answer := treeAnswer{From: f.From.Format(time.DateOnly), To: f.To.Format(time.DateOnly), SubAccounts: make([]branchAnswer, len(list))}
	for i, sub := range list {
		answer.SubAccounts[i] = branchAnswer{s.place(view, sub, children[sub.ID], taken), s.labelsOf(sub), own[i].statCounters, all[i].statCounters}
	}
	return reply(w, http.StatusOK, answer)
}
