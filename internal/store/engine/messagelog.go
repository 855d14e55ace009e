package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/store"
)

// idSlack is how far the time in a message's id and that of its submission are apart at most: they come from different clocks.
const idSlack = time.Hour

// LastID sorts after every id that is made.
var LastID = mail.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// IDRange returns between which ids the messages of a filter lie that are before a place: the first one included, the last one not.
func IDRange(f *store.MessageFilter, before store.MessagePlace) (first, end mail.ID) {
	end = LastID
	if before.ID != (mail.ID{}) {
		end = before.ID
	}
	if !f.From.IsZero() {
		first = FirstID(f.From.Add(-idSlack))
	}
	if !f.To.IsZero() {
		if to := FirstID(f.To.Add(idSlack)); slices.Compare(to[:], end[:]) < 0 {
			end = to
		}
	}
	return first, end
}

// PieceEnd is where a piece ends that goes down to a message: with all that is of its millisecond, so that the place names no message of
// another account. Places among the messages to a recipient, and the end of all, stay as they are.
func PieceEnd(p store.MessagePlace) store.MessagePlace {
	if p.Seq == 0 && p.ID != (mail.ID{}) {
		p.ID = FirstID(TimeOfID(p.ID))
	}
	return p
}

// ProcessedTypes are the types of the event that every message begins with, once, under its recipient's address.
var ProcessedTypes = func() (types []event.Type) {
	for _, info := range event.Catalogue() {
		if info.Kind == event.Processed {
			types = append(types, info.Type)
		}
	}
	return types
}()

// MessageColumns are those of a MessageRow but for the first two, the message's id and that of its content: of message m, and queue q if it has a row there.
const MessageColumns = `m.account_id, m.sub_account_id, m.pool_id, coalesce(q.egress, m.egress), m.mailbox, m.state, m.mark, m.recipient,
	m.submitted_at, coalesce(q.attempts, m.attempts), m.engaged, coalesce(q.status, -1), coalesce(q.due_at, 0), coalesce(q.waiting, '')`

// MessageRow is a message in a list as a statement returns it.
type MessageRow struct {
	store.FoundMessage
	class          int
	recipient      []byte
	submitted, due int64
	status         Status
}

// Into returns where the columns go.
func (r *MessageRow) Into(id, content any) []any {
	return []any{id, content, &r.AccountID, &r.SubAccountID, &r.PoolID, &r.Egress, &r.class, &r.State, &r.Mark, &r.recipient, &r.submitted, &r.Attempts, &r.Engaged,
		&r.status, &r.due, &r.Waiting}
}

// Done completes the message after the scan.
func (r *MessageRow) Done() (store.FoundMessage, error) {
	m := &r.FoundMessage
	if r.status >= 0 { // pending: the queue row knows better
		m.State = r.status.State()
	}
	m.SubmittedAt, m.DueAt, m.Place.ID = Time(r.submitted), Time(r.due), m.ID
	var err error
	if m.Mailbox, err = mailbox.ByID(r.class); err != nil {
		return *m, fmt.Errorf("message %s: %w", m.ID, err)
	}
	if err := mail.DecodeRecipient(r.recipient, &m.Recipient); err != nil {
		return *m, fmt.Errorf("message %s: %w", m.ID, err)
	}
	return *m, nil
}

// stateOf is where a message stands, in a statement over message m and queue q.
var stateOf = fmt.Sprintf(`CASE WHEN q.status IS NULL THEN m.state WHEN q.status = %d THEN %d WHEN q.status IN (%d, %d) THEN %d ELSE %d END`,
	Leased, lifecycle.Sending, Unknown, Asking, lifecycle.Unknown, lifecycle.Queued)

// messageFields are what choices of numbers are about.
var messageFields = map[store.MessageField]string{store.FieldSubAccount: "m.sub_account_id", store.FieldPool: "m.pool_id",
	store.FieldEgress: "coalesce(q.egress, m.egress)", store.FieldMailbox: "m.mailbox", store.FieldMark: "m.mark"}

// MessageConditions returns the condition by which a filter selects messages, but for their ids and recipient: of message m and queue q, with a ? for
// each argument. holds is the condition that the bytes of its first operand hold those of an argument: "instr(%s, ?) > 0".
func MessageConditions(f *store.MessageFilter, holds string) (where string, args []any) {
	var all []string
	add := func(not bool, condition string, values ...any) {
		if not {
			condition = "NOT (" + condition + ")"
		}
		all, args = append(all, condition), append(args, values...)
	}
	add(false, "m.account_id = ?", f.AccountID)
	if len(f.States) > 0 {
		numbers := make([]string, len(f.States))
		for i, state := range f.States {
			numbers[i] = strconv.Itoa(int(state))
		}
		add(false, stateOf+" IN ("+strings.Join(numbers, ", ")+")")
	}
	if !f.From.IsZero() {
		add(false, "m.submitted_at >= ?", Stamp(f.From))
	}
	if !f.To.IsZero() {
		add(false, "m.submitted_at < ?", Stamp(f.To))
	}
	for i := range f.Choices {
		c := &f.Choices[i]
		condition, values := choice(c, holds)
		add(c.Not, condition, values...)
	}
	return strings.Join(all, " AND "), args
}

// choice returns the condition that a message has any of a choice's values.
func choice(c *store.MessageChoice, holds string) (condition string, args []any) {
	var any []string
	switch c.Field {
	case store.FieldEngaged:
		for _, bit := range c.Numbers {
			any = append(any, fmt.Sprintf("m.engaged & %d <> 0", bit))
		}
	case store.FieldTo:
		for _, text := range c.Texts {
			value := strings.ToLower(text.Value)
			switch text.How {
			case store.Whole:
				any, args = append(any, "lower(m.to_addr) = ?"), append(args, value)
			case store.AtEnd:
				any, args = append(any, "lower(m.to_addr) LIKE ? ESCAPE '!'"), append(args, "%"+likeText(value))
			default:
				any, args = append(any, "lower(m.to_addr) LIKE ? ESCAPE '!'"), append(args, "%"+likeText(value)+"%")
			}
		}
	case store.FieldGroup:
		for _, text := range c.Texts {
			any, args = append(any, fmt.Sprintf(holds, "m.labels")), append(args, GroupLabel(text.Value))
		}
		if !c.Not { // those whose groups are not known by name may have it
			any, args = append(any, fmt.Sprintf(holds, "m.labels")), append(args, GroupLabel(store.OtherValue))
		}
	default:
		if len(c.Numbers) > 0 {
			numbers := make([]string, len(c.Numbers))
			for i, n := range c.Numbers {
				numbers[i] = strconv.Itoa(int(n))
			}
			any = append(any, messageFields[c.Field]+" IN ("+strings.Join(numbers, ", ")+")")
		}
	}
	if len(any) == 0 {
		return "1 = 0", nil
	}
	return "(" + strings.Join(any, " OR ") + ")", args
}

var likeEscape = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

func likeText(s string) string { return likeEscape.Replace(s) }

// GroupLabel is what stored labels hold when a message counts under a group.
func GroupLabel(group string) []byte { return appendName(nil, LabelName(group)) }

// DomainLabel is what the stored labels of a message begin with that counts under a domain.
func DomainLabel(domain string) []byte { return appendName(nil, LabelName(domain)) }

// Numbered replaces the ? of a statement by $1, $2, ... from the one after n on.
func Numbered(query string, n int) string {
	parts := strings.Split(query, "?")
	var b strings.Builder
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		b.WriteString("$" + strconv.Itoa(n+1+i) + part)
	}
	return b.String()
}
