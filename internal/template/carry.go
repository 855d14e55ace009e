package template

import (
	"context"
	"errors"
	"strings"
	"time"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
)

// way is how a content leaves through an egress.
type way uint8

const (
	asItIs    way = iota // no template is named, or the provider has it
	rendered             // by us, from the mirror
	body                 // the request's own: no template of that name is known
	uncarried            // there is neither
)

// way decides how a content leaves through an egress (design: a provider that holds the template uses it; the others use the
// mirrored one; the body is used only where no template of that name is known).
func (s *Service) way(x *index, t *directory.TPSP, capable provider.Capabilities, c *mail.Content, known bool) way {
	there := capable.Templates && (!t.AllowRaw || !x.lacks(t, c.Template)) // or is to be tried: nothing else may be sent there
	switch {
	case c.Template == "" || there:
		return asItIs
	case known:
		return rendered
	case c.HasBody():
		return body
	case capable.Templates:
		return asItIs // it may have the template since it was asked
	default:
		return uncarried
	}
}

// Carried returns a content as an egress would be handed it, so that its adapter can say whether it carries it: what would be
// rendered stands for itself. A template that is not known is asked for, in the background.
func (s *Service) Carried(t *directory.TPSP, capable provider.Capabilities, c *mail.Content) (*mail.Content, *mail.FieldError) {
	if c.Template == "" {
		return c, nil
	}
	x := s.index.Load()
	if x.lacks(t, c.Template) || !capable.Templates && len(x.named[named{t.AccountID, fold(c.Template)}]) == 0 {
		s.want(t.AccountID, c.Template)
	}
	found := s.mirrored(x, t.AccountID, c, nil, s.Now())
	switch s.way(x, t, capable, c, found != nil) {
	case rendered:
		if found.Fault != "" {
			return nil, mail.Invalid("unusable_tpsp_template", "tpspTemplate", "the template %q cannot be rendered for other providers: %s",
				c.Template, found.Fault)
		}
		return filled(c, Rendered{Subject: c.Template, HTML: c.Template, Text: c.Template}), nil
	case body:
		return bare(c), nil
	case uncarried:
		return nil, mail.Invalid("unknown_tpsp_template", "tpspTemplate", "no template %q is known of any provider of the account, and the request has "+
			"no body", c.Template)
	default:
		return c, nil
	}
}

// Outgoing returns the content with which a message leaves through an egress: a mirrored template or the request's own bodies, filled in. Or the outcome when it cannot: no call was made
// for it then.
func (s *Service) Outgoing(ctx context.Context, t *directory.TPSP, capable provider.Capabilities, j *store.Job) (*mail.Content, *provider.Outcome) {
	c := j.Content
	if c.Template == "" {
		return s.personal(c, j)
	}
	x := s.index.Load()
	prefer := make([]int32, len(j.Plan.Egresses))
	for i, e := range j.Plan.Egresses {
		prefer[i] = e.TPSPID()
	}
	found := s.mirrored(x, j.AccountID, c, prefer, j.SubmittedAt)
	switch s.way(x, t, capable, c, found != nil) {
	case rendered:
		return s.render(ctx, found, j)
	case body:
		return s.personal(bare(c), j)
	case uncarried:
		return nil, refused("no template " + quoted(c.Template) + " is known, and the message has no body")
	default:
		return c, nil
	}
}

// personal returns the request's own content as the recipient gets it, or the outcome when it cannot be filled in.
func (s *Service) personal(c *mail.Content, j *store.Job) (*mail.Content, *provider.Outcome) {
	out, err := s.press.fill(c, j.Recipient.CustomFields, func() string {
		if s.Unsubscribe == nil {
			return ""
		}
		return s.Unsubscribe(j, j.Egress)
	})
	if err != nil {
		return nil, refused(err.Error())
	}
	return out, nil
}

// Check says what is wrong with the tags of a content that is to be accepted, or nil.
func (s *Service) Check(c *mail.Content) *mail.FieldError { return s.press.check(c) }

// mirrored returns the template of a content that was accepted at a moment, nil when none is known. That of a provider which was
// deleted since is better than nothing: it is used where the content has no body of its own.
func (s *Service) mirrored(x *index, accountID int32, c *mail.Content, prefer []int32, accepted time.Time) *store.MirroredTemplate {
	m := x.find(accountID, c.Template, prefer, s.inUse)
	if m == nil && !c.HasBody() {
		now := s.Directory.Current()
		m = x.find(accountID, c.Template, prefer, func(id int32) bool {
			t := now.AnyTPSP(id)
			return t != nil && t.Deleted.After(accepted)
		})
	}
	return m
}

// storeRetry is how long a message waits after its template could not be read.
const storeRetry = time.Second

func (s *Service) render(ctx context.Context, m *store.MirroredTemplate, j *store.Job) (*mail.Content, *provider.Outcome) {
	model, err := mail.MergeFields(j.Content.CustomFields, j.Recipient.CustomFields)
	if err != nil {
		return nil, refused(err.Error())
	}
	r, err := s.fill(ctx, m, j.Content.Template, model)
	switch {
	case err == nil:
		return filled(j.Content, r), nil
	case errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil:
		return nil, &provider.Outcome{Class: provider.Transient, Unsent: true, RetryAfter: storeRetry, Text: cut(err.Error())}
	default:
		return nil, refused(err.Error())
	}
}

// refused is the outcome of a message that cannot be rendered here: one whose egress has the template may carry it.
func refused(why string) *provider.Outcome {
	return &provider.Outcome{Class: provider.Rejected, Elsewhere: true, Unsent: true, Text: cut(why)}
}

func quoted(alias string) string { return `"` + strings.ToValidUTF8(alias, "\uFFFD") + `"` }

// filled is a content with what a template gave instead of the template. The template's subject counts, as at the provider
// (PM-23).
func filled(c *mail.Content, r Rendered) *mail.Content {
	out := *c
	out.Template, out.AMP, out.PreText = "", "", ""
	out.Subject, out.HTML, out.Text = r.Subject, r.HTML, r.Text
	return &out
}

// bare is a content without its template.
func bare(c *mail.Content) *mail.Content {
	out := *c
	out.Template = ""
	return &out
}

// Missing notes that a provider says that it does not have a template: the mirror may be behind.
func (s *Service) Missing(t *directory.TPSP, alias string) { s.want(t.AccountID, alias) }

// want has the templates of an account's TPSPs read soon, for an alias that was not asked for in the last Gap.
func (s *Service) want(accountID int32, alias string) {
	key, now := fold(alias), s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.asked[accountID]
	if last, ok := known[key]; ok && now.Before(last.Add(s.Gap)) || len(known) >= maxAsked {
		return
	}
	if known == nil {
		known = map[string]time.Time{}
		s.asked[accountID] = known
	}
	known[key] = now
	for _, t := range s.Directory.Current().TPSPs(accountID) {
		if s.source(t) != nil {
			state := s.states[t.ID]
			state.wanted = true
			s.states[t.ID] = state
		}
	}
	s.keeper.Hint()
}
