package postmark

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"postyard/internal/provider"
	"postyard/internal/provider/httpcall"
)

const (
	templatePage  = 100
	maxAlias      = 200      // bytes of an alias; a longer one is none
	maxTemplate   = 12 << 20 // bytes of an answer with one template: two bodies of 5 MB
	templateTries = 4        // of one question, when Postmark has no time for it
	typeLayout    = "Layout"
)

var _ provider.TemplateSource = (*Adapter)(nil)

// listedTemplate is an entry of Postmark's list of templates, which has no bodies.
type listedTemplate struct {
	TemplateID     int64 `json:"TemplateId"`
	Active         bool
	Name           string
	Alias          *string
	TemplateType   string
	LayoutTemplate *string
}

// Templates implements provider.TemplateSource. Templates without an alias, or with one that is none, are left
// out: nobody can name them.
func (a *Adapter) Templates(ctx context.Context, conn provider.Connection) ([]provider.Template, error) {
	if isTrial(conn) {
		return nil, nil // it has none
	}
	listed, err := a.listTemplates(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	var list []provider.Template
	size := 0
	for _, entry := range listed {
		if alias := orNone(entry.Alias); !entry.Active || alias == "" || alias != provider.Clean(alias, maxAlias) {
			continue
		}
		t, err := a.template(ctx, conn, entry)
		if r, refused := errors.AsType[*refusal](err); refused && r.code == codeNoSuchTemplate {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("read template %q: %w", *entry.Alias, err)
		}
		if size += t.Bytes(); size > provider.MaxTemplateBytes {
			return nil, fmt.Errorf("the templates of this server have more than %d MB together, which are not mirrored", provider.MaxTemplateBytes>>20)
		}
		list = append(list, t)
	}
	return list, nil
}

func (a *Adapter) listTemplates(ctx context.Context, conn provider.Connection) ([]listedTemplate, error) {
	const path = "/templates"
	var all []listedTemplate
	for seen := map[int64]bool{}; ; {
		var answer struct{ Templates *[]listedTemplate }
		query := url.Values{"Count": {strconv.Itoa(templatePage)}, "Offset": {strconv.Itoa(len(all))}, "TemplateType": {"All"}}
		if err := a.insist(ctx, conn, call{method: http.MethodGet, path: path, query: query}, &answer); err != nil {
			return nil, err
		}
		if answer.Templates == nil {
			return nil, unreadable(path)
		}
		fresh := 0
		for _, t := range *answer.Templates { // one may move to the next page while they are read
			if !seen[t.TemplateID] {
				seen[t.TemplateID] = true
				all = append(all, t)
				fresh++
			}
		}
		if len(all) > provider.MaxTemplates {
			return nil, fmt.Errorf("this server has more than %d templates, which are not mirrored", provider.MaxTemplates)
		}
		if fresh == 0 || len(*answer.Templates) < templatePage {
			return all, nil
		}
	}
}

// template reads one template, by its id: an alias may be a word that means something else in a path.
func (a *Adapter) template(ctx context.Context, conn provider.Connection, entry listedTemplate) (provider.Template, error) {
	path := "/templates/" + strconv.FormatInt(entry.TemplateID, 10)
	var answer struct {
		TemplateID                     int64 `json:"TemplateId"`
		Name, Subject, Alias, TextBody *string
		HTMLBody                       *string `json:"HtmlBody"`
		TemplateType                   string
		LayoutTemplate                 *string
	}
	if err := a.insist(ctx, conn, call{method: http.MethodGet, path: path, limit: maxTemplate}, &answer); err != nil {
		return provider.Template{}, err
	}
	if answer.TemplateID != entry.TemplateID || orNone(answer.Alias) != *entry.Alias {
		return provider.Template{}, unreadable(path)
	}
	return provider.Template{Alias: *entry.Alias, Name: provider.Clean(orNone(answer.Name), maxField), Layout: answer.TemplateType == typeLayout,
		Around: provider.Clean(orNone(answer.LayoutTemplate), maxAlias), Subject: orNone(answer.Subject), HTML: orNone(answer.HTMLBody),
		Text: orNone(answer.TextBody)}, nil
}

func orNone(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// insist asks again when Postmark cannot be reached or has no time, a few times.
func (a *Adapter) insist(ctx context.Context, conn provider.Connection, c call, into any) error {
	for try := 1; ; try++ {
		err := a.ask(ctx, conn, c, into)
		if err == nil || try == templateTries || ctx.Err() != nil || !passes(err) {
			return err
		}
		if a.pause(ctx, try) != nil {
			return err
		}
	}
}

// passes tells whether an error may be gone when the same is asked again.
func passes(err error) bool {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status == http.StatusTooManyRequests || r.status >= 500
	}
	failure, ok := errors.AsType[*httpcall.Failure](err)
	return ok && !errors.Is(failure.Cause, httpcall.ErrAnswerTooLong)
}
