package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// promises is how many statements the guide has.
const promises = 37

// TestGuideIsTested: each statement of the Postmark guide names tests, and they exist.
func TestGuideIsTested(t *testing.T) {
	t.Parallel()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(PM-\\d+)` \\|[^|]+\\|([^|]+)\\|$").FindAllStringSubmatch(read(t, "postmark/statements.md"), -1) {
		rows[m[1]] = m[2]
	}
	known := declarations{}
	for n := range promises {
		id := fmt.Sprintf("PM-%d", n+1)
		tests := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(rows[id], -1)
		if len(tests) == 0 {
			t.Errorf("%s names no test", id)
		}
		for _, m := range tests {
			if !strings.Contains(m[1], ".Test") || !known.has(t, m[1]) {
				t.Errorf("%s names %s, which is not there", id, m[1])
			}
		}
	}
}
