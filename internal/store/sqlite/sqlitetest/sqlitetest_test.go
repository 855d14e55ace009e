package sqlitetest_test

import (
	"testing"

	"postyard/internal/store/sqlite"
	"postyard/internal/store/sqlite/sqlitetest"
)

// Two databases are two installations.
func TestDir(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for range 2 {
		db, err := sqlite.Open(t.Context(), sqlitetest.Dir(t))
		if err != nil {
			t.Fatal(err)
		}
		name, err := db.Installation(t.Context())
		if err != nil || name == "" || known[name] {
			t.Errorf("installation %q, %v", name, err)
		}
		known[name] = true
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for name, dir := range map[string]func(testing.TB) string{"new": func(t testing.TB) string { return t.TempDir() }, "copied": sqlitetest.Dir} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				db, err := sqlite.Open(b.Context(), dir(b))
				if err != nil {
					b.Fatal(err)
				}
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
