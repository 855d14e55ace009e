package template

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// index is what is mirrored, without the parts of the templates.
type index struct {
	revision int64
	synced   map[int32]time.Time
	all      []store.MirroredTemplate
	named    map[named][]*store.MirroredTemplate // those that messages may name, in the order of TPSPs
	layouts  map[layoutKey]*store.MirroredTemplate
}

// named is what messages name a template by.
type named struct {
	account int32
	alias   string // folded
}

type layoutKey struct {
	tpspID int32
	alias  string // folded
}

func fold(alias string) string { return strings.ToLower(alias) }

func newIndex(from store.TemplateIndex) *index {
	x := &index{revision: from.Revision, synced: map[int32]time.Time{}, all: from.Templates, named: map[named][]*store.MirroredTemplate{},
		layouts: map[layoutKey]*store.MirroredTemplate{}}
	for _, m := range from.Mirrors {
		x.synced[m.TPSPID] = m.SyncedAt
	}
	for i := range x.all {
		m := &x.all[i]
		if m.Layout {
			x.layouts[layoutKey{m.TPSPID, fold(m.Alias)}] = m
			continue
		}
		key := named{m.AccountID, fold(m.Alias)}
		x.named[key] = append(x.named[key], m)
	}
	return x
}

// refresh takes over what other nodes have read.
func (s *Service) refresh(ctx context.Context) error {
	revision, err := s.Store.TemplateRevision(ctx)
	if err != nil {
		return err
	}
	if revision == s.index.Load().revision {
		return nil
	}
	return s.reload(ctx)
}

// reload reads the index. What was saved before the call is in it.
func (s *Service) reload(ctx context.Context) error {
	s.load.Lock()
	defer s.load.Unlock()
	from, err := s.Store.TemplateIndex(ctx)
	if err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	s.index.Store(newIndex(from))
	return nil
}

// find returns the template of an alias that is preferred, of those whose TPSP may be used, nil when there is none.
func (x *index) find(accountID int32, alias string, prefer []int32, usable func(int32) bool) *store.MirroredTemplate {
	rank := func(m *store.MirroredTemplate) int {
		r := slices.Index(prefer, m.TPSPID)
		if r < 0 {
			r = len(prefer)
		}
		r *= 2 // between two of one server, the one that is written alike
		if m.Alias != alias {
			r++
		}
		if m.Fault != "" {
			r += 1 << 20
		}
		return r
	}
	var best *store.MirroredTemplate
	for _, m := range x.named[named{accountID, fold(alias)}] {
		if usable(m.TPSPID) && (best == nil || rank(m) < rank(best)) {
			best = m
		}
	}
	return best
}

// lacks tells whether a TPSP's server was read and has no such template.
func (x *index) lacks(t *directory.TPSP, alias string) bool {
	if _, read := x.synced[t.ID]; !read {
		return false
	}
	return !slices.ContainsFunc(x.named[named{t.AccountID, fold(alias)}], func(m *store.MirroredTemplate) bool { return m.TPSPID == t.ID })
}

// inUse tells whether a TPSP is.
func (s *Service) inUse(id int32) bool {
	t := s.Directory.Current().AnyTPSP(id)
	return t != nil && t.Deleted.IsZero()
}

// Usable returns an alias of an account's TPSPs in use that can be rendered for every egress, "" when there is none.
func (s *Service) Usable(accountID int32) string {
	x, now := s.index.Load(), s.Directory.Current()
	for i := range x.all {
		if m := &x.all[i]; m.AccountID == accountID && !m.Layout && m.Fault == "" && now.TPSP(accountID, m.TPSPID) != nil {
			return m.Alias
		}
	}
	return ""
}

// Listed is a mirrored template for people.
type Listed struct {
	store.MirroredTemplate // without its parts
	TPSP                   *directory.TPSP
	SyncedAt               time.Time
}

// List returns what is mirrored of an account's TPSPs in use, in the order of TPSPs and aliases.
func (s *Service) List(accountID int32) []Listed {
	x, now := s.index.Load(), s.Directory.Current()
	var list []Listed
	for i := range x.all {
		m := &x.all[i]
		if t := now.TPSP(accountID, m.TPSPID); t != nil {
			list = append(list, Listed{MirroredTemplate: *m, TPSP: t, SyncedAt: x.synced[m.TPSPID]})
		}
	}
	return list
}

// source returns the adapter of a TPSP when its templates can be read.
func (s *Service) source(t *directory.TPSP) provider.TemplateSource {
	source, _ := s.Providers[t.Type].(provider.TemplateSource)
	return source
}
