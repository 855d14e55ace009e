package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/route"
	"postyard/internal/search"
	"postyard/internal/store"
)

// How messages are looked through.
const (
	lookingFor       = 2 * time.Second // of one request; the cursor goes on
	candidatesAtOnce = 500             // messages whose heads are read to see whether they are meant
	defaultHits      = 50
	maxHits          = 200
	withoutSubject   = 50 // hits of a page whose contents are read for the names of their templates
)

// MessageLog looks through messages; a store.Store is one.
type MessageLog interface {
	store.MessageLog
	OutContents(ctx context.Context, refs []string) (map[string]*mail.Content, error)
}

// searchAnswer is a page of messages.
type searchAnswer struct {
	Messages     []hitAnswer `json:"messages"` // newest first
	More         bool        `json:"more"`     // there may be others
	Cursor       string      `json:"cursor"`   // given as before, it goes on from here; "" when there are no more
	LookedBackTo int64       `json:"lookedBackTo"`
}

// hitAnswer is a message in a list.
type hitAnswer struct {
	ID              string      `json:"id"`
	SubmittedAt     int64       `json:"submittedAt"`
	To              person      `json:"to"`
	From            person      `json:"from"`
	Subject         string      `json:"subject"`  // as the request has it
	Template        string      `json:"template"` // of a message without a subject: the template that it names, "" for none
	State           string      `json:"state"`    // queued, sending, unknown, sent, delivered, bounced, dropped
	Mark            string      `json:"mark"`
	MailboxProvider string      `json:"mailboxProvider"`
	Provider        string      `json:"provider"` // its name in this account, or the IP's address: who has the message, or whom it waits for
	ProviderKind    string      `json:"providerKind"`
	TPSPID          int32       `json:"tpspId"`
	IPID            int32       `json:"ipId"`
	PoolID          int32       `json:"poolId"`
	Pool            string      `json:"pool"`
	SubAccountID    int32       `json:"subAccountId"`
	SubAccount      string      `json:"subAccount"`
	Groups          []string    `json:"groups"`
	Attempts        int         `json:"attempts"`
	Opened          bool        `json:"opened"`
	Clicked         bool        `json:"clicked"`
	LastEvent       *eventOfHit `json:"lastEvent"`
	Waiting         string      `json:"waiting"` // while pending: why
	DueAt           int64       `json:"dueAt"`   // while pending: until when; 0: at once, or up to somebody
}

// eventOfHit is the event of a message that was recorded last.
type eventOfHit struct {
	EventID string `json:"eventId"`
	Type    int    `json:"type"`
	Name    string `json:"name"`
	At      int64  `json:"at"`
	Words   string `json:"words"` // the provider's
}

// searchOperations find messages.
func (s *server) searchOperations(v1 string) []operation {
	return []operation{
		op(http.MethodGet, v1+"/account/message", accountKey, "find messages by words such as to:@gmail.com status:bounced since:2h", s.forAccount(s.searchMessages)).
			asks(parameter{Name: "q", Kind: "string", Summary: "the words; all messages without any"},
				parameter{Name: "limit", Kind: "integer", Summary: "the most messages of the answer, 50 unless it is said, at most 200"},
				parameter{Name: "before", Kind: "string", Summary: "the cursor of the last answer, to go on"}).answers(http.StatusOK, searchAnswer{}),
	}
}

// sought is a search as the store and we read it.
type sought struct {
	store.MessageFilter
	texts []search.Condition // of from, subject and group: what heads tell
	none  bool               // nothing can be found
}

func (s *server) searchMessages(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	q := r.URL.Query()
	query, err := search.Parse(q.Get("q"), s.Now())
	if err != nil {
		return badParameter("q", err.Error())
	}
	f, err := s.soughtIn(r.Context(), query, a.ID)
	if err != nil {
		return err
	}
	limit, err := wholeNumber(q, "limit", defaultHits, 1, maxHits)
	if err != nil {
		return err
	}
	before, err := readPlace(q.Get("before"))
	if err != nil {
		return err
	}
	answer := searchAnswer{Messages: []hitAnswer{}}
	if f.none {
		return reply(w, http.StatusOK, answer)
	}
	found, next, done, err := s.lookBack(r.Context(), f, before, limit)
	if err != nil {
		return err
	}
	if answer.Messages, err = s.hits(r.Context(), a, found); err != nil {
		return err
	}
	if !done {
		answer.More, answer.Cursor, answer.LookedBackTo = true, writePlace(next), nanos(timeOf(next.ID))
	}
	return reply(w, http.StatusOK, answer)
}

// writePlace and readPlace turn places into cursors and back.
func writePlace(p store.MessagePlace) string {
	if p.Seq == 0 {
		return p.ID.String()
	}
	return p.ID.String() + "." + strconv.FormatInt(p.Seq, 10)
}

func readPlace(cursor string) (p store.MessagePlace, err error) {
	if cursor == "" {
		return p, nil
	}
	id, seq, ordered := strings.Cut(cursor, ".")
	at, ok := messageID(id)
	if p.ID = at; ok && ordered {
		p.Seq, err = strconv.ParseInt(seq, 10, 64)
	}
	if !ok || err != nil || p.Seq < 0 {
		return p, badParameter("before", "must be the cursor of an answer")
	}
	return p, nil
}

// timeOf is when an id was made: a UUIDv7 begins with that.
func timeOf(id mail.ID) time.Time {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms)
}

// foundHit is a message that was found, with its head.
type foundHit struct {
	store.FoundMessage
	head store.Head
}

// lookBack finds a page of messages, piece by piece, for as long as one request may take.
func (s *server) lookBack(ctx context.Context, f sought, before store.MessagePlace, limit int) (found []foundHit, next store.MessagePlace, done bool, err error) {
	until := s.Now().Add(lookingFor)
	for ctx.Err() == nil {
		want := limit - len(found)
		if len(f.texts) > 0 {
			want = candidatesAtOnce
		}
		some, place, last, err := s.Messages.MessagesBack(ctx, f.MessageFilter, before, lookAtOnce, want)
		if err != nil {
			return nil, next, false, err
		}
		heads, err := s.heads(ctx, some)
		if err != nil {
			return nil, next, false, err
		}
		for i := range some {
			head := heads[some[i].ContentRef]
			if !matches(f.texts, &head) {
				continue
			}
			found = append(found, foundHit{some[i], head})
			if len(found) == limit && i < len(some)-1 {
				return found, some[i].Place, false, nil
			}
		}
		if last || len(found) == limit || s.Now().After(until) {
			return found, place, last, nil
		}
		before = place
	}
	return nil, next, false, ctx.Err()
}

// heads reads the heads of messages, each content once.
func (s *server) heads(ctx context.Context, list []store.FoundMessage) (map[string]store.Head, error) {
	var refs []string
	for i := range list {
		refs = append(refs, list[i].ContentRef)
	}
	slices.Sort(refs)
	if refs = slices.Compact(refs); len(refs) == 0 {
		return nil, nil
	}
	return s.Messages.Heads(ctx, refs)
}

// matches tells whether a head has what conditions say.
func matches(conditions []search.Condition, head *store.Head) bool {
	for _, c := range conditions {
		if slices.ContainsFunc(c.Values, func(value string) bool { return holds(c.Word, value, head) }) == c.Not {
			return false
		}
	}
	return true
}

func holds(word, value string, head *store.Head) bool {
	lower := strings.ToLower(value)
	switch word {
	case search.Group:
		return slices.Contains(head.Groups, value)
	case search.Subject:
		return strings.Contains(strings.ToLower(head.Subject), lower)
	default:
		email := strings.ToLower(head.From.Email)
		switch how := textOf(value).How; how {
		case store.Whole:
			return email == lower
		case store.AtEnd:
			return strings.HasSuffix(email, lower)
		default:
			return strings.Contains(email, lower) || strings.Contains(strings.ToLower(head.From.Name), lower)
		}
	}
}

// textOf tells how a value is compared with addresses: @ and a domain is their end, a whole address is one, and anything else is a part.
func textOf(value string) store.Text {
	if strings.HasPrefix(value, "@") {
		return store.Text{Value: value, How: store.AtEnd}
	}
	if _, err := mail.ParseEmail(value); err == nil {
		return store.Text{Value: value, How: store.Whole}
	}
	return store.Text{Value: value, How: store.Within}
}

// soughtIn reads a query of an account: what providers, pools and sub-accounts are called is known there.
func (s *server) soughtIn(ctx context.Context, q search.Query, accountID int32) (f sought, err error) {
	f.AccountID, f.From, f.To = accountID, q.Since, q.Until
	f.none = !f.To.IsZero() && !f.From.Before(f.To)
	for i := range q.Conditions {
		if err := s.seek(ctx, &f, &q.Conditions[i]); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (s *server) seek(ctx context.Context, f *sought, c *search.Condition) (err error) {
	switch c.Word {
	case search.ID:
		return f.seekID(c)
	case search.Status:
		return f.seekStatus(c)
	case search.To:
		if text := textOf(c.Values[0]); !c.Not && len(c.Values) == 1 && text.How == store.Whole && f.Recipient == "" {
			f.Recipient = text.Value
			return nil
		}
		choice := store.MessageChoice{Field: store.FieldTo, Not: c.Not}
		for _, value := range c.Values {
			choice.Texts = append(choice.Texts, textOf(value))
		}
		f.Choices = append(f.Choices, choice)
		return nil
	case search.From, search.Subject:
		f.texts = append(f.texts, *c)
		return nil
	case search.Group:
		choice := store.MessageChoice{Field: store.FieldGroup, Not: c.Not}
		for _, value := range c.Values {
			choice.Texts = append(choice.Texts, store.Text{Value: value})
		}
		f.Choices, f.texts = append(f.Choices, choice), append(f.texts, *c) // labels are no more than a hint
		return nil
	}
	choice := store.MessageChoice{Field: fieldOf[c.Word], Not: c.Not}
	for _, value := range c.Values {
		ids, err := s.idsOf(ctx, f.AccountID, c.Word, value)
		if err != nil {
			return err
		}
		choice.Numbers = append(choice.Numbers, ids...)
	}
	f.Choices = append(f.Choices, choice)
	return nil
}

var fieldOf = map[string]store.MessageField{search.Provider: store.FieldEgress, search.Mailbox: store.FieldMailbox, search.Pool: store.FieldPool,
	search.SubAccount: store.FieldSubAccount, search.Mark: store.FieldMark}

func (f *sought) seekID(c *search.Condition) error {
	if c.Not || len(c.Values) > 1 {
		return badParameter("q", "id: takes one value, and no minus before it")
	}
	id, ok := messageID(c.Values[0])
	f.none = f.none || !ok || f.ID != (mail.ID{}) && f.ID != id
	f.ID = id
	return nil
}

// statesOf are the states that a status stands for, engagedOf what a recipient has done.
var (
	statesOf = map[string][]lifecycle.State{"pending": {lifecycle.Queued, lifecycle.Sending, lifecycle.Unknown}, "waiting": {lifecycle.Queued}, "sending": {lifecycle.Sending},
		"unknown": {lifecycle.Unknown}, "sent": {lifecycle.Sent}, "delivered": {lifecycle.Delivered}, "bounced": {lifecycle.Bounced}, "dropped": {lifecycle.Dropped}}
	engagedOf = map[string]store.Engaged{"opened": store.EngagedOpened, "clicked": store.EngagedClicked}
)

// allStates are the states of messages.
var allStates = []lifecycle.State{lifecycle.Queued, lifecycle.Sending, lifecycle.Unknown, lifecycle.Sent, lifecycle.Delivered, lifecycle.Bounced, lifecycle.Dropped}

func (f *sought) seekStatus(c *search.Condition) error {
	var states []lifecycle.State
	did := store.MessageChoice{Field: store.FieldEngaged, Not: c.Not}
	for _, value := range c.Values {
		states = append(states, statesOf[value]...)
		if bit := engagedOf[value]; bit != 0 {
			did.Numbers = append(did.Numbers, int32(bit))
		}
	}
	switch {
	case len(did.Numbers) > 0 && len(states) > 0:
		return badParameter("q", "status: opened and clicked stand in no list with other statuses; give them a term of their own")
	case len(did.Numbers) > 0:
		f.Choices = append(f.Choices, did)
		return nil
	}
	had := f.States
	if had == nil {
		had = allStates
	}
	f.States = nil
	for _, state := range had {
		if slices.Contains(states, state) != c.Not {
			f.States = append(f.States, state)
		}
	}
	f.none = f.none || len(f.States) == 0
	return nil
}

// idsOf finds what a word calls by a value.
func (s *server) idsOf(ctx context.Context, accountID int32, word, value string) ([]int32, error) {
	number, err := strconv.ParseInt(value, 10, 32)
	isNumber := err == nil && number > 0
	unknown := func(format string) error {
		return badParameter("q", fmt.Sprintf("%s:%s: "+format, word, value))
	}
	view := s.Directory.Current()
	var ids []int32
	switch word {
	case search.Mailbox:
		class, err := mailbox.Parse(value)
		if err != nil {
			return nil, badParameter("q", err.Error())
		}
		return []int32{int32(class.ID())}, nil
	case search.Mark:
		for mark, name := range markNames {
			if name == value {
				ids = append(ids, int32(mark))
			}
		}
		return ids, nil
	case search.Provider:
		return s.egressesOf(accountID, value, unknown)
	case search.Pool:
		for _, p := range view.Pools(accountID) {
			if strings.EqualFold(p.Name, value) {
				ids = append(ids, p.ID)
			}
		}
		if len(ids) == 0 && isNumber { // deleted ones included
			ids = []int32{int32(number)}
		}
		if len(ids) == 0 {
			return nil, unknown("the account has no IP pool of this name")
		}
		return ids, nil
	default:
		for _, sub := range view.SubAccounts(accountID) {
			if strings.EqualFold(sub.Name, value) {
				ids = append(ids, sub.ID)
			}
		}
		former, err := s.Statistics.FormerSubAccounts(ctx, accountID)
		if err != nil {
			return nil, err
		}
		for id, name := range former {
			if strings.EqualFold(name, value) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 && isNumber {
			ids = []int32{int32(number)}
		}
		if len(ids) == 0 {
			return nil, unknown("the account has no sub-account of this name")
		}
		return ids, nil
	}
}

// egressesOf finds providers and IPs of an account, deleted ones included.
func (s *server) egressesOf(accountID int32, value string, unknown func(string) error) (ids []int32, err error) {
	named, isEgress := route.ParseEgress(strings.ToUpper(value))
	kind, isKind := s.Kinds.Named(strings.ToLower(value))
	for _, t := range s.Directory.Current().EveryEgress() {
		if t.AccountID != accountID {
			continue
		}
		if strings.EqualFold(t.Name, value) || isEgress && t.Egress() == named || isKind && t.Type == kind || number(t.ID) == value {
			ids = append(ids, int32(t.Egress()))
		}
	}
	if len(ids) == 0 && !isKind {
		return nil, unknown("the account has no provider of this kind, name or id")
	}
	return ids, nil
}

// hits shows what was found.
func (s *server) hits(ctx context.Context, a *directory.Account, found []foundHit) ([]hitAnswer, error) {
	answers := make([]hitAnswer, len(found))
	if len(found) == 0 {
		return answers, nil
	}
	ids := make([]mail.ID, len(found))
	var bare []string // contents of messages without a subject
	for i := range found {
		if ids[i] = found[i].ID; found[i].head.Subject == "" && !slices.Contains(bare, found[i].ContentRef) && len(bare) < withoutSubject {
			bare = append(bare, found[i].ContentRef)
		}
	}
	last, err := s.Messages.LastEvents(ctx, a.ID, ids)
	if err != nil {
		return nil, err
	}
	var contents map[string]*mail.Content
	if len(bare) > 0 {
		if contents, err = s.Messages.OutContents(ctx, bare); err != nil {
			return nil, err
		}
	}
	names, err := s.subAccountNames(ctx, a.ID, found)
	if err != nil {
		return nil, err
	}
	view, permits := s.Directory.Current(), s.permitsOnce()
	for i := range found {
		m := &found[i]
		hit := hitAnswer{ID: m.ID.String(), SubmittedAt: nanos(m.SubmittedAt), To: person{Name: m.Recipient.Name, Email: m.Recipient.Email},
			From: person{Name: m.head.From.Name, Email: m.head.From.Email}, Subject: m.head.Subject, State: m.State.String(), Mark: markNames[m.Mark],
			MailboxProvider: string(m.Mailbox), TPSPID: m.Egress.TPSPID(), IPID: m.Egress.IPID(), PoolID: m.PoolID, SubAccountID: m.SubAccountID, SubAccount: names[m.SubAccountID],
			Groups: orEmpty(m.head.Groups), Attempts: m.Attempts, Opened: m.Engaged&store.EngagedOpened != 0, Clicked: m.Engaged&store.EngagedClicked != 0}
		if t := view.Egress(m.Egress); t != nil && t.AccountID == a.ID {
			hit.Provider, hit.ProviderKind = t.Name, s.Kinds.Name(t.Type)
		}
		if p := view.Pool(a.ID, m.PoolID); p != nil {
			hit.Pool = p.Name
		}
		if c := contents[m.ContentRef]; c != nil {
			hit.Template = c.Template
		}
		if e, ok := last[m.ID]; ok {
			hit.LastEvent = &eventOfHit{EventID: s.eventID(e.Seq), Type: int(e.Type), Name: typeName(int(e.Type)), At: nanos(e.OccurredAt), Words: e.Words}
		}
		if m.State.Pending() {
			m.Content = &mail.Content{From: m.head.From}
			why, err := s.waiting(ctx, &m.Message, permits)
			if err != nil {
				return nil, err
			}
			hit.Waiting, hit.DueAt = why.reason, nanos(why.until)
		}
		answers[i] = hit
	}
	return answers, nil
}

// subAccountNames are those of the sub-accounts of messages, deleted ones included.
func (s *server) subAccountNames(ctx context.Context, accountID int32, found []foundHit) (map[int32]string, error) {
	view, names, gone := s.Directory.Current(), map[int32]string{}, false
	for i := range found {
		if sub := view.SubAccount(accountID, found[i].SubAccountID); sub != nil {
			names[sub.ID] = sub.Name
		} else {
			gone = true
		}
	}
	if !gone {
		return names, nil
	}
	former, err := s.Statistics.FormerSubAccounts(ctx, accountID)
	if err != nil {
		return nil, err
	}
	for id, name := range former {
		names[id] = name
	}
	return names, nil
}

// asksPermits tells what of an egress's limits is taken.
type asksPermits func(ctx context.Context, e route.Egress, now time.Time) (store.Permits, error)

// permitsOnce asks about each egress once.
func (s *server) permitsOnce() asksPermits {
	known := map[route.Egress]store.Permits{}
	return func(ctx context.Context, e route.Egress, now time.Time) (store.Permits, error) {
		if p, ok := known[e]; ok {
			return p, nil
		}
		p, err := s.Queue.Permits(ctx, e, now, s.Claim)
		if err == nil {
			known[e] = p
		}
		return p, err
	}
}

// processedTypes are the types of the event that every message begins with, once, under its recipient's address.
var processedTypes = typesOf(event.Processed)
