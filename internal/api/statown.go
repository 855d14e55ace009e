package api

import (
	"net/http"
	"time"

	"postyard/internal/directory"
	"postyard/internal/event"
	"postyard/internal/store"
)

// ownStatOperations are statistics with a sub-account's key, as older integrations ask for them, and what the account used.
func (s *server) ownStatOperations(v1 string) []operation {
	own, domain, ip := v1+"/subaccount/stat", v1+"/account/domain/stat/{id}/aggregate", v1+"/account/ip/stat/{id}/aggregate"
	of := []parameter{
		{Name: "from", Kind: "date", Required: true, Summary: "the first day, YYYY-MM-DD in UTC"},
		{Name: "to", Kind: "date", Required: true, Summary: "the last day, YYYY-MM-DD in UTC"},
		{Name: "provider", Kind: "string", Summary: "only mail to this mailbox provider, such as gmail"},
		{Name: "type", Kind: "string", Summary: "only events of these types: ids, in a comma list"},
		{Name: "tpspId", Kind: "integer", Summary: "only mail through this provider"},
		{Name: "ipId", Kind: "integer", Summary: "only mail through this IP"},
	}
	group := parameter{Name: "group", Kind: "string", Required: true, Summary: "the group, as requests name it"}
	rows := append(pageParameters("name"),
		parameter{Name: "sortBy", Kind: "string", Summary: "name, or the counter by which the rows are sorted"},
		parameter{Name: "sortOrder", Kind: "string", Summary: "asc or desc"})
	return []operation{
		op(http.MethodGet, own+"/group", subAccountKey, "statistics of a group", s.ownStat(maxAggregate, s.replyGroup)).
			asks(of...).asks(group).answers(http.StatusOK, statCounters{}),
		op(http.MethodGet, own+"/aggregate/group", subAccountKey, "statistics of a group", s.ownStat(maxAggregate, s.replyGroup)).
			asks(of...).asks(group).answers(http.StatusOK, statCounters{}),
		op(http.MethodGet, own+"/aggregate/groups", subAccountKey, "statistics by group", s.ownStat(maxAggregate, s.replyRows(byGroup))).
			asks(of...).asks(rows...).answers(http.StatusOK, []groupRow{}),
		op(http.MethodGet, own+"/aggregate/providers", subAccountKey, "statistics by mailbox provider", s.ownStat(maxAggregate, s.replyRows(byProvider))).
			asks(of...).asks(rows...).answers(http.StatusOK, []providerRow{}),
		op(http.MethodGet, own+"/aggregate/ips", subAccountKey, "statistics by IP", s.ownStat(maxAggregate, s.replyRows(byIP))).
			asks(of...).asks(rows...).answers(http.StatusOK, []ipRow{}),
		op(http.MethodGet, domain+"/providers", accountKey, "statistics of a whitelisted domain by mailbox provider", s.stat(s.ofDomain, maxAggregate, s.replyRows(byProvider))).
			asks(of...).asks(rows...).answers(http.StatusOK, []providerRow{}),
		op(http.MethodGet, domain+"/subaccounts", accountKey, "statistics of a whitelisted domain by sub-account", s.stat(s.ofDomain, maxAggregate, s.replyRows(bySubAccount))).
			asks(of...).asks(rows...).answers(http.StatusOK, []subAccountRow{}),
		op(http.MethodGet, ip+"/providers", accountKey, "statistics of an IP by mailbox provider", s.stat(s.ofIP, maxAggregate, s.replyRows(byProvider))).
			asks(of...).asks(rows...).answers(http.StatusOK, []providerRow{}),
		op(http.MethodGet, ip+"/subaccounts", accountKey, "statistics of an IP by sub-account", s.stat(s.ofIP, maxAggregate, s.replyRows(bySubAccount))).
			asks(of...).asks(rows...).answers(http.StatusOK, []subAccountRow{}),
		op(http.MethodGet, v1+"/account/stat/cycleusage", accountKey, "count what the account sent this month", s.forAccount(s.cycleUsage)).
			answers(http.StatusOK, cycleAnswer{}),
	}
}

// replyGroup answers with the statistics of the group that the query names.
func (s *server) replyGroup(w http.ResponseWriter, r *http.Request, f store.StatFilter) error {
	f.Dimension, f.Value = store.DimensionGroup, r.URL.Query().Get("group")
	if f.Value == "" {
		return badParameter("group", "is required")
	}
	return s.replyAggregate(w, r, f)
}

// cycleAnswer is what an account used since its cycle began: a month in UTC.
type cycleAnswer struct {
	From      string `json:"from"` // YYYY-MM-DD
	To        string `json:"to"`   // today
	Processed int64  `json:"processed"`
}

func (s *server) cycleUsage(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	now := s.Now().UTC()
	f := store.StatFilter{AccountID: a.ID, From: now.AddDate(0, 0, 1-now.Day()), To: now, Types: typesOf(event.Processed)}
	of, err := s.total(r, f)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, cycleAnswer{From: f.From.Format(time.DateOnly), To: now.Format(time.DateOnly), Processed: of.Processed})
}
