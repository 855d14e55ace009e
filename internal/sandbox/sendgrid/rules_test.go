package sendgrid

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Requests at and around a limit are refused exactly beyond it.
func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.IntRange(maxArgs-12, maxArgs+2).Draw(t, "bytes of the arguments") // of the object {"a":"..."}
		category := rapid.IntRange(maxCategory-2, maxCategory+2).Draw(t, "characters of the category")
		ahead := rapid.Int64Range(-2, 2).Draw(t, "seconds beyond the furthest time")
		value := map[string]any{
			fieldPersonalizations: []any{map[string]any{"to": []any{map[string]any{"email": "a@example.net"}},
				"custom_args": map[string]any{"a": strings.Repeat("x", args-len(`{"a":""}`))}}},
			"from": map[string]any{"email": "a@example.com"}, "subject": "s", "content": []any{map[string]any{"type": "text/plain", "value": "v"}},
			"categories": []string{strings.Repeat("c", category)}, "send_at": now.Add(maxAhead).Unix() + ahead,
		}
		raw, err := encode(value)
		if err != nil {
			t.Fatal(err)
		}
		wrong := 0
		for _, beyond := range []bool{args > maxArgs, category > maxCategory, ahead > 0} {
			if beyond {
				wrong++
			}
		}
		_, err = examine(raw, now)
		if wrong == 0 {
			if err != nil {
				t.Error(err)
			}
			return
		}
		f, ok := err.(*failure) //nolint:errorlint // it is one, or the test fails
		if !ok || f.status != http.StatusBadRequest || len(f.body.(errorBody).Errors) != wrong {
			t.Errorf("%d mistakes: %v", wrong, err)
		}
	})
}
