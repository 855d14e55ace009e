package postmark

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

var (
	hrefLink = regexp.MustCompile(`(?i)\shref\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	textLink = regexp.MustCompile(`https?://[^\s<>"']+`)
)

// maxLinks bounds how many links of one message are listed.
const maxLinks = 100

// links returns the web links of a message that clicks can be tracked on, HTML first, each once.
func links(htmlBody, textBody string) []string {
	var found []string
	add := func(link string) {
		if (strings.HasPrefix(link, "http://") || strings.HasPrefix(link, "https://")) && !slices.Contains(found, link) {
			found = append(found, link)
		}
	}
	for _, match := range hrefLink.FindAllStringSubmatch(htmlBody, maxLinks) {
		add(html.UnescapeString(match[1] + match[2]))
	}
	for _, match := range textLink.FindAllString(textBody, maxLinks) {
		add(strings.TrimRight(match, ".,;:!?)"))
	}
	return found
}
