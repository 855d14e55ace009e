package api

import (
	"net/http"
	"slices"

	"postyard/internal/directory"
	"postyard/internal/route"
)

// poolAnswer is SendPost's IPPool.
type poolAnswer struct {
	ID                         int32          `json:"id"`
	Name                       string         `json:"name"`
	Type                       int            `json:"type"` // 0 shared, 1 dedicated
	Created                    int64          `json:"created"`
	IPs                        []struct{}     `json:"ips"`
	ThirdPartySendingProviders []officialTPSP `json:"thirdPartySendingProviders"`
	ToAccountIPPools           []poolAnswer   `json:"toAccountIPPools"`
	RoutingStrategy            int            `json:"routingStrategy"`
	RoutingMetaData            string         `json:"routingMetaData"` // CL-11: JSON inside a string
	AutoWarmupEnabled          bool           `json:"autoWarmupEnabled"`
	InfraMonitor               bool           `json:"infraMonitor"`
	IPDomainWarmupStatus       *string        `json:"ipDomainWarmupStatus"`
	ShouldOverflow             bool           `json:"shouldOverflow"`
	OverflowPoolName           string         `json:"overflowPoolName"`
	WarmupInterval             int            `json:"warmupInterval"` // hours
}

func (s *server) poolAnswer(now *directory.Snapshot, p *route.Pool) (poolAnswer, error) {
	answer := poolAnswer{
		ID: p.ID, Name: p.Name, Created: nanos(p.Created), RoutingStrategy: int(p.Strategy), RoutingMetaData: p.RoutingMetaData,
		WarmupInterval: p.WarmupInterval,
		IPs:            []struct{}{}, ThirdPartySendingProviders: []officialTPSP{}, ToAccountIPPools: []poolAnswer{},
	}
	for _, e := range p.Members {
		t := now.TPSP(p.AccountID, e.TPSPID())
		if t == nil {
			continue
		}
		official, err := s.officialTPSP(t)
		if err != nil {
			return poolAnswer{}, err
		}
		answer.ThirdPartySendingProviders = append(answer.ThirdPartySendingProviders, official)
	}
	return answer, nil
}

func (s *server) listPools(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	now := s.Directory.Current()
	list := cut(slices.DeleteFunc(now.Pools(a.ID), func(pool *route.Pool) bool { return !contains(pool.Name, p.search) }), p)
	answers := make([]poolAnswer, len(list))
	for i, pool := range list {
		if answers[i], err = s.poolAnswer(now, pool); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) getPool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	now := s.Directory.Current()
	pool := now.Pool(a.ID, id)
	if pool == nil {
		return notFound("the account has no such IP pool")
	}
	answer, err := s.poolAnswer(now, pool)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}
