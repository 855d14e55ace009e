// Package search reads what people write into the one box that finds messages: words such as to:@gmail.com status:bounced since:2h. It is pure, and
// knows no account: what a provider, a pool or a sub-account is called is left to who runs the query.
package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"postyard/internal/mailbox"
)

// Limits of a query.
const (
	MaxBytes  = 1000 // of its text
	MaxTerms  = 20
	MaxValues = 20  // of one term
	maxValue  = 320 // bytes of one value: no address is longer
)

// Word is one word of the grammar: what stands before a colon.
type Word struct {
	Name    string
	Value   string // what stands behind it
	Finds   string // which messages
	Example string
	Once    bool // it takes one value, and no minus before it
}

// The words.
const (
	To         = "to"
	From       = "from"
	Subject    = "subject"
	Status     = "status"
	Provider   = "provider"
	Mailbox    = "mailbox"
	Pool       = "pool"
	SubAccount = "subaccount"
	Group      = "group"
	Mark       = "mark"
	Since      = "since"
	Until      = "until"
	ID         = "id"
)

var words = []Word{
	{To, "an address, @ and a domain, or a part of an address", "to this recipient; copies do not count", "to:@gmail.com", false},
	{From, "an address, @ and a domain, or a part of an address or a name", "from this sender", "from:billing@example.com", false},
	{Subject, "a part of the subject as the request has it", "with these words in the subject", `subject:"your invoice"`, false},
	{Status, "pending, waiting, sending, unknown, sent, delivered, bounced, dropped, opened, clicked", "that stand so now; opened and clicked: at least once", "status:bounced", false},
	{Provider, "a kind (postmark), a name, an id, TPSP_5, IP_3 or an IP's address", "that this provider has, or that wait for it", "provider:postmark", false},
	{Mailbox, "a mailbox provider", "to a recipient there", "mailbox:gmail", false},
	{Pool, "an IP pool's name or id", "that were routed by this pool", "pool:default", false},
	{SubAccount, "a sub-account's name or id", "of this sub-account", "subaccount:shop", false},
	{Group, "a group as requests name it", "of this group", "group:welcome", false},
	{Mark, "resent, unconfirmed", "that may be duplicates (resent) or lost (unconfirmed)", "mark:resent", false},
	{Since, "how long ago (30m, 2h, 3d, 1w), today, yesterday, a day or an instant", "submitted since then", "since:2h", true},
	{Until, "the same", "submitted before then; of a day, until its end", "until:2026-11-26", true},
	{ID, "a message's id", "with this id", "id:0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000", false},
}

// Words returns the grammar's words.
func Words() []Word { return slices.Clone(words) }

// Statuses are the values of Status. Pending are waiting, sending and unknown together.
func Statuses() []string {
	return []string{"pending", "waiting", "sending", "unknown", "sent", "delivered", "bounced", "dropped", "opened", "clicked"}
}

// Condition is one term: a message has one of the values, or none of them.
type Condition struct {
	Word   string
	Values []string // at least one; those of Status, Mailbox, Mark and ID in lower case
	Not    bool
}

// Query is what a message must be: all of it.
type Query struct {
	Conditions []Condition // without those of time
	Since      time.Time   // submitted then or later; zero: at any time
	Until      time.Time   // submitted before
}

// Error says which term is wrong, and why. Its text names the words that there are when the term has another one.
type Error struct {
	Term string // as it was written
	Why  string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Term == "" {
		return e.Why
	}
	return strconv.Quote(e.Term) + ": " + e.Why
}

// grammar names the words for people.
func grammar() string {
	names := make([]string, len(words))
	for i := range words {
		names[i] = words[i].Name + ":"
	}
	return "a search is made of " + strings.Join(names, " ") + ", such as to:@gmail.com status:bounced since:2h"
}

// Parse reads a query. Times that are said as how long ago are before now. An empty text finds everything. The error is an *Error.
func Parse(text string, now time.Time) (Query, error) {
	var q Query
	if len(text) > MaxBytes {
		return q, &Error{Why: fmt.Sprintf("a search has at most %d bytes", MaxBytes)}
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return q, &Error{Why: "a search is text in UTF-8"}
	}
	l := lexer{rest: text}
	for n := 0; ; n++ {
		t, err := l.next()
		switch {
		case err != nil:
			return Query{}, err
		case t == nil:
			return q, nil
		case n == MaxTerms:
			return Query{}, &Error{Why: fmt.Sprintf("a search has at most %d terms", MaxTerms)}
		}
		if err := q.add(t, now); err != nil {
			return Query{}, err
		}
	}
}

// term is one term as it was written.
type term struct {
	text   string
	word   string // "" for a value alone
	values []string
	not    bool
}

type lexer struct{ rest string }

// next returns the next term, nil at the end.
func (l *lexer) next() (*term, error) {
	l.rest = strings.TrimLeftFunc(l.rest, unicode.IsSpace)
	if l.rest == "" {
		return nil, nil
	}
	begin := l.rest
	written := func() string { return begin[:len(begin)-len(l.rest)] }
	t := &term{}
	if strings.HasPrefix(l.rest, "-") {
		t.not, l.rest = true, l.rest[1:]
	}
	if name, after, ok := strings.Cut(l.rest, ":"); ok && isName(name) {
		t.word, l.rest = strings.ToLower(name), after
	}
	for {
		value, fault := l.value()
		if fault != "" {
			return nil, &Error{begin, fault}
		}
		t.values = append(t.values, value)
		if !strings.HasPrefix(l.rest, ",") {
			break
		}
		l.rest = l.rest[1:]
	}
	if l.rest != "" && !unicode.IsSpace(first(l.rest)) {
		end := strings.IndexFunc(l.rest, unicode.IsSpace)
		if end < 0 {
			end = len(l.rest)
		}
		l.rest = l.rest[end:]
		return nil, &Error{written(), "a space is missing behind a quoted value"}
	}
	t.text = written()
	return t, nil
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
}

func first(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// value reads one value: in quotes, in parentheses, or up to a space or a comma.
func (l *lexer) value() (value, fault string) {
	switch {
	case strings.HasPrefix(l.rest, `"`):
		return l.quoted()
	case strings.HasPrefix(l.rest, "("):
		inside, after, ok := strings.Cut(l.rest[1:], ")")
		if !ok {
			return "", "the parenthesis is not closed"
		}
		l.rest = after
		return strings.TrimSpace(inside), ""
	}
	end := strings.IndexFunc(l.rest, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if end < 0 {
		end = len(l.rest)
	}
	value, l.rest = l.rest[:end], l.rest[end:]
	return value, ""
}

// quoted reads up to the closing quote; a backslash takes what follows as it is.
func (l *lexer) quoted() (value, fault string) {
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == '"':
			l.rest = l.rest[i+1:]
			return b.String(), ""
		case c == '\\' && i+1 < len(l.rest):
			i++
			b.WriteByte(l.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "the quote is not closed"
}

// add reads a term into the query.
func (q *Query) add(t *term, now time.Time) error {
	wrong := func(format string, args ...any) error { return &Error{t.text, fmt.Sprintf(format, args...)} }
	word := t.word
	if word == "" {
		switch {
		case strings.Contains(t.values[0], "@"):
			word = To
		case isID(t.values[0]):
			word = ID
		default:
			return wrong("there is no word before it; %s", grammar())
		}
	}
	i := slices.IndexFunc(words, func(w Word) bool { return w.Name == word })
	switch {
	case i < 0:
		return wrong("there is no word %s:; %s", word, grammar())
	case len(t.values) > MaxValues:
		return wrong("there are more than %d values", MaxValues)
	case words[i].Once && t.not:
		return wrong("no minus can stand before %s:", word)
	case words[i].Once && len(t.values) > 1:
		return wrong("%s: takes one value", word)
	}
	c := Condition{Word: word, Not: t.not}
	for _, value := range t.values {
		value = strings.TrimSpace(value)
		switch {
		case value == "":
			return wrong("behind the colon stands %s", words[i].Value)
		case len(value) > maxValue:
			return wrong("a value has at most %d bytes", maxValue)
		}
		if words[i].Once {
			at, err := moment(value, word == Until, now)
			if err != "" {
				return wrong("%s", err)
			}
			q.bound(word, at)
			return nil
		}
		value, fault := known(word, value)
		if fault != "" {
			return wrong("%s", fault)
		}
		if !slices.Contains(c.Values, value) {
			c.Values = append(c.Values, value)
		}
	}
	q.Conditions = append(q.Conditions, c)
	return nil
}

// bound narrows the time; of several bounds the narrowest counts.
func (q *Query) bound(word string, at time.Time) {
	switch {
	case word == Since && at.After(q.Since):
		q.Since = at
	case word == Until && (q.Until.IsZero() || at.Before(q.Until)):
		q.Until = at
	}
}

// known returns a value in the form in which it is compared, or says why there is none like it.
func known(word, value string) (as, fault string) {
	lower := strings.ToLower(value)
	switch word {
	case Status:
		if lower == "queued" { // as explanations call it
			lower = "waiting"
		}
		if !slices.Contains(Statuses(), lower) {
			return "", "a status is one of " + strings.Join(Statuses(), ", ")
		}
		return lower, ""
	case Mark:
		if lower != "resent" && lower != "unconfirmed" {
			return "", "a mark is resent or unconfirmed"
		}
		return lower, ""
	case Mailbox:
		if _, err := mailbox.Parse(lower); err != nil {
			return "", "there is no such mailbox provider; they are named as in statistics: gmail, yahoo, microsoft, ..., default"
		}
		return lower, ""
	case ID:
		if !isID(value) {
			return "", "a message's id is a UUID"
		}
		return lower, ""
	}
	return value, ""
}

func isID(s string) bool {
	const length = 36 // uuid knows more spellings than we give out
	return len(s) == length && uuid.Validate(s) == nil
}

// furthest is how long ago a time may be at most that is said as how long ago.
const furthest = 20 * 365 * 24 * time.Hour

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// moment reads a time. end asks for the end of a day.
func moment(value string, end bool, now time.Time) (at time.Time, fault string) {
	now = now.UTC()
	today := now.Truncate(24 * time.Hour)
	day := func(at time.Time) (time.Time, string) {
		if end {
			at = at.AddDate(0, 0, 1)
		}
		return at, ""
	}
	switch strings.ToLower(value) {
	case "today":
		return day(today)
	case "yesterday":
		return day(today.AddDate(0, 0, -1))
	}
	if unit, ok := units[value[len(value)-1]]; ok {
		if n, err := strconv.ParseUint(value[:len(value)-1], 10, 32); err == nil {
			if ago := time.Duration(n); ago <= furthest/unit {
				return now.Add(-ago * unit), ""
			}
			return at, "this is longer ago than 20 years"
		}
	}
	if at, err := time.Parse(time.DateOnly, value); err == nil {
		return day(at)
	}
	if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return at.UTC(), ""
	}
	return at, "a time is how long ago (30m, 2h, 3d, 1w), today, yesterday, a day as 2006-01-02, or an instant as 2006-01-02T15:04:05Z"
}

// String writes the query so that Parse reads the same again.
func (q Query) String() string {
	var terms []string
	for _, c := range q.Conditions {
		values := make([]string, len(c.Values))
		for i, value := range c.Values {
			values[i] = quote(value)
		}
		minus := ""
		if c.Not {
			minus = "-"
		}
		terms = append(terms, minus+c.Word+":"+strings.Join(values, ","))
	}
	for _, bound := range []struct {
		word string
		at   time.Time
	}{{Since, q.Since}, {Until, q.Until}} {
		if !bound.at.IsZero() {
			terms = append(terms, bound.word+":"+bound.at.UTC().Format(time.RFC3339Nano))
		}
	}
	return strings.Join(terms, " ")
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quote writes a value in quotes where it needs them.
func quote(value string) string {
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "(") || strings.ContainsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		return `"` + escape.Replace(value) + `"`
	}
	return value
}
