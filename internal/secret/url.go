package secret

import (
	"net/url"
	"strings"
)

// Hidden stands where a secret was.
const Hidden = "[hidden]"

// MaskURL returns a URL as it is shown to those who must not use it: without what its user part, its query and its fragment say, of which only the
// names of parameters stay. Each may be a token, whatever it is called. The path stays: it tells URLs of one host apart. A text without "://" stays
// as it is, and one that is no URL but may hold what a URL would is hidden.
func MaskURL(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		if _, after, _ := strings.Cut(text, "://"); strings.ContainsAny(after, "@?#") {
			return Hidden
		}
		return text
	}
	if u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return text
	}
	query := maskQuery(u.RawQuery)
	if u.User != nil {
		u.User = url.User(Hidden)
	}
	fragment := ""
	if u.Fragment != "" {
		fragment = "#" + Hidden
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return strings.Replace(u.String(), url.PathEscape(Hidden), Hidden, 1) + query + fragment
}

// maskQuery keeps the names of a query's parameters. What has no value may be a token itself.
func maskQuery(query string) string {
	if query == "" {
		return ""
	}
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, part := range parts {
		name, value, found := strings.Cut(part, "=")
		switch {
		case !found:
			parts[i] = Hidden
		case value != "":
			parts[i] = name + "=" + Hidden
		}
	}
	return "?" + strings.Join(parts, "&")
}
