package mailbox

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed hosts.txt
var hostsText string

// hosts is the parsed table, made on first use.
var hosts = sync.OnceValue(func() []hostRule {
	rules, err := parseHosts(hostsText)
	if err != nil {
		panic("mailbox: " + err.Error()) // not reached: a test parses the embedded table
	}
	return rules
})

// hostRule is one name of the table.
type hostRule struct {
	labels []string
	class  Class
}

// covers tells whether the rule's name is the host's, or one above it.
func (r hostRule) covers(host []string) bool {
	above := len(host) - len(r.labels)
	if above < 0 {
		return false
	}
	for i, label := range r.labels {
		if label != host[above+i] && label != "*" {
			return false
		}
	}
	return true
}

// ByHosts returns the class of a domain from the hosts in its MX records. They count alike: pass hosts of one preference.
// Among them a filtering gateway comes before whoever is behind it. Case and one trailing dot do not matter; what is no
// host name is passed over.
func ByHosts(names ...string) (Class, bool) {
	var split [][]string
	for _, name := range names {
		name = strings.TrimSuffix(name, ".")
		labels := strings.Split(lowerASCII(name), ".")
		if len(name) > maxDomain || slices.Contains(labels, "") {
			continue
		}
		split = append(split, labels)
	}
	for _, rule := range hosts() {
		if slices.ContainsFunc(split, rule.covers) {
			return rule.class, true
		}
	}
	return "", false
}

// parseHosts reads the table: lines of a class and names; # starts a comment.
func parseHosts(text string) ([]hostRule, error) {
	var rules []hostRule
	err := eachLine(text, func(class Class, names []string) error {
		for _, name := range names {
			labels := strings.Split(name, ".")
			for _, r := range rules {
				if r.covers(labels) {
					return fmt.Errorf("%s is hidden by %s before it", name, strings.Join(r.labels, "."))
				}
			}
			rules = append(rules, hostRule{labels, class})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("hosts table, %w", err)
	}
	return rules, nil
}
