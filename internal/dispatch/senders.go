package dispatch

import (
	"maps"
	"slices"
	"strings"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// senders are the sender domains that a provider refuses, with its words. The mail of other senders goes on.
type senders map[string]string

// maxSenders bounds how many refused domains are remembered; the mail of others waits all the same.
const maxSenders = 100

// learn notes what the outcomes of a call say about the domains in it; changed tells that a domain came or went.
func (s senders) learn(seen senders) (changed bool) {
	for domain, words := range seen {
		_, refused := s[domain]
		switch {
		case words != "" && (refused || len(s) < maxSenders):
			s[domain] = words
		case words != "":
			continue
		case refused:
			delete(s, domain)
		default:
			continue
		}
		changed = changed || refused == (words == "")
	}
	return changed
}

// reason puts the refusals into words, "" when there are none.
func (s senders) reason() string {
	const most = 5
	domains := slices.Sorted(maps.Keys(s))
	var parts []string
	for _, domain := range domains[:min(len(domains), most)] {
		parts = append(parts, "mail from "+domain+" is refused: "+s[domain])
	}
	return strings.Join(parts, "; ")
}

// sendersIn returns the domains of a call's senders: with the provider's words where it refused one, with "" where it took
// the mail.
func sendersIn(jobs []store.Job, outcomes []provider.Outcome) senders {
	seen := senders{}
	for i := range jobs {
		o := &outcomes[i]
		switch {
		case o.SenderOnly:
			seen[mail.Domain(jobs[i].Content.From.Email)] = words(o)
		case o.Class == provider.Accepted:
			if domain := mail.Domain(jobs[i].Content.From.Email); seen[domain] == "" {
				seen[domain] = ""
			}
		}
	}
	return seen
}
