package api

import (
	"context"
	"net/http"
	"time"

	"postyard/internal/directory"
	"postyard/internal/template"
)

// Templates mirrors providers' templates; *template.Service does.
type Templates interface {
	Sync(ctx context.Context, accountID, tpspID int32) ([]template.Result, error)
	List(accountID int32) []template.Listed
	StoredTemplates
}

// syncTemplatesFor is how long one request may take; it can be made again.
const syncTemplatesFor = 15 * time.Minute

// tpspReference names one TPSP of the account.
type tpspReference struct {
	TPSPID int32 `json:"tpspId"` // 0: all of the account
}

// templateAnswer is a mirrored template.
type templateAnswer struct {
	TPSPID    int32  `json:"tpspId"`
	TPSPName  string `json:"tpspName"`
	Alias     string `json:"alias"`
	Name      string `json:"name"`
	Type      string `json:"type"` // template, layout
	Layout    string `json:"layout"`
	Error     string `json:"error"` // why other providers cannot be given it, "" when they can
	ChangedAt int64  `json:"changedAt"`
	SyncedAt  int64  `json:"syncedAt"`
}

// syncedAnswer tells what came of reading the templates of one TPSP.
type syncedAnswer struct {
	TPSPID    int32  `json:"tpspId"`
	Name      string `json:"name"`
	Templates int    `json:"templates"`
	Unusable  int    `json:"unusable"` // of them; the list says why
	Added     int    `json:"added"`
	Changed   int    `json:"changed"`
	Removed   int    `json:"removed"`
	Error     string `json:"error"`
}

func (s *server) listTemplates(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	p, err := listPage(r.URL.Query())
	if err != nil {
		return err
	}
	answers := []templateAnswer{}
	for _, m := range s.Templates.List(a.ID) {
		if !contains(m.Alias, p.search) && !contains(m.Name, p.search) {
			continue
		}
		answer := templateAnswer{TPSPID: m.TPSPID, TPSPName: m.TPSP.Name, Alias: m.Alias, Name: m.Name, Type: "template", Layout: m.Around,
			Error: m.Fault, ChangedAt: nanos(m.ChangedAt), SyncedAt: nanos(m.SyncedAt)}
		if m.Layout {
			answer.Type = "layout"
		}
		answers = append(answers, answer)
	}
	return reply(w, http.StatusOK, orEmpty(cut(answers, p)))
}

func (s *server) syncTemplates(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in tpspReference
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	s.allowTime(w, r, syncTemplatesFor+time.Minute)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), syncTemplatesFor) // what was begun is worth to be finished
	defer cancel()
	results, err := s.Templates.Sync(ctx, a.ID, in.TPSPID)
	if err != nil {
		return err
	}
	answers := make([]syncedAnswer, len(results))
	for i, res := range results {
		answers[i] = syncedAnswer{TPSPID: res.TPSP.ID, Name: res.TPSP.Name, Templates: res.Templates, Unusable: res.Unusable, Added: res.Added,
			Changed: res.Changed, Removed: res.Removed}
		if res.Err != nil {
			answers[i].Error = res.Err.Error()
		}
	}
	return reply(w, http.StatusOK, answers)
}

// allowTime moves the deadlines of a connection for a request that takes longer than others.
func (s *server) allowTime(w http.ResponseWriter, r *http.Request, length time.Duration) {
	control := http.NewResponseController(w)
	for _, extend := range []func(time.Time) error{control.SetReadDeadline, control.SetWriteDeadline} {
		if err := extend(time.Now().Add(length)); err != nil {
			s.Log.DebugContext(r.Context(), "deadline of a connection not set", "error", err)
		}
	}
}
