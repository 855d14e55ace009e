package app

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"postyard/internal/config"
	"postyard/internal/secret"
)

// TestWrongKey refuses a database that was sealed with another key, and never makes a new key beside one that has content.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	cfg := config.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), AskAfter: []time.Duration{time.Second}, CallTimeout: time.Second}
	open := func(cfg config.Config) error {
		s, err := NewServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return s.Abort(nil)
	}
	if err := open(cfg); err != nil {
		t.Fatal(err)
	}
	if err := open(cfg); err != nil {
		t.Fatalf("with the same key: %v", err)
	}
	other := cfg
	other.SecretKey = secret.NewKey()
	if err := open(other); err == nil || !strings.Contains(err.Error(), "not the one") {
		t.Errorf("with another key: %v", err)
	}
	if err := os.Remove(cfg.KeyFile()); err != nil {
		t.Fatal(err)
	}
	if err := open(cfg); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("without the key file: %v", err)
	}
	if _, err := os.Stat(cfg.KeyFile()); !os.IsNotExist(err) {
		t.Errorf("a new key file was made: %v", err)
	}
}
