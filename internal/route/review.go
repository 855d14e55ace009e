package route

import (
	"maps"
	"slices"
)

// Review is what a pool's strategy leaves open.
type Review struct {
	Unreadable   bool     // the metadata cannot be read; all members share the mail
	Gone         []Egress // named, and no member any more
	Unused       []Egress // members that no key names
	FallbackOnly []Egress // members that no volume names, and that are as with volume 0; a 0 that somebody wrote is meant
	Alone        []string // keys that name one egress
	NoOthers     bool     // there are keys, and mail that none of them is for is shared by all members
}

// Look reviews a pool's strategy.
func Look(p *Pool) (r Review) {
	meta, bad := parse(p.Strategy, p.RoutingMetaData)
	if bad != nil {
		return Review{Unreadable: true}
	}
	t := Compile(p)
	note := func(e Egress) {
		if !slices.Contains(p.Members, e) && !slices.Contains(r.Gone, e) {
			r.Gone = append(r.Gone, e)
		}
	}
	for _, v := range meta.volumes {
		note(v.egress)
	}
	for _, l := range meta.lists {
		for _, e := range l.egresses {
			note(e)
		}
	}
	if p.Strategy == Volume && t.all.weighted() != 0 {
		for i, e := range t.all.egresses {
			named := func(v volume) bool { return v.egress == e }
			if t.all.weights[i] == 0 && !slices.ContainsFunc(meta.volumes, named) {
				r.FallbackOnly = append(r.FallbackOnly, e)
			}
		}
	}
	if p.Strategy != MailboxProvider && p.Strategy != SendingDomain {
		return r
	}
	r.NoOthers = t.keys[Others] == nil
	used := map[Egress]bool{}
	for _, key := range slices.Sorted(maps.Keys(t.keys)) {
		for _, e := range t.keys[key].egresses {
			used[e] = true
		}
		if len(t.keys[key].egresses) == 1 {
			r.Alone = append(r.Alone, key)
		}
	}
	for _, e := range t.member {
		if !used[e] && !r.NoOthers {
			r.Unused = append(r.Unused, e)
		}
	}
	return r
}

// Keys returns the keys of a pool's routing metadata, in their order; there are none with strategies that have no keys.
func Keys(p *Pool) (keys []string) {
	meta, bad := parse(p.Strategy, p.RoutingMetaData)
	if bad != nil {
		return nil
	}
	for _, list := range meta.lists {
		keys = append(keys, list.key)
	}
	return keys
}
