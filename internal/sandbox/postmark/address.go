package postmark

import "strings"

// isMailbox tells whether a text may stand before the '@' of an address. Letters are those of the pattern (?i)[a-z], which takes in two
// from beyond ASCII.
func isMailbox(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !alphanumeric(c) && !strings.ContainsRune(".!#$%&'`*+-/=^_{}|~", c) && c != '\u017f' && c != '\u212a'
	})
}

// isDomain tells whether a text may stand behind the '@': labels of letters, digits and hyphens, before each of which one dot may stand.
func isDomain(text string) bool {
	return text != "" && text[len(text)-1] != '.' && !strings.Contains(text, "..") && !strings.ContainsFunc(text, func(c rune) bool {
		return !alphanumeric(c) && c != '-' && c != '.'
	})
}

func alphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// address is one entry of an address list.
type address struct {
	Name  string
	Email string
}

func (a address) domain() string {
	return strings.ToLower(a.Email[strings.LastIndexByte(a.Email, '@')+1:])
}

// splitList cuts a list at its commas, leaving quoted names and bracketed addresses whole. Empty entries are dropped.
func splitList(list string) []string {
	var entries []string
	quoted, bracketed, start := false, false, 0
	cut := func(end int) {
		if entry := strings.TrimSpace(list[start:end]); entry != "" {
			entries = append(entries, entry)
		}
		start = end + 1
	}
	for i := range len(list) {
		switch c := list[i]; {
		case c == '"' && (i == 0 || list[i-1] != '\\'):
			quoted = !quoted
		case c == '<' && !quoted:
			bracketed = true
		case c == '>' && !quoted:
			bracketed = false
		case c == ',' && !quoted && !bracketed:
			cut(i)
		}
	}
	if start < len(list) {
		cut(len(list))
	}
	return entries
}

// parseEntry takes an entry apart without judging the address.
func parseEntry(entry string) address {
	open := strings.LastIndexByte(entry, '<')
	if open < 0 || !strings.HasSuffix(entry, ">") {
		return address{Email: entry}
	}
	name := strings.TrimSpace(entry[:open])
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		name = strings.ReplaceAll(name[1:len(name)-1], `\"`, `"`)
	}
	return address{Name: name, Email: strings.TrimSpace(entry[open+1 : len(entry)-1])}
}

// parseList reads an address list of a send. field is its name in error texts.
func parseList(field, list string) ([]address, error) {
	if list == "" {
		return nil, nil
	}
	entries := splitList(list)
	addresses := make([]address, len(entries))
	for i, entry := range entries {
		addresses[i] = parseEntry(entry)
		if err := checkAddress(field, addresses[i].Email); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// checkAddress holds Postmark's address grammar with its recorded texts (PM-sim 13).
func checkAddress(field, email string) error {
	mailbox, domain, found := cutLast(email, '@')
	switch {
	case !found:
		return fail(codeField, "Error parsing '%s': Illegal email address '%s'. It must contain the '@' symbol.", field, email)
	case !isDomain(domain):
		return fail(codeField, "Error parsing '%s': Illegal email domain '%s' in address '%s'.", field, domain, email)
	case !isMailbox(mailbox), !strings.Contains(domain, "."):
		return fail(codeField, "Invalid '%s' address: '%s'.", field, email)
	}
	return nil
}

func cutLast(text string, at byte) (before, after string, found bool) {
	i := strings.LastIndexByte(text, at)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}
