package api

import (
	"net/http"

	"postyard/internal/directory"
	"postyard/internal/route"
	"postyard/internal/store"
)

// ipRow is SendPost's AIPStat.
type ipRow struct {
	IPID     int64  `json:"ipid"`
	PublicIP string `json:"publicIP"`
	rowCounters
}

// byIP breaks down what left through IPs, as byTPSP does the rest.
var byIP = breakdown{name: "ip", words: "IP", by: store.ByEgress, keeps: func(e int64) bool { return e < 0 },
	shape: func(r *statRow) any { return ipRow{r.id, r.name, r.row()} }}

// ipStatOperations are the statistics of and by IPs.
func (s *server) ipStatOperations(v1 string) []operation {
	account, sub, ips := v1+"/account/stat", v1+"/account/subaccount/stat/{id}", v1+"/account/ip/stat/{id}"
	list := []operation{
		op(http.MethodGet, account+"/aggregate/ip", accountKey, "statistics by IP", s.stat(ofAccount, maxAggregate, s.replyRows(byIP))).
			asks(statParameters...).asks(rowParameters...).answers(http.StatusOK, byIP.list()),
		op(http.MethodGet, account+"/aggregate/ip/count", accountKey, "count the rows of that", s.stat(ofAccount, maxAggregate, s.replyCount(byIP))).
			asks(statParameters...).asks(rowParameters...).answers(http.StatusOK, countAnswer{}),
		op(http.MethodGet, sub+"/aggregate/ip", accountKey, "statistics of a sub-account by IP", s.stat(s.ofSubAccount, maxAggregate, s.replyRows(byIP))).
			asks(subStatParameters...).asks(rowParameters...).answers(http.StatusOK, byIP.list()),
		op(http.MethodGet, ips, accountKey, "daily statistics of an IP", s.stat(s.ofIP, maxDaily, s.replyDaily)).
			asks(statParameters...).answers(http.StatusOK, []dailyStat{}),
		op(http.MethodGet, ips+"/aggregate", accountKey, "statistics of an IP", s.stat(s.ofIP, maxAggregate, s.replyAggregate)).
			asks(statParameters...).answers(http.StatusOK, statCounters{}),
	}
	for _, b := range []breakdown{byProvider, bySubAccount, byGroup, byDomain, byReason} {
		list = append(list, op(http.MethodGet, ips+"/aggregate/"+b.name, accountKey, "statistics of an IP by "+b.words,
			s.stat(s.ofIP, maxAggregate, s.replyRows(b))).asks(statParameters...).asks(rowParameters...).answers(http.StatusOK, b.list()))
	}
	return list
}

// ofIP is an IP by its id. One that was given back keeps its statistics.
func (s *server) ofIP(r *http.Request, a *directory.Account) (f store.StatFilter, err error) {
	f.AccountID = a.ID
	id, err := pathID(r)
	if err != nil {
		return f, err
	}
	t := s.Directory.Current().Egress(route.IP(id))
	if t == nil || t.AccountID != a.ID {
		return f, notFound("the account has no such IP, and had none")
	}
	f.Egress = t.Egress()
	return f, nil
}
