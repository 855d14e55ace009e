package api

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"postyard/internal/directory"
	"postyard/internal/ippool"
	"postyard/internal/mail"
	"postyard/internal/route"
)

// poolAnswer is SendPost's IPPool.
type poolAnswer struct {
	ID                         int32          `json:"id"`
	Name                       string         `json:"name"`
	Type                       int            `json:"type"` // 0 shared, 1 dedicated
	Created                    int64          `json:"created"`
	IPs                        []ipAnswer     `json:"ips"`
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

// poolAnswer shows a pool with its targets, and those without theirs.
func (s *server) poolAnswer(now *directory.Snapshot, p *route.Pool) (poolAnswer, error) {
	answer, err := s.onePoolAnswer(now, p)
	if err != nil {
		return poolAnswer{}, err
	}
	for _, id := range p.Targets {
		target := now.Pool(p.AccountID, id)
		if target == nil {
			continue
		}
		official, err := s.onePoolAnswer(now, target)
		if err != nil {
			return poolAnswer{}, err
		}
		answer.ToAccountIPPools = append(answer.ToAccountIPPools, official)
	}
	return answer, nil
}

func (s *server) onePoolAnswer(now *directory.Snapshot, p *route.Pool) (poolAnswer, error) {
	answer := poolAnswer{
		ID: p.ID, Name: p.Name, Created: nanos(p.Created), RoutingStrategy: int(p.Strategy), RoutingMetaData: p.RoutingMetaData,
		WarmupInterval: p.WarmupInterval,
		IPs:            []ipAnswer{}, ThirdPartySendingProviders: []officialTPSP{}, ToAccountIPPools: []poolAnswer{},
	}
	if over := now.Pool(p.AccountID, p.Overflow); over != nil {
		answer.ShouldOverflow, answer.OverflowPoolName = true, over.Name
	}
	for _, e := range p.Members {
		t := now.Uses(p.AccountID, e)
		if t == nil {
			continue
		}
		if t.IsIP() {
			shown, err := s.ipAnswer(t)
			if err != nil {
				return poolAnswer{}, err
			}
			answer.IPs = append(answer.IPs, shown)
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
	return s.replyPools(w, r, a, func(*route.Pool) bool { return true })
}

// replyPools lists those pools that are wanted.
func (s *server) replyPools(w http.ResponseWriter, r *http.Request, a *directory.Account, wanted func(*route.Pool) bool) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	now := s.Directory.Current()
	list := cut(slices.DeleteFunc(now.Pools(a.ID), func(pool *route.Pool) bool { return !wanted(pool) || !contains(pool.Name, p.search) }), p)
	answers := make([]poolAnswer, len(list))
	for i, pool := range list {
		if answers[i], err = s.poolAnswer(now, pool); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, answers)
}

func (s *server) getPool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	pool, err := s.findPool(r, a)
	return s.replyPool(w, pool, err)
}

// findPool finds the pool that the path names.
func (s *server) findPool(r *http.Request, a *directory.Account) (*route.Pool, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return s.Pools.Pool(a.ID, id)
}

// replyPool answers with a pool, unless there was an error.
func (s *server) replyPool(w http.ResponseWriter, pool *route.Pool, err error) error {
	if err != nil {
		return err
	}
	answer, err := s.poolAnswer(s.Directory.Current(), pool)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// poolRequest is the body that creates or changes a pool. What is absent stays as it is.
type poolRequest struct {
	Name            *string        `json:"name"`
	IPs             *[]ipReference `json:"ips"`
	TPSPs           *[]int32       `json:"tpsps"`
	Strategy        *int           `json:"routingStrategy"`
	RoutingMetaData *string        `json:"routingMetaData"`
	OverflowPool    bool           `json:"overflowPool"` // that others overflow into this pool: they say so themselves
	WarmupInterval  *int           `json:"warmupInterval"`
	Overflows       *int           `json:"overflowStrategy"`
	OverflowName    *string        `json:"overflowPoolName"`
	Targets         *[]string      `json:"toAccountIPPools"`
	Priority        *int           `json:"priority"`
	TTL             *int           `json:"ttl"` // seconds
}

// ipReference is SendPost's EIP.
type ipReference struct {
	PublicIP string `json:"publicIP"`
}

func (p *poolRequest) changes() ippool.Changes {
	c := ippool.Changes{Name: p.Name, TPSPs: p.TPSPs, Strategy: p.Strategy, RoutingMetaData: p.RoutingMetaData, WarmupInterval: p.WarmupInterval,
		Overflows: p.Overflows, OverflowPool: p.OverflowName, Targets: p.Targets, Priority: p.Priority, TTL: p.TTL}
	if p.IPs != nil {
		list := make([]string, len(*p.IPs))
		for i, ip := range *p.IPs {
			list[i] = ip.PublicIP
		}
		c.IPs = &list
	}
	return c
}

func (s *server) createPool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in poolRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	pool, err := s.Pools.Create(r.Context(), a.ID, in.changes())
	return s.replyPool(w, pool, err)
}

func (s *server) updatePool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	pool, err := s.findPool(r, a)
	if err != nil {
		return err // before the body is judged
	}
	var in poolRequest
	if err := decodeBody(w, r, &in); err != nil {
		return badData(err)
	}
	pool, err = s.Pools.Update(r.Context(), a.ID, pool.ID, in.changes())
	return s.replyPool(w, pool, badData(err))
}

// badData makes 400 of what breaks a rule: SendPost has it so for the change of a pool, and 422 everywhere else.
func badData(err error) error {
	if e, ok := errors.AsType[*mail.FieldError](err); ok {
		return &problem{status: http.StatusBadRequest, Code: e.Code, Message: e.Message, Field: e.Field}
	}
	return err
}

func (s *server) deletePool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	id, force, err := deletion(r)
	if err != nil {
		return err
	}
	pool, err := s.Pools.Delete(r.Context(), a.ID, id, force)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, deletedAnswer{ID: id, Message: "IPPool (" + pool.Name + ") has been deleted successfully"})
}

// poolSettings is what a pool has that SendPost's has not.
type poolSettings struct {
	Priority   int   `json:"priority"`
	Paused     bool  `json:"paused"`
	TTLSeconds int64 `json:"ttlSeconds"` // 0: the server's own
}

func replySettings(w http.ResponseWriter, pool *route.Pool, err error) error {
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, poolSettings{Priority: pool.Priority, Paused: pool.Paused, TTLSeconds: int64(pool.TTL / time.Second)})
}

func (s *server) getPoolSettings(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	pool, err := s.findPool(r, a)
	return replySettings(w, pool, err)
}

func (s *server) pausePool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return s.setPaused(w, r, a, true)
}

func (s *server) resumePool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	return s.setPaused(w, r, a, false)
}

func (s *server) setPaused(w http.ResponseWriter, r *http.Request, a *directory.Account, paused bool) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	pool, err := s.Pools.Pause(r.Context(), a.ID, id, paused)
	return replySettings(w, pool, err)
}
