package api

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/mailbox"
	"postyard/internal/provider"
	"postyard/internal/route"
	"postyard/internal/store"
)

// Sizes of a page of events.
const (
	defaultEvents = 100
	maxEvents     = 1000
)

// eventFilter reads which events a query asks for. none tells that no event can match.
func (s *server) eventFilter(q url.Values, accountID int32) (f store.EventFilter, none bool, err error) {
	f.AccountID = accountID
	if f.Types, err = eventTypes(q["type"]); err != nil {
		return f, false, err
	}
	if text := q.Get("messageId"); text != "" {
		id, ok := messageID(text)
		if !ok {
			return f, false, badParameter("messageId", "must be a message's id, a UUID")
		}
		f.MessageID = id
	}
	f.Recipient, f.Group = strings.TrimSpace(q.Get("recipient")), q.Get("group")
	if name := q.Get("mailbox"); name != "" {
		if f.Mailbox, err = mailbox.Parse(strings.ToLower(name)); err != nil {
			return f, false, badParameter("mailbox", "must be a mailbox provider, such as gmail or default")
		}
	}
	if err = eventFacets(q, &f); err != nil {
		return f, false, err
	}
	if f.From, f.To, err = eventRange(q); err != nil {
		return f, false, err
	}
	if none, err = s.eventSource(q, &f); err != nil {
		return f, false, err
	}
	nothing, err := s.searchFilter(q, &f)
	return f, none || nothing, err
}

// eventFacets reads under what events are to count, as statistics name it.
func eventFacets(q url.Values, f *store.EventFilter) (err error) {
	for _, d := range []store.Dimension{store.DimensionReason, store.DimensionDevice, store.DimensionClient, store.DimensionOS, store.DimensionCountry} {
		text := strings.TrimSpace(q.Get(d.String()))
		if text == "" {
			continue
		}
		value, rule := facetValue(d, text)
		if rule != "" {
			return badParameter(d.String(), rule)
		}
		if f.Values == nil {
			f.Values = map[store.Dimension]string{}
		}
		f.Values[d] = value
	}
	f.Domain = strings.ToLower(strings.TrimSpace(q.Get("domain")))
	if len(f.Domain) > store.MaxLabelBytes {
		return badParameter("domain", fmt.Sprintf("has more than %d bytes", store.MaxLabelBytes))
	}
	f.First, err = truth(q, "first")
	return err
}

// replyCode is the code of a reply under which bounces count: an enhanced one, or that of SMTP.
var replyCode = regexp.MustCompile(`^(?:[45]\.[0-7]\.\d{1,2}|[45]\d\d)$`)

// facetValue returns a value of a dimension as it is counted, or the rule that it breaks.
func facetValue(d store.Dimension, text string) (value, rule string) {
	for _, name := range append([]string{store.OtherValue, store.UnknownValue}, store.Names(d)...) {
		if strings.EqualFold(name, text) {
			return name, ""
		}
	}
	const also = ", " + store.OtherValue + " or " + store.UnknownValue
	switch d {
	case store.DimensionReason:
		if replyCode.MatchString(text) {
			return text, ""
		}
		return "", "must be a type of bounces, such as HardBounce, or the code of a reply, such as 5.1.1 or 550" + also
	case store.DimensionCountry:
		if code, ok := store.CountryCode(text); ok {
			return code, ""
		}
		return "", "must be a country's code of two letters, such as DE" + also
	case store.DimensionDevice:
		return "", "must be " + strings.Join(store.Names(d), ", ") + also
	default:
		return "", "must be a name that statistics have, such as " + store.Names(d)[0] + also
	}
}

// eventSource reads whose events a query asks for: of which TPSP or IP, which kind of provider, which sub-account. SendPost's
// dashboard says the same with source and sourceId.
func (s *server) eventSource(q url.Values, f *store.EventFilter) (none bool, err error) {
	tpspID, err := optionalID(q, "tpspId")
	if err != nil {
		return false, err
	}
	ipID, err := optionalID(q, "ipId")
	if err != nil {
		return false, err
	}
	if f.SubAccountID, err = optionalID(q, "subAccountId"); err != nil {
		return false, err
	}
	sourceID, err := optionalID(q, "sourceId")
	if err != nil {
		return false, err
	}
	switch source := q.Get("source"); {
	case source == "" && sourceID == 0:
	case sourceID == 0:
		return false, badParameter("sourceId", "is required with source")
	case source == "tpsp":
		none = tpspID != 0 && tpspID != sourceID
		tpspID = sourceID
	case source == "ip":
		none = ipID != 0 && ipID != sourceID
		ipID = sourceID
	case source == "subaccount":
		none = f.SubAccountID != 0 && f.SubAccountID != sourceID
		f.SubAccountID = sourceID
	default:
		return false, badParameter("source", "must be tpsp, ip or subaccount")
	}
	if tpspID != 0 {
		f.TPSPIDs = []int32{tpspID}
	}
	if ipID != 0 {
		f.TPSPIDs, none = []int32{int32(route.IP(ipID))}, none || tpspID != 0
	}
	if name := q.Get("provider"); name != "" {
		t, ok := s.providerType(name)
		if !ok {
			return false, badParameter("provider", "must be the name or the type id of a provider, such as postmark or 4")
		}
		of := s.tpspsOf(f.AccountID, t)
		if tpspID != 0 {
			of = slices.DeleteFunc(of, func(id int32) bool { return id != tpspID })
		}
		f.TPSPIDs, none = of, none || len(of) == 0 || ipID != 0
	}
	return none, nil
}

// tpspsOf returns the account's TPSPs of a type, deleted ones included.
func (s *server) tpspsOf(accountID int32, t provider.Type) []int32 {
	var ids []int32
	for _, one := range s.Directory.Current().EveryTPSP() {
		if one.AccountID == accountID && one.Type == t {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

func (s *server) providerType(name string) (provider.Type, bool) {
	if t, ok := s.Kinds.Named(strings.ToLower(name)); ok {
		return t, true
	}
	n, err := strconv.Atoi(name)
	return provider.Type(n), err == nil && s.Kinds.Name(provider.Type(n)) != ""
}

// eventTypes reads type ids, repeated or in comma lists.
func eventTypes(values []string) ([]event.Type, error) {
	var types []event.Type
	for _, value := range values {
		for text := range strings.SplitSeq(value, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, badParameter("type", "must be ids of event types, such as 71 or 71,75")
			}
			if _, ok := event.Describe(event.Type(n)); !ok {
				return nil, badParameter("type", "there is no event type "+strconv.Itoa(n))
			}
			types = append(types, event.Type(n))
		}
	}
	return types, nil
}

// eventRange reads from and to, each a day (both included) or an RFC 3339 instant (from included, to not).
func eventRange(q url.Values) (from, to time.Time, err error) {
	if from, _, err = moment(q, "from"); err != nil {
		return from, to, err
	}
	to, isDay, err := moment(q, "to")
	if err != nil {
		return from, to, err
	}
	if isDay {
		to = to.AddDate(0, 0, 1)
	}
	if !from.IsZero() && !to.IsZero() && (from.After(to) || isDay && from.Equal(to)) { // such a day has been moved to its end
		return from, to, badParameter("from", "must not be after to")
	}
	return from, to, nil
}

func moment(q url.Values, name string) (at time.Time, isDay bool, err error) {
	text := q.Get(name)
	if text == "" {
		return at, false, nil
	}
	if at, err = time.Parse(time.DateOnly, text); err == nil {
		return at, true, nil
	}
	if at, err = time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC(), false, nil
	}
	return at, false, badParameter(name, "must be a date as YYYY-MM-DD, or an instant as 2006-01-02T15:04:05Z")
}

// eventPage reads which page of the events is asked for.
func (s *server) eventPage(q url.Values, f *store.EventFilter) (err error) {
	if f.Limit, err = wholeNumber(q, "limit", defaultEvents, 1, maxEvents); err != nil {
		return err
	}
	if f.Offset, err = wholeNumber(q, "offset", 0, 0, maxOffset); err != nil {
		return err
	}
	switch order := q.Get("order"); order {
	case "":
		f.Newest = f.Search != "" // what is looked for is rarely the oldest
	case "asc":
	case "desc":
		f.Newest = true
	default:
		return badParameter("order", "must be asc or desc")
	}
	after, err := s.cursor(q, "after")
	if err != nil {
		return err
	}
	before, err := s.cursor(q, "before")
	if err != nil {
		return err
	}
	f.After = max(f.After, after)
	if f.Before == 0 || before != 0 && before < f.Before {
		f.Before = before
	}
	return nil
}

func (s *server) cursor(q url.Values, name string) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	seq, ok := s.seqOf(text)
	if !ok {
		return 0, badParameter(name, "must be an eventID of this server")
	}
	return seq, nil
}
