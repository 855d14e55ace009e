package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// maxReason is the most bytes of why a sub-account is blocked.
const maxReason = 500

// Arrangement is what is to change of the place of a sub-account; nil stays as it is.
type Arrangement struct {
	Parent  *int32 // 0: under none
	PerHour *int   // messages in any 60 minutes, with those of all under it; 0: no limit
}

// Arrange puts a sub-account under another one, or under none, and sets its limit. It fails with a *mail.FieldError or ErrNotFound, and
// changes nothing then.
func (s *Service) Arrange(ctx context.Context, accountID, id int32, a Arrangement) (*directory.SubAccount, error) {
	if n := a.PerHour; n != nil && (*n < 0 || *n > limit.MostWhole) {
		return nil, mail.Invalid("invalid_rate", "ratePerHour", "ratePerHour is a whole number from 1 to %d, or 0 for no limit", limit.MostWhole)
	}
	if _, err := s.SubAccount(accountID, id); err != nil {
		return nil, err
	}
	err := s.store.ArrangeSubAccount(ctx, accountID, id, store.Arrangement{Parent: a.Parent, PerHour: a.PerHour, Now: s.now().UTC()})
	switch {
	case errors.Is(err, store.ErrCircle):
		return nil, mail.Invalid("circle", "parentId", "%s", store.ErrCircle)
	case errors.Is(err, store.ErrTooDeep):
		return nil, mail.Invalid("too_many_levels", "parentId", "sub-accounts stand on at most %d levels", directory.MaxLevels)
	case errors.Is(err, store.ErrNotFound) && a.Parent != nil && *a.Parent != 0:
		return nil, mail.Invalid("unknown_parent", "parentId", "the account has no sub-account %d to stand under", *a.Parent)
	case err != nil:
		return nil, fmt.Errorf("arrange sub-account %d: %w", id, ours(err))
	}
	if err := s.dir.Reload(ctx); err != nil {
		return nil, err
	}
	return s.SubAccount(accountID, id)
}

// Block blocks a sub-account: nothing is taken in or sent for it, nor for those under it. The reason is for people, and may be empty. It
// fails with a *mail.FieldError or ErrNotFound.
func (s *Service) Block(ctx context.Context, accountID, id int32, reason string) (*directory.SubAccount, error) {
	reason = strings.TrimSpace(reason)
	if len(reason) > maxReason || strings.ContainsFunc(reason, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return nil, mail.Invalid("invalid_reason", "reason", "reason is one line of at most %d bytes", maxReason)
	}
	return s.setBlock(ctx, accountID, id, store.Block{At: s.now().UTC(), Reason: reason})
}

// Unblock lets a sub-account send again. It fails with ErrNotFound.
func (s *Service) Unblock(ctx context.Context, accountID, id int32) (*directory.SubAccount, error) {
	return s.setBlock(ctx, accountID, id, store.Block{})
}

func (s *Service) setBlock(ctx context.Context, accountID, id int32, b store.Block) (*directory.SubAccount, error) {
	if err := s.store.BlockSubAccount(ctx, accountID, id, b); err != nil {
		return nil, fmt.Errorf("block sub-account %d: %w", id, ours(err))
	}
	if err := s.dir.Reload(ctx); err != nil {
		return nil, err
	}
	return s.SubAccount(accountID, id)
}

// Taken returns how many messages of sub-accounts, with those under them, count at present, by id; claim is how long a claim lasts.
func (s *Service) Taken(ctx context.Context, ids []int32, claim time.Duration) (map[int32][]limit.Use, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	taken, err := s.store.SenderPermits(ctx, ids, s.now(), claim)
	if err != nil {
		return nil, fmt.Errorf("permits of sub-accounts: %w", err)
	}
	return taken, nil
}
