package mail

import (
	"html"
	"regexp"
	"strings"
)

var bodyTag = regexp.MustCompile(`(?i)<body\b[^>]*>`)

// WithPreheader puts the text that inboxes show beside the subject (preText) before everything else in an HTML body, where readers do
// not see it. Without a body or a text, the body stays as it is.
func WithPreheader(body, text string) string {
	if body == "" || strings.TrimSpace(text) == "" {
		return body
	}
	hidden := `<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">` + html.EscapeString(text) + `</div>`
	if tag := bodyTag.FindStringIndex(body); tag != nil {
		return body[:tag[1]] + hidden + body[tag[1]:]
	}
	return hidden + body
}
