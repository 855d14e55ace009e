package mx

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"postyard/internal/mailbox"
)

// most is how many hosts of a domain are looked at.
const most = 16

// Of returns the class that MX records show: that of the hosts with the best preference (the lowest number), or when they
// are nobody's that we know, of the next ones; else [mailbox.Default]. It is false when the records name no host: there are
// none, or there is the one that says that the domain takes no mail (RFC 7505).
func Of(records []*net.MX) (mailbox.Class, bool) {
	named := slices.DeleteFunc(slices.Clone(records), func(r *net.MX) bool { return r == nil || r.Host == "" || r.Host == "." })
	slices.SortStableFunc(named, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	named = named[:min(len(named), most)]
	for i := 0; i < len(named); {
		var hosts []string
		for pref := named[i].Pref; i < len(named) && named[i].Pref == pref; i++ {
			hosts = append(hosts, named[i].Host)
		}
		if class, ok := mailbox.ByHosts(hosts...); ok {
			return class, true
		}
	}
	return mailbox.Default, len(named) > 0
}

// public returns a domain in lower case and without a dot at its end, if DNS may know it: it has the form of a host name
// of two labels or more, it is no address, and it is not set aside for documents, tests and local use (RFC 6761, RFC 6762,
// RFC 7686), about which DNS is not to be asked.
func public(domain string) (string, bool) {
	name := strings.TrimSuffix(domain, ".")
	if len(name) > 253 {
		return "", false
	}
	start, labels, upper := 0, 0, false
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			if i == start || i-start > 63 {
				return "", false
			}
			labels++
			start = i + 1
			continue
		}
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case 'A' <= c && c <= 'Z':
			upper = true
		default:
			return "", false
		}
	}
	if labels < 2 {
		return "", false
	}
	if upper {
		name = strings.ToLower(name)
	}
	rest, top := name[:strings.LastIndexByte(name, '.')], name[strings.LastIndexByte(name, '.')+1:]
	switch top {
	case "example", "test", "invalid", "localhost", "local", "onion":
		return "", false
	case "com", "net", "org":
		return name, rest != "example" && !strings.HasSuffix(rest, ".example")
	}
	return name, top[0] < '0' || top[0] > '9' // no top-level domain begins with a digit (RFC 3696, section 2)
}
