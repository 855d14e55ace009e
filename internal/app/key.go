package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"postyard/internal/config"
	"postyard/internal/secret"
)

// keyStore keeps the value that tells the right key from a wrong one.
type keyStore interface {
	KeyCheck(ctx context.Context) ([]byte, error)
	SetKeyCheck(ctx context.Context, sealed []byte) error
}

const (
	keyCheckPurpose = "installation.key_check"
	keyCheckText    = "postyard"
)

// openBox finds the key that credentials are sealed with. A database that was sealed with another key is refused: it would
// serve, but with no credentials, and would seal new ones with the wrong key. For the same reason a key file is made for a
// fresh database only.
func openBox(ctx context.Context, cfg config.Config, st keyStore) (*secret.Box, error) {
	check, err := st.KeyCheck(ctx)
	if err != nil {
		return nil, err
	}
	key := cfg.SecretKey
	if key.IsZero() {
		if _, err := os.Stat(cfg.KeyFile()); len(check) > 0 && errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the key file %s is missing: the database is sealed with a key; restore the file, or give the key by POSTYARD_SECRET_KEY, the same to all servers that share the database", cfg.KeyFile())
		}
		if key, err = secret.LoadOrCreateKey(cfg.KeyFile()); err != nil {
			return nil, err
		}
	}
	box := secret.NewBox(key)
	if len(check) == 0 {
		if err := st.SetKeyCheck(ctx, box.Seal(keyCheckPurpose, []byte(keyCheckText))); err != nil {
			return nil, err
		}
		if check, err = st.KeyCheck(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := box.Open(keyCheckPurpose, check); err != nil {
		return nil, errors.New("the encryption key is not the one that this database is sealed with: restore secret.key, or POSTYARD_SECRET_KEY, from the backup of this database; servers that share a database need the same POSTYARD_SECRET_KEY")
	}
	return box, nil
}
