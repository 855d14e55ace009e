package track

import (
	"maps"
	"regexp"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Headers with which mail programs show a button to unsubscribe (RFC 2369, RFC 8058).
const (
	listHeader  = "List-Unsubscribe"
	postHeader  = "List-Unsubscribe-Post"
	postContent = "List-Unsubscribe=One-Click"
)

// placeholder is what stands in a body for the address.
var placeholder = regexp.MustCompile(`\{\{\{\s*unsubscribe\s*\}\}\}|\{\{\s*unsubscribe\s*\}\}`)

// Outgoing returns the content with which a message leaves through an egress: its own, with the addresses that it asks for. It comes
// after templates, and says the same each time. What a provider renders itself has no body here, and stays.
func (s *Service) Outgoing(egress route.Egress, capable provider.Capabilities, j *store.Job, c *mail.Content) *mail.Content {
	if c.Template != "" {
		return c
	}
	out, changed := *c, false
	m := s.of(j, egress)
	leave := m.address(unsubscribe, "")
	for _, body := range []*string{&out.HTML, &out.Text, &out.AMP} {
		if !c.Literal && strings.Contains(*body, "{{") && placeholder.MatchString(*body) {
			*body, changed = placeholder.ReplaceAllLiteralString(*body, leave), true
		}
	}
	if !capable.Tracks {
		if header := withButton(&out, leave); header != nil {
			out.Headers, changed = header, true
		}
		if body := m.tracked(&out); body != out.HTML {
			out.HTML, changed = body, true
		}
	}
	if !changed {
		return c
	}
	return &out
}

// withButton returns the headers of a content with those for its address, nil when it does not have the address or brings its own header.
func withButton(c *mail.Content, leave string) map[string]string {
	if !strings.Contains(c.HTML, leave) && !strings.Contains(c.Text, leave) {
		return nil
	}
	for name := range c.Headers {
		if strings.EqualFold(name, listHeader) || strings.EqualFold(name, postHeader) {
			return nil
		}
	}
	header := make(map[string]string, len(c.Headers)+2)
	maps.Copy(header, c.Headers)
	header[listHeader], header[postHeader] = "<"+leave+">", postContent
	return header
}

// tracked returns the HTML of a content with the pixel and the links that it asks for.
func (m *mint) tracked(c *mail.Content) string {
	var link func(string) string
	if c.TrackClicks != nil && *c.TrackClicks {
		link = func(target string) string {
			if strings.HasPrefix(target, m.host+prefix) {
				return "" // it is one of ours
			}
			return m.address(click, target)
		}
	}
	pixel := ""
	if c.TrackOpens != nil && *c.TrackOpens {
		pixel = m.address(open, "")
	}
	if c.HTML == "" || link == nil && pixel == "" {
		return c.HTML
	}
	return rewrite(c.HTML, link, pixel)
}
