package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/store"
)

// Errors about labels.
var (
	ErrNoLabel    = errors.New("the account has no such label")
	ErrLabelTaken = errors.New("a label of this name exists already")
)

// Most labels, of an account and of a sub-account, and the most bytes of a color.
const (
	MaxLabels      = 1000
	MaxLabelsOfSub = 50
	maxColor       = 32
)

// Label returns one of the account's labels, or ErrNoLabel.
func (s *Service) Label(accountID, id int32) (*directory.Label, error) {
	if l := s.dir.Current().Label(accountID, id); l != nil {
		return l, nil
	}
	return nil, ErrNoLabel
}

// Labels returns the account's labels, in the order of ids, whose name contains search in any case.
func (s *Service) Labels(accountID int32, search string) []*directory.Label {
	search = strings.ToLower(search)
	return slices.DeleteFunc(s.dir.Current().Labels(accountID), func(l *directory.Label) bool { return !strings.Contains(strings.ToLower(l.Name), search) })
}

// CreateLabel makes a label. It fails with a *mail.FieldError or ErrLabelTaken.
func (s *Service) CreateLabel(ctx context.Context, accountID int32, name, color string) (*directory.Label, error) {
	l := &directory.Label{AccountID: accountID, Created: s.now().UTC()}
	if err := setLabel(l, name, color); err != nil {
		return nil, err
	}
	if len(s.dir.Current().Labels(accountID)) >= MaxLabels {
		return nil, mail.Invalid("too_many_labels", "", "an account has at most %d labels", MaxLabels)
	}
	if err := s.store.CreateLabel(ctx, l); err != nil {
		return nil, fmt.Errorf("create label %q: %w", l.Name, ofLabel(err))
	}
	return l, s.dir.Reload(ctx)
}

// UpdateLabel changes a label. It fails with a *mail.FieldError, ErrNoLabel or ErrLabelTaken.
func (s *Service) UpdateLabel(ctx context.Context, accountID, id int32, name, color string) (*directory.Label, error) {
	found, err := s.Label(accountID, id)
	if err != nil {
		return nil, err
	}
	l := *found
	if err := setLabel(&l, name, color); err != nil {
		return nil, err
	}
	if err := s.store.UpdateLabel(ctx, &l); err != nil {
		return nil, fmt.Errorf("update label %d: %w", id, ofLabel(err))
	}
	return &l, s.dir.Reload(ctx)
}

// DeleteLabel removes a label from everything that has it, and returns what it was. It fails with ErrNoLabel.
func (s *Service) DeleteLabel(ctx context.Context, accountID, id int32) (*directory.Label, error) {
	l, err := s.Label(accountID, id)
	if err != nil {
		return nil, err
	}
	if err := s.store.DeleteLabel(ctx, accountID, id); err != nil {
		return nil, fmt.Errorf("delete label %d: %w", id, ofLabel(err))
	}
	return l, s.dir.Reload(ctx)
}

// LabelSubAccount sets the labels of a sub-account. It fails with a *mail.FieldError or ErrNotFound.
func (s *Service) LabelSubAccount(ctx context.Context, accountID, id int32, labels []int32) (*directory.SubAccount, error) {
	labels = slices.Clone(labels)
	slices.Sort(labels)
	if labels = slices.Compact(labels); len(labels) > MaxLabelsOfSub {
		return nil, mail.Invalid("too_many_labels", "labels", "a sub-account has at most %d labels", MaxLabelsOfSub)
	}
	if err := s.store.LabelSubAccount(ctx, accountID, id, labels); err != nil {
		return nil, fmt.Errorf("label sub-account %d: %w", id, ours(err))
	}
	if err := s.dir.Reload(ctx); err != nil {
		return nil, err
	}
	return s.SubAccount(accountID, id)
}

func setLabel(l *directory.Label, name, color string) (err error) {
	if l.Name, err = directory.ParseName(name); err != nil {
		return err
	}
	if l.Color = strings.TrimSpace(color); len(l.Color) > maxColor || strings.ContainsFunc(l.Color, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return mail.Invalid("invalid_color", "color", "a color is a word or a code such as #1f77b4, of at most %d bytes", maxColor)
	}
	return nil
}

// ofLabel puts the package's own errors in the place of the store's.
func ofLabel(err error) error { return store.Instead(err, ErrLabelTaken, ErrNoLabel) }
