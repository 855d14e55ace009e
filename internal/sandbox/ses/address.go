package ses

import (
	"mime"
	netmail "net/mail"
	"strings"
)

// address is one address of a request, taken apart.
type address struct{ name, email string }

// parseAddress reads "a@example.com" or "Name <a@example.com>".
func parseAddress(text string) (address, error) {
	open := strings.LastIndexByte(text, '<')
	if open < 0 {
		return address{email: strings.TrimSpace(text)}, checkAddress(strings.TrimSpace(text))
	}
	a, err := (&netmail.AddressParser{WordDecoder: &mime.WordDecoder{}}).Parse(text)
	if err != nil {
		if err := checkAddress(strings.TrimSuffix(strings.TrimSpace(text[open+1:]), ">")); err != nil {
			return address{}, err
		}
		return address{}, bad("Illegal address <%s>.", text)
	}
	return address{a.Name, a.Address}, checkAddress(a.Address)
}

// checkAddress holds the grammar of addresses, which is that of ASCII, with the texts that are known.
func checkAddress(email string) error {
	mailbox, domain, found := splitAddress(email)
	switch {
	case !found || domain == "":
		return bad("Missing final '@domain'")
	case mailbox == "":
		return bad("Missing local name")
	case !isMailbox(mailbox):
		return bad("Local address contains illegal character")
	case !isDomain(domain):
		return bad("Domain contains illegal character")
	}
	return nil
}

func isMailbox(text string) bool {
	return !strings.HasPrefix(text, ".") && !strings.HasSuffix(text, ".") && !strings.Contains(text, "..") &&
		!strings.ContainsFunc(text, func(c rune) bool { return !alphanumeric(c) && !strings.ContainsRune(".!#$%&'`*+-/=?^_{}|~", c) })
}

func isDomain(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool { return !alphanumeric(c) && c != '-' && c != '_' }) {
			return false
		}
	}
	return strings.Contains(text, ".")
}

func alphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// splitAddress cuts an address at its last '@'.
func splitAddress(text string) (mailbox, domain string, found bool) {
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}
