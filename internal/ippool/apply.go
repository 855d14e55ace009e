package ippool

import (
	"slices"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/ip"
	"postyard/internal/mail"
	"postyard/internal/route"
)

// apply lays changes over a pool and judges the result.
func (s *Service) apply(p *route.Pool, c *Changes) error {
	now := s.Directory.Current()
	if c.Name != nil {
		name, err := directory.ParseName(*c.Name)
		if err != nil {
			return err
		}
		if other := now.PoolNamed(p.AccountID, name); other != nil && other.ID != p.ID {
			return ErrNameTaken
		}
		p.Name = name
	}
	if err := applyNumbers(p, c); err != nil {
		return err
	}
	if err := applyMembers(now, p, c); err != nil {
		return err
	}
	if err := applyOthers(now, p, c); err != nil {
		return err
	}
	if (c.TPSPs != nil || c.IPs != nil) && len(p.Members) == 0 && p.Overflow == 0 && len(p.Targets) == 0 {
		return mail.Invalid("empty_ippool", "tpsps", "an IP pool needs a TPSP, an IP, or another pool that it leads to")
	}
	return applyStrategy(p, c)
}

func applyNumbers(p *route.Pool, c *Changes) error {
	if c.WarmupInterval != nil && (p.ID == 0 || *c.WarmupInterval != p.WarmupInterval) {
		if *c.WarmupInterval <= 0 || *c.WarmupInterval > MaxWarmupInterval {
			return mail.Invalid("invalid_warmup_interval", "warmupInterval", "warmupInterval is a number of hours from 1 to %d", MaxWarmupInterval)
		}
		p.WarmupInterval = *c.WarmupInterval
	}
	if c.Priority != nil {
		if *c.Priority < -MaxPriority || *c.Priority > MaxPriority {
			return mail.Invalid("invalid_priority", "priority", "priority is a whole number from %d to %d", -MaxPriority, MaxPriority)
		}
		p.Priority = *c.Priority
	}
	if c.TTL != nil {
		most := int(MaxTTL / time.Second)
		if *c.TTL < 0 || *c.TTL > most {
			return mail.Invalid("invalid_ttl", "ttl", "ttl is a number of seconds from %d to %d, or 0 for the server's own", MinTTL/time.Second, most)
		}
		p.TTL = time.Duration(*c.TTL) * time.Second
	}
	return nil
}

// applyMembers sets the TPSPs, then the IPs, each in the order given; those of the other kind stay as they were.
func applyMembers(now *directory.Snapshot, p *route.Pool, c *Changes) error {
	if c.IPs != nil {
		p.Members = slices.DeleteFunc(p.Members, func(e route.Egress) bool { return e < 0 })
		for _, given := range *c.IPs {
			e, err := findIP(now, p.AccountID, given)
			if err != nil {
				return err
			}
			if slices.Contains(p.Members, e) {
				return mail.Invalid("duplicate_ip", "ips", "the IP %s stands there twice", strings.TrimSpace(given))
			}
			p.Members = append(p.Members, e)
		}
		if c.TPSPs == nil && len(p.Members) > route.MaxMembers {
			return mail.Invalid("too_many_members", "ips", "an IP pool has at most %d TPSPs and IPs", route.MaxMembers)
		}
	}
	if c.TPSPs == nil {
		return nil
	}
	members := make([]route.Egress, 0, len(*c.TPSPs))
	for _, id := range *c.TPSPs {
		if now.TPSP(p.AccountID, id) == nil {
			return mail.Invalid("unknown_tpsp", "tpsps", "the account has no TPSP %d", id)
		}
		if slices.Contains(members, route.TPSP(id)) {
			return mail.Invalid("duplicate_tpsp", "tpsps", "TPSP %d stands there twice", id)
		}
		members = append(members, route.TPSP(id))
	}
	for _, e := range p.Members {
		if e < 0 {
			members = append(members, e)
		}
	}
	if len(members) > route.MaxMembers {
		return mail.Invalid("too_many_members", "tpsps", "an IP pool has at most %d TPSPs and IPs", route.MaxMembers)
	}
	p.Members = members
	return nil
}

// findIP finds one of the account's IPs by its address.
func findIP(now *directory.Snapshot, accountID int32, given string) (route.Egress, error) {
	const shown = 64
	address, err := ip.ParseAddress(given)
	if err != nil {
		return 0, mail.Invalid("invalid_ip", "ips", "%.*q: %s", shown, given, err)
	}
	for _, t := range now.IPs(accountID) {
		if t.Name == address {
			return t.Egress(), nil
		}
	}
	return 0, mail.Invalid("unknown_ip", "ips", "the account has no IP %q", address)
}

// applyOthers sets where the pool leads.
func applyOthers(now *directory.Snapshot, p *route.Pool, c *Changes) error {
	find := func(field, name string) (int32, error) {
		name = strings.TrimSpace(name)
		other := now.PoolNamed(p.AccountID, name)
		switch {
		case name == "":
			return 0, mail.Invalid("missing_ippool", field, "the name of an IP pool is needed")
		case name == p.Name || other != nil && other.ID == p.ID:
			return 0, mail.Invalid("circular_ippool", field, "the IP pool %q cannot lead to itself", name)
		case other == nil:
			return 0, mail.Invalid("unknown_ippool", field, "there is no IP pool named %q in this account", name)
		}
		return other.ID, nil
	}
	named := c.OverflowPool != nil && strings.TrimSpace(*c.OverflowPool) != ""
	switch {
	case c.Overflows != nil && *c.Overflows != 0 && *c.Overflows != 1:
		return mail.Invalid("unknown_overflow_strategy", "overflowStrategy", "overflowStrategy is 0 (none) or 1 (the pool that overflowPoolName names)")
	case c.Overflows != nil && *c.Overflows == 0:
		p.Overflow = 0
	case c.Overflows != nil && !named && (c.OverflowPool != nil || p.Overflow == 0):
		return mail.Invalid("missing_overflow_pool", "overflowPoolName", "overflowStrategy 1 needs the name of the pool to overflow into")
	case named:
		id, err := find("overflowPoolName", *c.OverflowPool)
		if err != nil {
			return err
		}
		p.Overflow = id
	case c.OverflowPool != nil: // its name was taken away
		p.Overflow = 0
	}
	if c.Targets != nil {
		if len(*c.Targets) > MaxTargets {
			return mail.Invalid("too_many_targets", "toAccountIPPools", "an IP pool has at most %d targets", MaxTargets)
		}
		p.Targets = nil
		for _, name := range *c.Targets {
			id, err := find("toAccountIPPools", name)
			if err != nil {
				return err
			}
			if slices.Contains(p.Targets, id) {
				return mail.Invalid("duplicate_target", "toAccountIPPools", "%q stands there twice", strings.TrimSpace(name))
			}
			p.Targets = append(p.Targets, id)
		}
	}
	return refuseCircle(now, p)
}

// refuseCircle refuses a pool from which a way leads back to it.
func refuseCircle(now *directory.Snapshot, p *route.Pool) error {
	if p.ID == 0 {
		return nil // nobody knows it yet
	}
	visited := map[int32]bool{}
	var way func(from *route.Pool) []string
	way = func(from *route.Pool) []string {
		for _, id := range slices.Concat([]int32{from.Overflow}, from.Targets) {
			if id == p.ID {
				return []string{p.Name}
			}
			next := now.Pool(p.AccountID, id)
			if next == nil || visited[id] {
				continue
			}
			visited[id] = true
			if rest := way(next); rest != nil {
				return append([]string{next.Name}, rest...)
			}
		}
		return nil
	}
	circle := func(field string, id int32) error {
		if next := now.Pool(p.AccountID, id); next != nil {
			if rest := way(next); rest != nil {
				return mail.Invalid("circular_ippool", field, "mail would go round: %s", quoted(append([]string{p.Name, next.Name}, rest...)))
			}
		}
		return nil
	}
	if err := circle("overflowPoolName", p.Overflow); err != nil {
		return err
	}
	for _, id := range p.Targets {
		if err := circle("toAccountIPPools", id); err != nil {
			return err
		}
	}
	return nil
}

// applyStrategy sets the strategy with its metadata. A pool that becomes round robin needs none, so that of its former strategy
// goes unless some is given.
func applyStrategy(p *route.Pool, c *Changes) error {
	strategy, metaData := p.Strategy, p.RoutingMetaData
	if c.Strategy != nil {
		strategy = route.Strategy(*c.Strategy)
		if strategy == route.RoundRobin && p.Strategy != route.RoundRobin && c.RoutingMetaData == nil {
			metaData = ""
		}
	}
	if c.RoutingMetaData != nil {
		metaData = *c.RoutingMetaData
	}
	changed := strategy != p.Strategy || metaData != p.RoutingMetaData || c.TPSPs != nil || c.IPs != nil
	if !changed {
		return nil
	}
	if bad := route.Check(strategy, metaData, p.Members); bad != nil {
		return bad
	}
	p.Strategy, p.RoutingMetaData = strategy, metaData
	return nil
}
