package mail

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// Octet limits of RFC 5321 section 4.5.3.1.
const (
	maxLocalPart = 64
	maxDomain    = 253
	maxLabel     = 63
	maxAddress   = 254 // a path of 256 octets without its angle brackets
	maxName      = 255
)

// ParseEmail checks an address of the form local@domain and returns it trimmed, with the domain in lower-case ASCII
// (internationalised domains become punycode, RFC 5891). The local part keeps its case. Accepted are the addresses that
// every provider takes: an unquoted ASCII local part and a domain name of at least two labels. The error text is meant for
// the user.
func ParseEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errors.New("the address is empty")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", fmt.Errorf("%q has no @", clip(s))
	}
	local, domain := s[:at], s[at+1:]
	if err := checkLocalPart(local); err != nil {
		return "", fmt.Errorf("%q: %w", clip(s), err)
	}
	domain, err := asciiDomain(domain)
	if err != nil {
		return "", fmt.Errorf("%q: %w", clip(s), err)
	}
	if len(local)+1+len(domain) > maxAddress {
		return "", fmt.Errorf("%q: an address has at most %d characters", clip(s), maxAddress)
	}
	return local + "@" + domain, nil
}

// Domain returns the part after the last @, in lower case.
func Domain(email string) string {
	return strings.ToLower(email[strings.LastIndexByte(email, '@')+1:])
}

// CheckName refuses display names that could break a header: control characters, or more than 255 octets.
func CheckName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("a name has at most %d octets", maxName)
	}
	if hasControl(name) {
		return errors.New("a name must not contain control characters")
	}
	return nil
}

func checkLocalPart(local string) error {
	switch {
	case local == "":
		return errors.New("nothing stands before the @")
	case len(local) > maxLocalPart:
		return fmt.Errorf("the part before the @ has more than %d characters", maxLocalPart)
	case local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, ".."):
		return errors.New("a dot must stand between two other characters")
	}
	for _, r := range local {
		if r >= 0x80 || !isAtom(byte(r)) && r != '.' {
			return fmt.Errorf("the character %q is not allowed before the @", r)
		}
	}
	return nil
}

func asciiDomain(domain string) (string, error) {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if !isASCII(domain) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", errors.New("the domain is not a valid international domain name")
		}
		domain = ascii
	}
	if domain == "" || len(domain) > maxDomain {
		return "", fmt.Errorf("a domain has 1 to %d characters", maxDomain)
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return "", errors.New("the domain needs a dot")
	}
	for _, label := range labels {
		if !validLabel(label) {
			return "", errors.New("the domain has an invalid part between its dots")
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", errors.New("the domain must be a name, not a number")
	}
	return domain, nil
}

func validLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isAtom reports an RFC 5322 atext character.
func isAtom(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// clip keeps what an error text quotes short.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
