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

// ByDomain is [ByName] with [Default] for a domain whose name does not tell.
func ByDomain(domain string) Class {
	if c, ok := ByName(domain); ok {
		return c
	}
	return Default
}

// ByName returns the class of a recipient's domain (what follows the @), if the name alone tells it. Case and one trailing
// dot do not matter. The domain is to be in its ASCII form (IDNA A-labels); one that is not, or is no domain at all, tells
// nothing: none of the known domains has an international form.
func ByName(domain string) (Class, bool) {
	d := strings.TrimSuffix(domain, ".")
	if d == "" || len(d) > maxDomain {
		return "", false
	}
	// ASCII only: Unicode's folding would make a "k" of the Kelvin sign.
	d = lowerASCII(d)
	if c, ok := consumer()[d]; ok {
		return c, true
	}
	if c, ok := byFamily(d); ok {
		return c, true
	}
	return byTenant(d)
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
	err := eachLine(text, func(class Class, domains []string) error {
		for _, d := range domains {
			if _, twice := table[d]; twice {
				return fmt.Errorf("%s stands there twice", d)
			}
			table[d] = class
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("consumer table, %w", err)
	}
	return table, nil
}

// eachLine reads a table of lines that begin with a class; errors name the line.
func eachLine(text string, use func(Class, []string) error) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		class, err := Parse(fields[0])
		if err == nil {
			err = use(class, fields[1:])
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
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
