package mailbox

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// maxDomain is the longest domain name that DNS can carry, in characters (RFC 1035, section 2.3.4).
const maxDomain = 253

//go:embed consumer.txt
var consumerText string

// consumer is the parsed table, made on first use.
var consumer = sync.OnceValue(func() map[string]Class {
	table, err := parseConsumer(consumerText)
	if err != nil {
		panic("mailbox: " + err.Error()) // not reached: a test parses the embedded table
	}
	return table
})

// ByDomain returns the class of a recipient's domain (what follows the @) as far as the name tells it, else [Default].
// Case and one trailing dot do not matter. The domain is to be in its ASCII form (IDNA A-labels); one that is not, or
// is no domain at all, is Default: none of the known domains has an international form.
func ByDomain(domain string) Class {
	d := strings.TrimSuffix(domain, ".")
	if d == "" || len(d) > maxDomain {
		return Default
	}
	// ASCII only: Unicode's folding would make a "k" of the Kelvin sign.
	d = lowerASCII(d)
	if c, ok := consumer()[d]; ok {
		return c
	}
	if c, ok := byFamily(d); ok {
		return c
	}
	if c, ok := byTenant(d); ok {
		return c
	}
	return Default
}

// byTenant matches the domains that hosters give to every customer: any name below theirs.
func byTenant(d string) (Class, bool) {
	for _, t := range [...]struct {
		suffix string
		class  Class
	}{
		{".onmicrosoft.com", Office365},
		{".awsapps.com", AmazonWorkMail},
	} {
		if name, ok := strings.CutSuffix(d, t.suffix); ok && name != "" && !slices.Contains(strings.Split(name, "."), "") {
			return t.class, true
		}
	}
	return "", false
}

// parseConsumer reads the table: lines of a class and its domains; # starts a comment.
func parseConsumer(text string) (map[string]Class, error) {
	table := make(map[string]Class)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		class, err := Parse(fields[0])
		if err != nil {
			return nil, fmt.Errorf("consumer table, line %d: %w", n, err)
		}
		for _, d := range fields[1:] {
			if _, twice := table[d]; twice {
				return nil, fmt.Errorf("consumer table, line %d: %s stands there twice", n, d)
			}
			table[d] = class
		}
	}
	return table, nil
}

// lowerASCII returns s with A to Z in lower case and all other bytes as they are. It allocates only if it must.
func lowerASCII(s string) string {
	if !strings.ContainsFunc(s, isUpper) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }
