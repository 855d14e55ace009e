package providertest

import "testing"

// Each adapter passes as many cases as there are here, because Run lets it skip none.
func TestCases(t *testing.T) {
	t.Parallel()
	if n := len(Cases()); n < Least {
		t.Errorf("%d cases, fewer than %d", n, Least)
	}
	seen := make(map[string]bool)
	for _, c := range Cases() {
		if c.Name == "" || c.test == nil || seen[c.Name] {
			t.Errorf("%q has no name, tests nothing, or is there twice", c.Name)
		}
		seen[c.Name] = true
	}
}
