package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/event"
	"postyard/internal/lifecycle"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// Parts of the statements of suppressions, alike in all engines. s is the row that there is.
var (
	// SuppressionColumns are what SuppressionRule is for.
	SuppressionColumns = `account_id, sub_account_id, email, reason, detail, source, tpsp_id, since, created`

	// SuppressionRule says what a suppression becomes that there is already, or was. One that was ended comes back when a user says so,
	// or because of what happened since then; an answer may be an echo for a while. A complaint weighs more than all else, a user's
	// word more than what a provider says, and whatever has a reason more than an answer without one.
	SuppressionRule = fmt.Sprintf(`ON CONFLICT (sub_account_id, email) DO UPDATE SET reason = excluded.reason, detail = excluded.detail,
		source = excluded.source, tpsp_id = excluded.tpsp_id, since = excluded.since,
		created = CASE WHEN s.released = 0 THEN s.created ELSE excluded.created END, released = 0
		WHERE CASE WHEN s.released <> 0
			THEN excluded.source = %[1]d OR excluded.since > s.released + CASE excluded.source WHEN %[2]d THEN %[5]d ELSE 0 END
			ELSE s.reason <> %[4]d AND (excluded.reason = %[4]d OR excluded.source = %[1]d OR s.source = %[2]d AND excluded.source IN (%[3]d, %[6]d)) END`,
		store.ByUser, store.ByAnswer, store.ByReport, provider.SpamComplaint, store.EchoTime.Nanoseconds(), store.ByList)
)

// What is left of suppressions is removed once a day: of those that were reactivated so long ago that nothing from before is reported any
// more, and of the lists of deleted TPSPs.
const (
	ForgetSuppressionsEvery = 24 * time.Hour
	ReleasesKept            = 400 * 24 * time.Hour
)

// ListTables hold what is known of the lists of TPSPs, with the address in every row.
var ListTables = [...]string{"suppression_mirror", "suppression_pushed", "suppression_push"}

// ForgottenLists are the deleted TPSPs of whose lists something is known.
const ForgottenLists = `SELECT id FROM tpsp WHERE deleted <> 0 AND (EXISTS (SELECT 1 FROM suppression_list l WHERE l.tpsp_id = tpsp.id)
	OR EXISTS (SELECT 1 FROM suppression_push q WHERE q.tpsp_id = tpsp.id)) ORDER BY id`

// UsedFor is how long a sub-account counts as one that mails through a TPSP.
const UsedFor = 90 * 24 * time.Hour

// MergeSuppressions sorts a batch by its key and leaves one of each, as SuppressionRule would.
func MergeSuppressions(list []store.Suppression) []store.Suppression {
	slices.SortStableFunc(list, func(a, b store.Suppression) int {
		return cmp.Or(cmp.Compare(a.SubAccountID, b.SubAccountID), cmp.Compare(a.Email, b.Email))
	})
	merged := list[:0]
	for _, s := range list {
		last := len(merged) - 1
		switch {
		case last < 0 || merged[last].SubAccountID != s.SubAccountID || merged[last].Email != s.Email:
			merged = append(merged, s)
		case s.Reason == provider.SpamComplaint || merged[last].Source == store.ByAnswer || s.Source == store.ByUser && merged[last].Reason != provider.SpamComplaint:
			merged[last] = s
		}
	}
	return merged
}

// Unexplained returns those suppressions of a list that say nothing of a reason: the provider's list may.
func Unexplained(list []store.Suppression) (unexplained []store.Suppression) {
	for i := range list {
		if list[i].Source == store.ByAnswer {
			unexplained = append(unexplained, list[i])
		}
	}
	return unexplained
}

// ExplainSuppressions gives suppressions s, of which m is the provider's entry, that entry's reason.
var ExplainSuppressions = fmt.Sprintf(`SET reason = m.reason FROM suppression_mirror m
	WHERE m.tpsp_id = s.tpsp_id AND m.email = s.email AND m.pushed >= 0 AND m.reason <> s.reason AND s.source = %d AND s.released = 0`, store.ByAnswer)

// SuppressionOf returns what a report that is recorded suppresses.
func SuppressionOf(r *provider.Report, p *store.Parsed, accountID, subAccountID int32) (store.Suppression, bool) {
	return store.Suppression{AccountID: accountID, SubAccountID: subAccountID, Email: strings.ToLower(r.Recipient), Reason: r.Reason,
		Detail: r.SMTPDescription, Source: store.ByReport, TPSPID: EgressOf(p, r).TPSPID(), Since: r.OccurredAt, Created: p.Now}, r.Suppresses && r.Recipient != ""
}

// InactiveOf returns what the outcome of a call suppresses. A provider does not say why; a mail server that refuses the recipient does.
func InactiveOf(s *store.Settlement) []store.Suppression {
	list := make([]store.Suppression, 0, len(s.Inactive))
	reason, source := provider.Manual, store.ByAnswer
	if s.Trigger == lifecycle.Bounce || s.Outcome != nil && s.Outcome.Bounce == event.HardBounced {
		reason, source = provider.HardBounce, store.ByReport
	}
	for _, email := range s.Inactive {
		list = append(list, store.Suppression{AccountID: s.Job.AccountID, SubAccountID: s.Job.SubAccountID, Email: strings.ToLower(email),
			Reason: reason, Detail: s.Outcome.Text, Source: source, TPSPID: s.Job.Egress.TPSPID(), Since: s.At, Created: s.At})
	}
	return list
}

// Recipients returns the addresses of a batch, those of copies included, each once and in their order.
func Recipients(batch []store.Submission) []store.SuppressionKey {
	list := make([]store.SuppressionKey, 0, len(batch))
	for i := range batch {
		s := &batch[i]
		for j := range s.Messages {
			m := &s.Messages[j]
			list = append(list, store.SuppressionKey{SubAccountID: s.SubAccountID, Email: strings.ToLower(m.To)})
			for _, c := range m.Copies {
				list = append(list, store.SuppressionKey{SubAccountID: s.SubAccountID, Email: strings.ToLower(c)})
			}
		}
	}
	slices.SortFunc(list, func(a, b store.SuppressionKey) int {
		return cmp.Or(cmp.Compare(a.SubAccountID, b.SubAccountID), cmp.Compare(a.Email, b.Email))
	})
	return slices.Compact(list)
}

// Withheld are the suppressed addresses of a batch; nil is none.
type Withheld store.Suppressed

func (w Withheld) of(s *store.Submission, email string) (store.SuppressionHit, bool) {
	hit, found := w[store.SuppressionKey{SubAccountID: s.SubAccountID, Email: strings.ToLower(email)}]
	return hit, found
}

// To tells whether a message must not leave, and why.
func (w Withheld) To(s *store.Submission, m *store.NewMessage) (event.Detail, bool) {
	if len(w) == 0 {
		return event.Detail{}, false
	}
	hit, found := w.of(s, m.To)
	return event.Detail{SMTPDescription: hit.Words()}, found
}

// Spread is Spread without the messages that do not leave.
func (w Withheld) Spread(batch []store.Submission) map[int32]uint64 {
	wanted := Spread(batch)
	if len(w) == 0 || len(wanted) == 0 {
		return wanted
	}
	for i := range batch {
		for j := range batch[i].Messages {
			m := &batch[i].Messages[j]
			if _, held := w.To(&batch[i], m); held && m.Spread {
				if wanted[m.PoolID]--; wanted[m.PoolID] == 0 {
					delete(wanted, m.PoolID)
				}
			}
		}
	}
	return wanted
}

// LeftOut is a copy that is not sent.
type LeftOut struct {
	Email  string
	Detail event.Detail
}

// Copies leaves the suppressed copies out of a message that leaves, and returns them.
func (w Withheld) Copies(s *store.Submission, m *store.NewMessage) (recipient []byte, out []LeftOut, err error) {
	if len(w) == 0 || m.Without == nil {
		return m.Recipient, nil, nil
	}
	for _, email := range m.Copies {
		if hit, found := w.of(s, email); found {
			out = append(out, LeftOut{email, event.Detail{SMTPDescription: hit.Words()}})
		}
	}
	if len(out) == 0 {
		return m.Recipient, nil, nil
	}
	recipient, err = m.Without(func(email string) bool { _, found := w.of(s, email); return found })
	return recipient, out, err
}

// PushKeys are the addresses of a list, in lower case, sorted, each once.
func PushKeys(emails []string) []string {
	list := make([]string, len(emails))
	for i, email := range emails {
		list[i] = strings.ToLower(email)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Unplanned is the encoded plan of a message that goes nowhere.
var Unplanned = []byte(`{"egresses":[],"rule":"the recipient was suppressed when the message came: no provider was chosen"}`)

// MirrorStamp is when we put an address on a list, as it is stored; before 0, when we took it off.
func MirrorStamp(at time.Time, release bool) int64 {
	if release {
		return -Stamp(at)
	}
	return Stamp(at)
}

// Mirrored is an entry of a mirror as it is stored.
func Mirrored(reason provider.Reason, stamp int64) store.MirroredSuppression {
	m := store.MirroredSuppression{Reason: reason}
	if stamp < 0 {
		m.Released = Time(-stamp)
	} else {
		m.Pushed = Time(stamp)
	}
	return m
}

// What is recorded of a message that is suppressed when it comes.
const (
	SuppressedProcessed event.Type = 0 // native: no provider was chosen
	SuppressedDropped   event.Type = 1
)

// MergeLists puts together what is known of TPSPs' lists from several places.
func MergeLists(parts []store.SuppressionList) []store.SuppressionList {
	slices.SortFunc(parts, func(a, b store.SuppressionList) int { return cmp.Compare(a.TPSPID, b.TPSPID) })
	var merged []store.SuppressionList
	for _, p := range parts {
		if last := len(merged) - 1; last >= 0 && merged[last].TPSPID == p.TPSPID {
			m := &merged[last]
			if !p.ReadAt.IsZero() {
				m.ReadAt, m.Error = p.ReadAt, p.Error
			}
			if !p.PushAt.IsZero() {
				m.PushAt = p.PushAt
			}
			continue
		}
		merged = append(merged, p)
	}
	return merged
}
