// Package sqlitetest gives tests data directories in which the database has its tables already. To make these takes longer than most tests.
package sqlitetest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"postyard/internal/store/sqlite"
)

const fileName = "postyard.db"

// Dir returns a new directory with an empty database in it, for [sqlite.Open].
func Dir(t testing.TB) string {
	t.Helper()
	empty, err := made()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// made is an empty database, which is made once. It has no name yet, so that no two are the same.
var made = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "postyard-empty-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return nil, err
	}
	_, err = raw.ExecContext(context.Background(), `DELETE FROM installation`)
	if err = errors.Join(err, raw.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
