package sqlite

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSecondProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestAcknowledgedIsOnDisk(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "page_size": "8192"} {
		var got string
		if err := db.write(t.Context(), rest, func(tx *tx) error {
			_, err := tx.one([]any{&got}, "SELECT CAST("+pragma+" AS TEXT) FROM pragma_"+pragma)
			return err
		}); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
}
