package postmark

import (
	"cmp"
	"slices"
)

// BounceTypes returns the names of Postmark's bounce types in the order of their codes, for documents and tests.
func BounceTypes() []string {
	names := make([]string, 0, len(bounceTypes))
	for name := range bounceTypes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(bounceTypes[a].code, bounceTypes[b].code) })
	return names
}
