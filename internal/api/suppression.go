package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/suppress"
)

// Suppressions keeps the addresses that sub-accounts send nothing to; *suppress.Service does.
type Suppressions interface {
	Add(ctx context.Context, sub *directory.SubAccount, entries []suppress.Entry) ([]store.Suppression, error)
	Remove(ctx context.Context, sub *directory.SubAccount, emails []string) ([]store.Suppression, error)
	List(ctx context.Context, f store.SuppressionFilter) ([]store.Suppression, error)
	Count(ctx context.Context, f store.SuppressionFilter) (int64, error)
	Sync(ctx context.Context, accountID, tpspID int32) ([]suppress.Result, error)
}

const (
	maxSuppressionDays = 61   // from and to are at most 60 days apart
	suppressionPage    = 20   // of a listing that does not say
	mostListed         = 1000 // of a listing
	mostSuppressions   = 1000 // addresses of one request
	syncSuppressionsIn = 10 * time.Minute
)

// suppressionOperations are the part of the table about suppressions.
func (s *server) suppressionOperations() []operation {
	const one, list = "/api/v1/subaccount/suppression", "/api/v1/account/suppression"
	return []operation{
		op(http.MethodGet, one, subAccountKey, "list suppressed addresses", s.forSubAccount(s.listSuppressions)).
			asks(suppressionParameters...).asks(pageParameters("address")...).answers(http.StatusOK, []suppressionAnswer{}),
		op(http.MethodPost, one, subAccountKey, "suppress addresses", s.forSubAccount(s.createSuppressions)).
			body(suppressionsRequest{}).answers(http.StatusOK, []suppressionAnswer{}),
		op(http.MethodDelete, one, subAccountKey, "reactivate addresses", s.forSubAccount(s.deleteSuppressions)).
			body(reactivationRequest{}).answers(http.StatusOK, []reactivatedAnswer{}),
		op(http.MethodGet, one+"/count", subAccountKey, "count suppressed addresses", s.forSubAccount(s.countSuppressions)).
			asks(exportParameters...).answers(http.StatusOK, countAnswer{}),
		op(http.MethodPost, one+"/bulk", subAccountKey, "suppress the addresses of a CSV file", s.forSubAccount(s.importSuppressions)).file("text/csv", formMedia).
			asks(importParameters...).answers(http.StatusOK, importAnswer{}),
		op(http.MethodPost, one+"/export", subAccountKey, "export suppressed addresses as CSV", s.forSubAccount(s.exportSuppressions)).reads().
			asks(exportParameters...).answers(http.StatusOK, nil).as("text/csv"),
		op(http.MethodPost, list+"/sync", accountKey, "bring suppressions and providers' lists in step now", s.forAccount(s.syncSuppressions)).
			body(tpspReference{}).answers(http.StatusOK, []suppressionsSyncedAnswer{}),
	}
}

// suppressionAnswer is SendPost's Suppression.
type suppressionAnswer struct {
	ID        int64  `json:"id"`
	Email     string `json:"email"`
	Reason    int    `json:"reason"`
	SMTPError string `json:"smtp_error"`
	Created   int64  `json:"created"`
}

func suppressionAnswers(list []store.Suppression) []suppressionAnswer {
	answers := make([]suppressionAnswer, len(list))
	for i, e := range list {
		answers[i] = suppressionAnswer{ID: e.ID, Email: e.Email, Reason: int(e.Reason), SMTPError: e.Detail, Created: nanos(e.Created)}
	}
	return answers
}

// suppressionFilter reads what a listing asks for.
func suppressionFilter(r *http.Request, sub *directory.SubAccount) (f store.SuppressionFilter, err error) {
	q := r.URL.Query()
	f.SubAccountID = sub.ID
	if f.From, f.To, err = days(q, maxSuppressionDays); err != nil {
		return f, err
	}
	f.To = f.To.AddDate(0, 0, 1)
	if f.Reason, err = suppressionReason(q); err != nil {
		return f, err
	}
	if f.Limit, err = wholeNumber(q, "limit", suppressionPage, 1, mostListed); err != nil {
		return f, err
	}
	p, err := listPage(q)
	if err != nil {
		return f, err
	}
	f.Offset, f.Search = p.offset, p.search
	return f, nil
}

// suppressionReason reads the reason that a query asks for, nil for any.
func suppressionReason(q url.Values) (*provider.Reason, error) {
	name := q.Get("type")
	if name == "" {
		return nil, nil
	}
	reason, known := provider.ReasonNamed(name)
	if !known {
		return nil, badParameter("type", "must be hardBounce, manual, spamComplaint or unsubscribe")
	}
	return &reason, nil
}

func (s *server) listSuppressions(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	f, err := suppressionFilter(r, sub)
	if err != nil {
		return err
	}
	list, err := s.Suppressions.List(r.Context(), f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, suppressionAnswers(list))
}

func (s *server) countSuppressions(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	f, err := suppressionSelection(r, sub)
	if err != nil {
		return err
	}
	n, err := s.Suppressions.Count(r.Context(), f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, countAnswer{int(n)})
}

// listedEmail is an entry of the lists of addresses in requests.
type listedEmail struct {
	Email string `json:"email"`
}

// parseEmails reads a list of addresses into canonical form, in lower case: suppressions do not tell cases apart.
func parseEmails(list []listedEmail, field string) ([]string, error) {
	emails := make([]string, len(list))
	for i := range list {
		email, err := mail.ParseEmail(list[i].Email)
		if err != nil {
			return nil, mail.Invalid("invalid_address", fmt.Sprintf("%s[%d].email", field, i), "%s", err)
		}
		emails[i] = strings.ToLower(email)
	}
	return emails, nil
}

// emptyList refuses a request that names nobody, as SendPost does.
func emptyList(message string) *problem {
	return &problem{status: http.StatusNotAcceptable, Code: "empty_list", Message: message}
}

func tooMany(n int) error {
	return mail.Invalid("too_many_addresses", "", "a request has at most %d addresses, this one has %d", mostSuppressions, n)
}

// suppressionsRequest names addresses to suppress, by reason.
type suppressionsRequest struct {
	HardBounce    []listedEmail `json:"hardBounce"`
	Manual        []listedEmail `json:"manual"`
	Unsubscribe   []listedEmail `json:"unsubscribe"`
	SpamComplaint []listedEmail `json:"spamComplaint"`
}

func (s *server) createSuppressions(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	var in suppressionsRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	var entries []suppress.Entry
	places := map[string]int{} // of the entries, by address
	for _, part := range []struct {
		reason provider.Reason
		list   []listedEmail
	}{{provider.HardBounce, in.HardBounce}, {provider.Manual, in.Manual}, {provider.Unsubscribed, in.Unsubscribe}, {provider.SpamComplaint, in.SpamComplaint}} {
		emails, err := parseEmails(part.list, part.reason.String())
		if err != nil {
			return err
		}
		for _, email := range emails {
			if at, twice := places[email]; twice { // the graver reason counts
				entries[at].Reason = max(entries[at].Reason, part.reason)
				continue
			}
			places[email] = len(entries)
			entries = append(entries, suppress.Entry{Email: email, Reason: part.reason})
		}
	}
	switch n := len(entries); {
	case n == 0:
		return emptyList("the lists hardBounce, manual, unsubscribe and spamComplaint are empty")
	case n > mostSuppressions:
		return tooMany(n)
	}
	list, err := s.Suppressions.Add(r.Context(), sub, entries)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, suppressionAnswers(list))
}

// reactivationRequest names addresses that get mail again.
type reactivationRequest struct {
	Suppressions []listedEmail `json:"suppressions"`
}

// reactivatedAnswer is SendPost's answer to it, the only entry of a list.
type reactivatedAnswer struct {
	ID      int64  `json:"id"` // of the first suppression that ended, 0 when none did
	Message string `json:"message"`
}

func (s *server) deleteSuppressions(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	var in reactivationRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	emails, err := parseEmails(in.Suppressions, "suppressions")
	if err != nil {
		return err
	}
	switch n := len(emails); {
	case n == 0:
		return emptyList("the list suppressions is empty")
	case n > mostSuppressions:
		return tooMany(n)
	}
	ended, err := s.Suppressions.Remove(r.Context(), sub, emails)
	if err != nil {
		return err
	}
	answer := reactivatedAnswer{Message: "Suppressions have been deleted successfully"}
	if len(ended) > 0 {
		answer.ID = ended[0].ID
	}
	return reply(w, http.StatusOK, []reactivatedAnswer{answer})
}

// suppressionsSyncedAnswer tells what came of bringing one TPSP's list in step.
type suppressionsSyncedAnswer struct {
	TPSPID      int32           `json:"tpspId"`
	Name        string          `json:"name"`
	Listed      int             `json:"listed"`      // entries of the provider's list
	Suppressed  int             `json:"suppressed"`  // suppressions that followed
	Reactivated int             `json:"reactivated"` // suppressions that ended
	Doubted     int             `json:"doubted"`     // entries that are gone, which is believed when they are so the next time
	Pushed      int             `json:"pushed"`      // changes of the provider's list
	Local       int             `json:"local"`       // addresses that are not put there because of other sub-accounts
	Refused     []refusedAnswer `json:"refused"`     // what the provider would not change, lately
	Error       string          `json:"error"`
}

type refusedAnswer struct {
	Email   string `json:"email"`
	Change  string `json:"change"` // suppress, reactivate
	Message string `json:"message"`
}

func (s *server) syncSuppressions(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in tpspReference
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	s.allowTime(w, r, syncSuppressionsIn+time.Minute)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), syncSuppressionsIn) // what was begun is worth to be finished
	defer cancel()
	results, err := s.Suppressions.Sync(ctx, a.ID, in.TPSPID)
	if err != nil {
		return err
	}
	answers := make([]suppressionsSyncedAnswer, len(results))
	for i, res := range results {
		answers[i] = suppressionsSyncedAnswer{TPSPID: res.TPSP.ID, Name: res.TPSP.Name, Listed: res.Read, Suppressed: res.Suppressed,
			Reactivated: res.Reactivated, Doubted: res.Doubted, Pushed: res.Pushed, Local: res.Local, Refused: []refusedAnswer{}}
		for _, p := range res.Refused {
			change := "suppress"
			if p.Release {
				change = "reactivate"
			}
			answers[i].Refused = append(answers[i].Refused, refusedAnswer{p.Email, change, p.Error})
		}
		if res.Err != nil {
			answers[i].Error = res.Err.Error()
		}
	}
	return reply(w, http.StatusOK, answers)
}

// parseSync reads how a TPSP's suppression list and ours are kept in step.
func parseSync(name string) (directory.SuppressionSync, error) {
	sync, known := directory.SuppressionSyncNamed(name)
	if !known {
		return 0, mail.Invalid("unknown_suppression_sync", "suppressionSync", "suppressionSync is %q, %q or %q", directory.SyncBoth,
			directory.SyncFromProvider, directory.SyncOff)
	}
	return sync, nil
}
