package postmark

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"postyard/internal/provider/httpcall"
)

// Reasons of the suppression list, and the origin of what the recipient brought about.
const (
	suppressedHard   = "HardBounce"
	suppressedSpam   = "SpamComplaint"
	suppressedManual = "ManualSuppression"
	originRecipient  = "Recipient"
)

// maxDump caps a whole suppression list, which does not come in pages: some 200,000 addresses.
const maxDump = 32 << 20

var _ provider.Suppressor = (*Adapter)(nil)

// suppressionsPath is that of the list of a connection's stream.
func suppressionsPath(conn provider.Connection) string {
	return "/message-streams/" + url.PathEscape(conn.Stream) + "/suppressions"
}

// SuppressionList implements provider.Suppressor.
func (a *Adapter) SuppressionList(ctx context.Context, conn provider.Connection) ([]provider.Listed, error) {
	c := call{method: http.MethodGet, path: suppressionsPath(conn) + "/dump", limit: maxDump}
	var answer struct {
		Suppressions *[]struct{ EmailAddress, SuppressionReason, Origin, CreatedAt string }
	}
	if err := a.insist(ctx, conn, c, &answer); err != nil {
		return nil, fmt.Errorf("read the suppression list: %w", err)
	}
	if answer.Suppressions == nil {
		return nil, fmt.Errorf("read the suppression list: %w", unreadable(c.path))
	}
	list := make([]provider.Listed, 0, len(*answer.Suppressions))
	for _, e := range *answer.Suppressions {
		at, dated := parseTime(e.CreatedAt)
		email := strings.ToLower(provider.Clean(e.EmailAddress, maxAddress))
		if email == "" || !dated { // an entry that is not understood makes the list one that is not understood
			return nil, fmt.Errorf("read the suppression list: %w", unreadable(c.path))
		}
		list = append(list, provider.Listed{Email: email, Reason: reasonOf(e.SuppressionReason, e.Origin), At: at})
	}
	return list, nil
}

// reasonOf translates the reason of an entry. What the recipient brought about by hand is an unsubscription.
func reasonOf(reason, origin string) provider.Reason {
	switch {
	case reason == suppressedHard:
		return provider.HardBounce
	case reason == suppressedSpam:
		return provider.SpamComplaint
	case origin == originRecipient:
		return provider.Unsubscribed
	}
	return provider.Manual
}

// SuppressAddresses implements provider.Suppressor.
func (a *Adapter) SuppressAddresses(ctx context.Context, conn provider.Connection, emails []string) (map[string]string, error) {
	return a.changeSuppressions(ctx, conn, "", emails, "Suppressed")
}

// ReleaseAddresses implements provider.Suppressor. Postmark refuses it for complaints.
func (a *Adapter) ReleaseAddresses(ctx context.Context, conn provider.Connection, emails []string) (map[string]string, error) {
	return a.changeSuppressions(ctx, conn, "/delete", emails, "Deleted")
}

// changeSuppressions has addresses changed, each of which gets a status of its own.
func (a *Adapter) changeSuppressions(ctx context.Context, conn provider.Connection, step string, emails []string, done string) (map[string]string, error) {
	type entry struct{ EmailAddress string }
	var request struct{ Suppressions []entry }
	for _, email := range emails {
		request.Suppressions = append(request.Suppressions, entry{email})
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("change the suppression list: %w", err)
	}
	var answer struct {
		Suppressions []struct{ EmailAddress, Status, Message string }
	}
	c := call{method: http.MethodPost, path: suppressionsPath(conn) + step, body: body}
	if err := a.ask(ctx, conn, c, &answer); err != nil {
		return nil, fmt.Errorf("change the suppression list: %w", err)
	}
	words := make(map[string]string, len(emails))
	for _, e := range answer.Suppressions {
		text := ""
		if !strings.EqualFold(e.Status, done) {
			text = cmp.Or(provider.Clean(httpcall.Redact(e.Message, conn.Key.Reveal()), provider.MaxText), "status "+provider.Clean(e.Status, maxID))
		}
		words[strings.ToLower(e.EmailAddress)] = text
	}
	refused := map[string]string{}
	for _, email := range emails {
		text, told := words[email]
		if !told {
			return nil, fmt.Errorf("change the suppression list: %w", unreadable(c.path))
		}
		if text != "" {
			refused[email] = text
		}
	}
	return refused, nil
}

// suppresses tells whether Postmark delivers nothing more to the address of a bounce or complaint, and why. Its Inactive decides,
// not the type; where that is missing, a hard bounce does.
func suppresses(kind event.Kind, r record) (provider.Reason, bool) {
	inactive := r.text("Inactive", maxID)
	switch {
	case kind == event.Spam:
		return provider.SpamComplaint, true
	case kind == event.Unsubscribed:
		return provider.Unsubscribed, true
	case inactive == "true" && strings.EqualFold(r.text("Type", maxID), "ManuallyDeactivated"):
		return provider.Manual, true
	case inactive == "true", inactive != "false" && kind == event.HardBounced:
		return provider.HardBounce, true
	}
	return 0, false
}

// subscriptionChange reads a webhook that we do not ask for: an unsubscription is an event of its message; all else repeats what
// bounces and complaints say, or concerns no message.
func (a *Adapter) subscriptionChange(r record) []provider.Report {
	if r.text("SuppressSending", maxID) != "true" || r.text("SuppressionReason", maxID) != suppressedManual ||
		r.text("Origin", maxID) != originRecipient {
		return nil
	}
	report, ok := a.unsubscription(r)
	if !ok || report.ProviderMessageID == "" || report.Recipient == "" {
		return nil
	}
	return []provider.Report{report}
}

func (a *Adapter) unsubscription(r record) (provider.Report, bool) {
	report, basis, ok := a.base(r, event.Unsubscribed, "Recipient", "ChangedAt")
	report.Suppresses, report.Reason = true, provider.Unsubscribed
	report.Identity = identity(recordSubscriptionChange, report.ProviderMessageID, strings.ToLower(report.Recipient), suppressedManual)
	report.Detail = detailOf(r, basis, report, recordSubscriptionChange, "Recipient", "ChangedAt", "Origin")
	return report, ok
}

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
	c := call{method: http.MethodGet, path: suppressionsPath(r.conn) + "/dump",
		query: url.Values{"fromdate": {r.past.Since.UTC().AddDate(0, 0, -1).Format(time.DateOnly)}}}
	var answer record
	err := r.ask(ctx, c, &answer)
	if refused, ok := errors.AsType[*refusal](err); errors.Is(err, httpcall.ErrAnswerTooLong) || ok && refused.status < 500 && concernsOne(err) {
		r.miss("suppressed addresses: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if !answer.hasList("Suppressions") {
		return unreadable(c.path)
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
	case kind == event.Unsubscribed:
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
	return a.readBack(to, r, "ChangedAt", a.unsubscription)
}
