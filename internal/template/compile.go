package template

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"postyard/internal/mail"
	"postyard/internal/mustachio"
	"postyard/internal/provider"
	"postyard/internal/store"
)

var (
	placeholder = regexp.MustCompile(`\{\{\{\s*@content\s*\}\}\}`)
	unsubscribe = regexp.MustCompile(`\{\{\{?\s*pm:unsubscribe(?:_url)?\s*\}\}\}?`)
)

// parsed is a template with its layout around it, ready to be filled in. Parts that it does not have are nil.
type parsed struct{ subject, html, text *mustachio.Template }

// compile parses a template inside its layout, nil for none.
func compile(t, layout *provider.Template) (*parsed, error) {
	if t.Around != "" && layout == nil {
		return nil, fmt.Errorf("its layout %q is not there", t.Around)
	}
	if layout == nil {
		layout = &provider.Template{}
	}
	p := &parsed{}
	for _, part := range []struct {
		name, body, around string
		to                 **mustachio.Template
		options            []mustachio.Option
	}{
		{"subject", t.Subject, "", &p.subject, nil},
		{"HTML", t.HTML, layout.HTML, &p.html, []mustachio.Option{mustachio.EscapeHTML()}},
		{"text", t.Text, layout.Text, &p.text, nil},
	} {
		if part.body == "" {
			continue
		}
		source := part.body
		if around := placeholder.Split(part.around, 2); len(around) == 2 {
			source = around[0] + part.body + around[1]
		}
		if unsubscribe.MatchString(source) {
			return nil, errors.New("it has an unsubscribe placeholder, which only its own provider can fill in")
		}
		var err error
		if *part.to, err = mustachio.Parse(source, part.options...); err != nil {
			return nil, fmt.Errorf("its %s cannot be parsed: %w", part.name, err)
		}
	}
	if p.html == nil && p.text == nil {
		return nil, errors.New("it has no body")
	}
	return p, nil
}

// Rendered is a template that was filled in.
type Rendered struct{ Subject, HTML, Text string }

func (p *parsed) render(model map[string]any) (r Rendered, err error) {
	for _, part := range []struct {
		name string
		from *mustachio.Template
		to   *string
	}{{"subject", p.subject, &r.Subject}, {"HTML", p.html, &r.HTML}, {"text", p.text, &r.Text}} {
		if part.from == nil {
			continue
		}
		if *part.to, err = part.from.Render(model); err != nil {
			return Rendered{}, fmt.Errorf("its %s cannot be filled in: %w", part.name, err)
		}
	}
	// A model must not be able to write headers of its own.
	r.Subject = oneLine(r.Subject)
	if n := utf8.RuneCountInString(r.Subject); n > mail.MaxSubject {
		return Rendered{}, fmt.Errorf("its subject has %d characters; %d are allowed", n, mail.MaxSubject)
	}
	return r, nil
}

// mirror makes what is stored of the templates of a server, faults included.
func mirror(all []provider.Template) []store.MirroredTemplate {
	layouts := map[string]*provider.Template{}
	for i := range all {
		if all[i].Layout {
			layouts[fold(all[i].Alias)] = &all[i]
		}
	}
	out := make([]store.MirroredTemplate, 0, len(all))
	seen := map[string]bool{}
	for i := range all {
		t := &all[i]
		if seen[t.Alias] {
			continue // it moved while the list was read
		}
		seen[t.Alias] = true
		m := store.MirroredTemplate{Template: *t}
		if !t.Layout {
			if _, err := compile(t, layouts[fold(t.Around)]); err != nil {
				m.Fault = cut(err.Error())
			}
		}
		m.Hash = hash(&m)
		out = append(out, m)
	}
	return out
}

// cut limits foreign words.
func cut(text string) string {
	if len(text) <= provider.MaxText {
		return text
	}
	return strings.ToValidUTF8(text[:provider.MaxText], "")
}

func hash(m *store.MirroredTemplate) [32]byte {
	var all []byte
	kind := "template"
	if m.Layout {
		kind = "layout"
	}
	for _, field := range []string{kind, m.Alias, m.Name, m.Around, m.Subject, m.HTML, m.Text, m.Fault} {
		all = binary.AppendUvarint(all, uint64(len(field)))
		all = append(all, field...)
	}
	return sha256.Sum256(all)
}

// UnusableError says why a template cannot be rendered.
type UnusableError struct{ Alias, Why string }

// Error implements error.
func (e *UnusableError) Error() string {
	return fmt.Sprintf("the template %q cannot be used here: %s", e.Alias, e.Why)
}

// ErrUnknown means that no template of the name is known in the account.
var ErrUnknown = errors.New("no template of this name is known")

// Render fills in a template of the account, of a TPSP in use. prefer are TPSPs in the order in which their templates are preferred. The error is
// ErrUnknown, an *UnusableError, or wraps store.ErrUnavailable.
func (s *Service) Render(ctx context.Context, accountID int32, prefer []int32, alias string, model json.RawMessage) (Rendered, error) {
	m := s.index.Load().find(accountID, alias, prefer, s.inUse)
	if m == nil {
		return Rendered{}, ErrUnknown
	}
	return s.fill(ctx, m, alias, model)
}

// fill fills in a template that is named by an alias. Its errors are Render's.
func (s *Service) fill(ctx context.Context, m *store.MirroredTemplate, alias string, model json.RawMessage) (Rendered, error) {
	if m.Fault != "" {
		return Rendered{}, &UnusableError{alias, m.Fault}
	}
	p, err := s.parsed(ctx, m)
	if err != nil {
		return Rendered{}, err
	}
	values, err := mustachio.ParseModel(model)
	if err != nil {
		return Rendered{}, &UnusableError{alias, cut(err.Error())}
	}
	r, err := p.render(values)
	if err != nil {
		return Rendered{}, &UnusableError{alias, cut(err.Error())}
	}
	return r, nil
}

// parsed returns a template that is ready to be filled in, from the cache or the store.
func (s *Service) parsed(ctx context.Context, m *store.MirroredTemplate) (*parsed, error) {
	around := s.index.Load().layouts[layoutKey{m.TPSPID, fold(m.Around)}]
	key := versions{template: m.Hash}
	if m.Around != "" && around != nil {
		key.layout = around.Hash
	}
	if p := s.cache.get(key); p != nil {
		return p, nil
	}
	full, err := s.Store.Template(ctx, m.TPSPID, m.Alias)
	if err != nil {
		return nil, missed(m.Alias, err)
	}
	size := full.Bytes()
	var layout *provider.Template
	if m.Around != "" && around != nil {
		stored, err := s.Store.Template(ctx, m.TPSPID, around.Alias)
		if err != nil {
			return nil, missed(m.Alias, err)
		}
		layout = &stored.Template
		key.layout = stored.Hash
		size += stored.Bytes()
	}
	key.template = full.Hash
	p, err := compile(&full.Template, layout)
	if err != nil {
		return nil, &UnusableError{m.Alias, cut(err.Error())}
	}
	s.cache.put(key, p, size)
	return p, nil
}

// missed is why a template that the index has cannot be read.
func missed(alias string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return &UnusableError{alias, "it was just removed"}
	}
	return fmt.Errorf("read template: %w", err)
}

// cacheBytes is how many bytes of templates are kept parsed.
const cacheBytes = 64 << 20

// versions tell a parsed template from others: two TPSPs with equal templates share it.
type versions struct{ template, layout [32]byte }

// cache keeps the parsed templates that were used last.
type cache struct {
	limit int
	mu    sync.Mutex
	size  int
	order list.List // of *cached, the last used one in front
	byKey map[versions]*list.Element
}

type cached struct {
	key  versions
	p    *parsed
	size int
}

func (c *cache) get(key versions) *parsed {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return of(e).p
}

func (c *cache) put(key versions, p *parsed, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil {
		return
	}
	if c.byKey == nil {
		c.byKey = map[versions]*list.Element{}
	}
	c.byKey[key] = c.order.PushFront(&cached{key, p, size})
	c.size += size
	for c.size > c.limit && c.order.Len() > 1 {
		last := of(c.order.Remove(c.order.Back()))
		delete(c.byKey, last.key)
		c.size -= last.size
	}
}

// of is what an element of the order holds.
func of(held any) *cached {
	if e, ok := held.(*list.Element); ok {
		held = e.Value
	}
	entry, _ := held.(*cached)
	return entry
}
