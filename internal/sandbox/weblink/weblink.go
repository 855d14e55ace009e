// Package weblink finds the links of a mail that clicks can be tracked on.
//
// It imports nothing but the standard library.
package weblink

import (
	"html"
	"regexp"
	"strings"
)

var (
	href = regexp.MustCompile(`(?i)\shref\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	bare = regexp.MustCompile(`https?://[^\s<>"']+`)
)

// Most bounds how many links of one part are listed.
const Most = 100

// Find returns the web links of a message, HTML first, each once. At most most are looked at in each part; -1 is all.
func Find(htmlBody, textBody string, most int) []string {
	var found []string
	seen := map[string]bool{}
	add := func(link string) {
		if Is(link) && !seen[link] {
			seen[link] = true
			found = append(found, link)
		}
	}
	for _, match := range href.FindAllStringSubmatch(htmlBody, most) {
		add(html.UnescapeString(match[1] + match[2]))
	}
	for _, match := range bare.FindAllString(textBody, most) {
		add(strings.TrimRight(match, ".,;:!?)"))
	}
	return found
}

// Is tells whether a text begins as a web link does.
func Is(link string) bool {
	return strings.HasPrefix(link, "http://") || strings.HasPrefix(link, "https://")
}
