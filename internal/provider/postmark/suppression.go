package postmark

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
)

// Reasons of the suppression list, and the origin of what the recipient brought about.
const (
	suppressedHard   = "HardBounce"
	suppressedSpam   = "SpamComplaint"
	suppressedManual = "ManualSuppression"
	originRecipient  = "Recipient"
)

const (
	mostSuppressed = 500 // addresses that are asked about one by one
	fewNewest      = 10  // messages to an address of which one may have been answered by an unsubscription
)

// suppression is an entry of the list: an address, and no message.
type suppression struct {
	address, reason string
	at              time.Time
}

func (s suppression) key() string { return s.reason + " " + strings.ToLower(s.address) }

// suppressions lists which addresses were suppressed since then by what they or their servers did. It is read before the
// bounces, so that each entry's bounce is among them.
func (r *reading) suppressions(ctx context.Context) error {
	c := call{method: http.MethodGet, path: "/message-streams/" + url.PathEscape(r.conn.Stream) + "/suppressions/dump",
		query: url.Values{"fromdate": {r.past.Since.UTC().AddDate(0, 0, -1).Format(time.DateOnly)}}}
	var answer record
	err := r.ask(ctx, c, &answer)
	if refused, ok := errors.AsType[*refusal](err); errors.Is(err, errAnswerTooLong) || ok && refused.status < 500 && concernsOne(err) {
		r.miss("suppressed addresses: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if !answer.hasList("Suppressions") {
		return &unreadable{path: c.path}
	}
	r.suppressed = map[string]suppression{}
	for _, e := range answer.list("Suppressions") {
		s := suppression{address: e.text("EmailAddress", maxAddress), reason: e.text("SuppressionReason", maxID)}
		var dated bool
		s.at, dated = parseTime(e.text("CreatedAt", maxID))
		byRecipient := s.reason == suppressedHard || s.reason == suppressedSpam ||
			s.reason == suppressedManual && e.text("Origin", maxID) == originRecipient
		if dated && byRecipient && s.address != "" && !s.at.Before(r.past.Since) {
			r.suppressed[s.key()] = s
		}
	}
	return nil
}

// explains returns the reason for which a bounce suppresses its address; "" when it does not.
func explains(bounce record) string {
	kind := bounceOf(bounce.text("Type", maxID), bounce.integer("TypeCode")).kind
	switch {
	case kind == event.Spam:
		return suppressedSpam
	case kind == event.HardBounced, bounce.text("Inactive", maxID) == "true":
		return suppressedHard
	case strings.EqualFold(bounce.text("Type", maxID), "Unsubscribe"):
		return suppressedManual
	}
	return ""
}

// listed reads an entry of the bounces, which also explains a suppression.
func (r *reading) listed(to []provider.Report, bounce record) []provider.Report {
	delete(r.suppressed, suppression{address: bounce.text("Email", maxAddress), reason: explains(bounce)}.key())
	return r.adapter.bounced(to, bounce)
}

// unexplained asks for what put the other addresses on the list: nothing is reported but what Postmark says of a bounce or of
// a message, so that it is recorded once, whichever way it came.
func (r *reading) unexplained(ctx context.Context) error {
	all := slices.SortedFunc(maps.Values(r.suppressed), func(a, b suppression) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.key(), b.key()))
	})
	some := all[:min(len(all), mostSuppressed)]
	found := make(chan string, len(some))
	err := inParallel(ctx, some, func(ctx context.Context, s suppression) error {
		return r.about(ctx, "why the address "+s.address+" is suppressed", func() error {
			explained, err := r.explain(ctx, s)
			if explained {
				found <- s.key()
			}
			return err
		})
	})
	if left := len(all) - len(found); err == nil && left > 0 {
		r.miss("why %d addresses are suppressed: Postmark names no bounce and no message", left)
	}
	return err
}

// explain reports the bounce or the message that a suppression is about, if it is to be found.
func (r *reading) explain(ctx context.Context, s suppression) (bool, error) {
	if s.reason == suppressedManual {
		return r.unsubscription(ctx, s)
	}
	_, bounces, err := r.page(ctx, bouncesList, url.Values{"count": {strconv.Itoa(pageSize)}, "offset": {"0"}, "emailFilter": {s.address}})
	if err != nil {
		return false, err
	}
	var reports []provider.Report
	for _, b := range bounces {
		at, _ := parseTime(b.text("BouncedAt", maxID))
		if strings.EqualFold(b.text("Email", maxAddress), s.address) && explains(b) == s.reason && !at.Before(r.past.Since.AddDate(0, 0, -1)) {
			reports = r.adapter.bounced(reports, b)
		}
	}
	return len(reports) > 0, r.yield(reports)
}

// unsubscription looks for the message whose recipient asked for no more, by its details. An address that we sent nothing to
// is somebody else's.
func (r *reading) unsubscription(ctx context.Context, s suppression) (explained bool, err error) {
	query := messagesList.query(r.conn, 0)
	query.Set("count", strconv.Itoa(fewNewest))
	query.Set("recipient", s.address)
	_, messages, err := r.page(ctx, messagesList, query)
	if err != nil {
		return false, err
	}
	ours := false
	for _, m := range messages {
		at, _ := parseTime(m.text("ReceivedAt", maxID))
		if m.object("Metadata").messageID() == (mail.ID{}) || at.After(s.at.Add(searchSlack)) {
			continue
		}
		ours = true
		details, err := r.detailsOf(ctx, m.text("MessageID", maxID))
		if err != nil {
			return false, err
		}
		for _, e := range details.list("MessageEvents") {
			about := e.object("Details")
			if e.text("Type", maxID) != "SubscriptionChanged" || !strings.EqualFold(e.text("Recipient", maxAddress), s.address) ||
				about.text("Origin", maxID) != originRecipient || !strings.EqualFold(about.text("SuppressSending", maxID), "true") {
				continue
			}
			if reports := r.adapter.unsubscribed(nil, details, e); len(reports) > 0 {
				return true, r.yield(reports)
			}
		}
	}
	return !ours, nil
}

// unsubscribed reads an unsubscription among the events of a message's details. No webhook of ours tells of it.
func (a *Adapter) unsubscribed(to []provider.Report, m, e record) []provider.Report {
	about := e.object("Details")
	r := append(m.about(), field{"Recipient", e.raw("Recipient")}, field{"ChangedAt", e.raw("ReceivedAt")}, field{"Origin", about.raw("Origin")})
	return a.readBack(to, r, "ChangedAt", func(r record) (provider.Report, bool) {
		report, basis, ok := a.base(r, event.Unsubscribed, "Recipient", "ChangedAt")
		report.Identity = identity(recordSubscriptionChange, report.ProviderMessageID, strings.ToLower(report.Recipient), suppressedManual)
		report.Detail = detailOf(r, basis, report, recordSubscriptionChange, "Recipient", "ChangedAt", "Origin")
		return report, ok
	})
}
