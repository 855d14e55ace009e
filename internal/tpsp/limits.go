package tpsp

import (
	"maps"
	"slices"

	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
)

// DefaultPerHour is the limit of a new TPSP for which none is given (PM-35), in messages an hour; 0 is none, also for a type that there is
// no provider of.
func (s *Service) DefaultPerHour(t provider.Type) int {
	if a := s.Adapters[t]; a != nil {
		return a.Capabilities().PerHour
	}
	return 0
}

// HasField tells whether connections to a kind of provider have a field, one of the provider package's constants.
func (s *Service) HasField(t provider.Type, field string) bool {
	if a := s.Adapters[t]; a != nil {
		p := a.Profile()
		return p.Has(field)
	}
	return false
}

// ParseLimits returns limits without those that limit nothing, or a *mail.FieldError.
func ParseLimits(l limit.Limits) (limit.Limits, error) {
	if l.PerHour < 0 || l.PerHour > limit.MostWhole {
		return l, mail.Invalid("invalid_limit", "ratePerHour", "ratePerHour is a number of messages an hour from 1 to %d, or 0 for no limit", limit.MostWhole)
	}
	parsed := limit.Limits{PerHour: l.PerHour, Mailbox: make(map[mailbox.Class]int, len(l.Mailbox))}
	for _, class := range slices.Sorted(maps.Keys(l.Mailbox)) {
		switch n := l.Mailbox[class]; {
		case n < 0 || n > limit.Most:
			return l, mail.Invalid("invalid_limit", "mailboxLimits."+string(class),
				"a limit for %s is a number of messages an hour from 1 to %d, or 0 for none", class, limit.Most)
		case n > 0:
			parsed.Mailbox[class] = n
		}
	}
	return parsed, nil
}
