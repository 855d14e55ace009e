package web_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"postyard/internal/event"
	"postyard/internal/mailbox"
	"postyard/internal/search"
)

// The dashboard knows every event type by its kind, every mailbox provider, and every word of searches.
func TestTheDashboardKnowsWhatMailKnows(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("ui/src/mail.ts")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	types := map[event.Kind][]string{}
	for _, info := range event.Catalogue() {
		types[info.Kind] = append(types[info.Kind], fmt.Sprint(int(info.Type)))
	}
	for kind, list := range types {
		if line := "types: [" + strings.Join(list, ", ") + "] }"; !strings.Contains(text, line) {
			t.Errorf("kind %d: ui/src/mail.ts lacks %s", kind, line)
		}
	}
	for _, class := range mailbox.Classes() {
		if !strings.Contains(text, `"`+string(class)+`"`) {
			t.Errorf("ui/src/mail.ts lacks the mailbox provider %s", class)
		}
	}
	if raw, err = os.ReadFile("ui/src/pages/messages.tsx"); err != nil {
		t.Fatal(err)
	}
	for _, word := range search.Words() {
		if !strings.Contains(string(raw), `["`+word.Name+`:", `) {
			t.Errorf("ui/src/pages/messages.tsx does not tell of %s:", word.Name)
		}
	}
	for _, status := range search.Statuses() {
		if !strings.Contains(string(raw), `"`+status+`"`) {
			t.Errorf("ui/src/pages/messages.tsx does not know the status %s", status)
		}
	}
}
