package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"postyard/internal/directory"
	"postyard/internal/limit"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
)

// limitsRequest is the part of a body that sets the limits of a TPSP (RT-12), in messages an hour. What is absent stays, 0 takes
// a limit away.
type limitsRequest struct {
	RatePerHour   *int           `json:"ratePerHour"`
	MailboxLimits map[string]int `json:"mailboxLimits"` // by mailbox provider: its key ("gmail"), or its SendPost id ("0")
}

// apply lays what is given over limits. A refusal is a *mail.FieldError.
func (in *limitsRequest) apply(l *limit.Limits) error {
	if in.RatePerHour != nil {
		l.PerHour = *in.RatePerHour
	}
	named := map[mailbox.Class]string{}
	for _, name := range slices.Sorted(maps.Keys(in.MailboxLimits)) {
		class, err := classNamed(name)
		if err != nil {
			return err
		}
		if twin, twice := named[class]; twice {
			return mail.Invalid("duplicate_mailbox_limit", "mailboxLimits."+name, "%s and %s are the same mailbox provider; give its limit once", twin, name)
		}
		named[class] = name
		if l.Mailbox == nil {
			l.Mailbox = map[mailbox.Class]int{}
		}
		l.Mailbox[class] = in.MailboxLimits[name]
	}
	return nil
}

// classNamed reads a mailbox provider's key, or its id.
func classNamed(name string) (mailbox.Class, error) {
	if id, err := strconv.Atoi(name); err == nil && strconv.Itoa(id) == name {
		if class, err := mailbox.ByID(id); err == nil {
			return class, nil
		}
	}
	class, err := mailbox.Parse(name)
	if err != nil {
		const shown = 40
		return "", mail.Invalid("unknown_mailbox_provider", "mailboxLimits", "mailboxLimits: there is no mailbox provider %.*q; they are those with the ids 0 to %d: %s",
			shown, name, len(mailbox.Classes())-1, classKeys())
	}
	return class, nil
}

func classKeys() (all string) {
	for i, class := range mailbox.Classes() {
		if i > 0 {
			all += ", "
		}
		all += string(class)
	}
	return all
}

// byKey gives numbers by mailbox provider as answers have them.
func byKey(numbers map[mailbox.Class]int) map[string]int {
	named := make(map[string]int, len(numbers))
	for class, n := range numbers {
		named[string(class)] = n
	}
	return named
}

// usageAnswer is how much of the limits of a TPSP is taken: what left in the past hour, and what is on the wire. It is counted
// whether there is a limit or not.
type usageAnswer struct {
	Total     int            `json:"total"`
	Mailboxes map[string]int `json:"mailboxes"` // by mailbox provider
}

func (s *server) usage(ctx context.Context, t *directory.TPSP) (*usageAnswer, error) {
	p, err := s.Queue.Permits(ctx, t.Egress(), s.Now(), s.Claim)
	if err != nil {
		return nil, fmt.Errorf("permits of TPSP %d: %w", t.ID, err)
	}
	lanes := make(map[mailbox.Class]int, len(p.Lanes))
	for class, taken := range p.Lanes {
		lanes[class] = limit.Sum(taken)
	}
	return &usageAnswer{Total: limit.Sum(p.Whole), Mailboxes: byKey(lanes)}, nil
}
