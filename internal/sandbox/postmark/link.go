package postmark

import (
	"html"
	"regexp"
	"strings"
)

var (
	hrefLink = regexp.MustCompile(`(?i)\shref\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	textLink = regexp.MustCompile(`https?://[^\s<>"']+`)
)

// maxLinks bounds how many links of one part are listed.
const maxLinks = 100

// links returns the web links of a message that clicks can be tracked on, HTML first, each once. At most most are looked at in
// each part; -1 is all.
func links(htmlBody, textBody string, most int) []string {
	var found []string
	seen := map[string]bool{}
	add := func(link string) {
		if webLink(link) && !seen[link] {
			seen[link] = true
			found = append(found, link)
		}
	}
	for _, match := range hrefLink.FindAllStringSubmatch(htmlBody, most) {
		add(html.UnescapeString(match[1] + match[2]))
	}
	for _, match := range textLink.FindAllString(textBody, most) {
		add(strings.TrimRight(match, ".,;:!?)"))
	}
	return found
}

func webLink(link string) bool {
	return strings.HasPrefix(link, "http://") || strings.HasPrefix(link, "https://")
}
