package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"postyard/internal/event"
	"postyard/internal/store/postgres/pgtest"
)

func TestZZ(t *testing.T) {
	c := pgtest.New(t)
	url := c.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	name := conn.Config().Database
	for _, s := range []string{"session_preload_libraries='auto_explain'", "auto_explain.log_min_duration=0", "auto_explain.log_analyze=on", "auto_explain.log_buffers=on", "auto_explain.log_timing=on"} {
		if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+name+" SET "+s); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close(t.Context())
	w := newWorldAt(t, url)
	for range 10 {
		w.accept(400)
	}
	w.send(w.db, 2000)
	ids := w.accept(200)
	w.send(w.db, 2200)
	w.receive(200, strings.Repeat("x", 900))
	w.ingest(w.db, reportsOf(ids, event.Delivered))
	m, _ := filepath.Glob("/tmp/pgtest-*/log")
	for _, f := range m {
		b, _ := os.ReadFile(f)
		if strings.Contains(string(b), "duration:") {
			os.WriteFile("/tmp/plans.log", b, 0o644)
		}
	}
}
