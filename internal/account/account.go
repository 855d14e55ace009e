// Package account manages accounts, sub-accounts and their API keys.
//
// Reads come from the directory's snapshot and cost no query; writes go to the store and then reload the directory, so a
// change is visible to the next request. A key is stored twice: hashed, to find its owner, and sealed, because SendPost's
// answers show it. Every operation on a sub-account names its account: nothing of another account can be reached.
//
// The package must not import an engine of the store, nor anything of HTTP.
package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/secret"
	"postyard/internal/store"
)

// Errors that callers decide on.
var (
	ErrNotFound  = errors.New("the account has no such sub-account")
	ErrNameTaken = errors.New("a sub-account of this name exists already")
	ErrDefault   = errors.New("the default sub-account cannot be deleted")
	ErrChildren  = errors.New("other sub-accounts stand under this one: move them first")
)

// DefaultName is the name of the sub-account that every account begins with.
const DefaultName = "default"

// What a sealed key was sealed for.
const (
	accountKeyPurpose    = "account.key"
	subAccountKeyPurpose = "sub_account.key"
)

// Store is what the service needs of the storage contract.
type Store interface {
	CreateAccount(ctx context.Context, a *directory.Account, s *directory.SubAccount) error
	CreateSubAccount(ctx context.Context, s *directory.SubAccount) error
	RenameSubAccount(ctx context.Context, accountID, id int32, name string) error
	DeleteSubAccount(ctx context.Context, accountID, id int32, now time.Time) error
	PauseSubAccount(ctx context.Context, accountID, id int32, paused bool) error
	store.Hierarchy
	store.Labels
}

// Service manages accounts and sub-accounts. It is safe for concurrent use.
type Service struct {
	dir   *directory.Directory
	store Store
	box   *secret.Box
	now   func() time.Time
}

// New returns a Service. now is the clock.
func New(dir *directory.Directory, st Store, box *secret.Box, now func() time.Time) *Service {
	return &Service{dir: dir, store: st, box: box, now: now}
}

// Fresh is what Bootstrap made. Its keys are to be shown once.
type Fresh struct {
	Account       *directory.Account
	SubAccount    *directory.SubAccount
	AccountKey    secret.String
	SubAccountKey secret.String
}

// Bootstrap creates an account of that name with its default sub-account when there is no account yet. created is false,
// and fresh empty, when there is one.
func (s *Service) Bootstrap(ctx context.Context, name string) (fresh Fresh, created bool, err error) {
	if len(s.dir.Current().Accounts()) > 0 {
		return Fresh{}, false, nil
	}
	name, err = directory.ParseName(name)
	if err != nil {
		return Fresh{}, false, err
	}
	now := s.now().UTC()
	a := &directory.Account{Name: name, Created: now}
	sub := &directory.SubAccount{Name: DefaultName, Default: true, Created: now}
	fresh.AccountKey = s.newKey(accountKeyPurpose, &a.KeyHash, &a.SealedKey)
	fresh.SubAccountKey = s.newKey(subAccountKeyPurpose, &sub.KeyHash, &sub.SealedKey)
	if err := s.store.CreateAccount(ctx, a, sub); err != nil {
		return Fresh{}, false, fmt.Errorf("create account %q: %w", name, err)
	}
	if err := s.dir.Reload(ctx); err != nil {
		return Fresh{}, false, err
	}
	fresh.Account, fresh.SubAccount = a, sub
	return fresh, true, nil
}

// AuthenticateAccount returns the account that owns the key, or nil.
func (s *Service) AuthenticateAccount(key string) *directory.Account {
	return s.dir.Current().AccountByKey(secret.Hash(key))
}

// AuthenticateSubAccount returns the sub-account that owns the key, or nil.
func (s *Service) AuthenticateSubAccount(key string) *directory.SubAccount {
	return s.dir.Current().SubAccountByKey(secret.Hash(key))
}

// AccountKey opens the account's API key. Its errors wrap [secret.ErrOpen].
func (s *Service) AccountKey(a *directory.Account) (secret.String, error) {
	return s.open(accountKeyPurpose, a.SealedKey)
}

// Key opens the sub-account's API key. Its errors wrap [secret.ErrOpen].
func (s *Service) Key(a *directory.SubAccount) (secret.String, error) {
	return s.open(subAccountKeyPurpose, a.SealedKey)
}

// SubAccount returns one of the account's sub-accounts, or ErrNotFound.
func (s *Service) SubAccount(accountID, id int32) (*directory.SubAccount, error) {
	if a := s.dir.Current().SubAccount(accountID, id); a != nil {
		return a, nil
	}
	return nil, ErrNotFound
}

// SubAccounts returns the account's sub-accounts, in the order of ids, whose name contains search in any case.
func (s *Service) SubAccounts(accountID int32, search string) []*directory.SubAccount {
	search = strings.ToLower(search)
	return slices.DeleteFunc(s.dir.Current().SubAccounts(accountID), func(a *directory.SubAccount) bool {
		return !strings.Contains(strings.ToLower(a.Name), search)
	})
}

// CreateSubAccount creates a sub-account with a key of its own. It fails with a *mail.FieldError or ErrNameTaken.
func (s *Service) CreateSubAccount(ctx context.Context, accountID int32, name string) (*directory.SubAccount, error) {
	name, err := directory.ParseName(name)
	if err != nil {
		return nil, err
	}
	a := &directory.SubAccount{AccountID: accountID, Name: name, Created: s.now().UTC()}
	s.newKey(subAccountKeyPurpose, &a.KeyHash, &a.SealedKey)
	if err := s.store.CreateSubAccount(ctx, a); err != nil {
		return nil, fmt.Errorf("create sub-account %q: %w", name, ours(err))
	}
	return a, s.dir.Reload(ctx)
}

// RenameSubAccount gives a sub-account another name. It fails with a *mail.FieldError, ErrNotFound or ErrNameTaken.
func (s *Service) RenameSubAccount(ctx context.Context, accountID, id int32, name string) (*directory.SubAccount, error) {
	name, err := directory.ParseName(name)
	if err != nil {
		return nil, err
	}
	a, err := s.SubAccount(accountID, id)
	if err != nil || a.Name == name {
		return a, err
	}
	if err := s.store.RenameSubAccount(ctx, accountID, id, name); err != nil {
		return nil, fmt.Errorf("rename sub-account %d: %w", id, ours(err))
	}
	if err := s.dir.Reload(ctx); err != nil {
		return nil, err
	}
	return s.SubAccount(accountID, id)
}

// DeleteSubAccount takes a sub-account and its key out of use, ends its pause, and returns what it was. A block of it stands: what waits
// never leaves. It fails with ErrNotFound, ErrDefault or ErrChildren.
func (s *Service) DeleteSubAccount(ctx context.Context, accountID, id int32) (*directory.SubAccount, error) {
	a, err := s.SubAccount(accountID, id)
	if err != nil {
		return nil, err
	}
	if a.Default {
		return nil, ErrDefault
	}
	if len(s.dir.Current().Children(accountID, id)) > 0 {
		return nil, ErrChildren // before its pause ends; the store decides
	}
	if a.Paused { // its mail still goes out; nobody could resume it afterwards
		if err := s.store.PauseSubAccount(ctx, accountID, id, false); err != nil {
			return nil, fmt.Errorf("resume sub-account %d: %w", id, ours(err))
		}
	}
	if err := s.store.DeleteSubAccount(ctx, accountID, id, s.now().UTC()); err != nil {
		return nil, fmt.Errorf("delete sub-account %d: %w", id, ours(err))
	}
	return a, s.dir.Reload(ctx)
}

// PauseSubAccount lets the mail of a sub-account wait, or go on. It fails with ErrNotFound.
func (s *Service) PauseSubAccount(ctx context.Context, accountID, id int32, paused bool) (*directory.SubAccount, error) {
	if err := s.store.PauseSubAccount(ctx, accountID, id, paused); err != nil {
		return nil, fmt.Errorf("pause sub-account %d: %w", id, ours(err))
	}
	if err := s.dir.Reload(ctx); err != nil {
		return nil, err
	}
	return s.SubAccount(accountID, id)
}

// newKey makes an API key and sets the two forms of it that are stored.
func (s *Service) newKey(purpose string, hash *directory.KeyHash, sealed *[]byte) secret.String {
	key := secret.APIKey()
	*hash, *sealed = secret.Hash(key), s.box.Seal(purpose, []byte(key))
	return secret.NewString(key)
}

func (s *Service) open(purpose string, sealed []byte) (secret.String, error) {
	key, err := s.box.Open(purpose, sealed)
	if err != nil {
		return secret.String{}, fmt.Errorf("open API key: %w", err)
	}
	return secret.NewString(string(key)), nil
}

// ours puts the package's own errors in the place of the store's.
func ours(err error) error {
	if errors.Is(err, store.ErrHasChildren) {
		return ErrChildren
	}
	return store.Instead(err, ErrNameTaken, ErrNotFound)
}
