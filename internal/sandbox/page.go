package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postyard/internal/sandbox/clock"
	"postyard/internal/sandbox/hook"
	"postyard/internal/sandbox/postmark"
	"postyard/internal/sandbox/sendgrid"
	"postyard/internal/sandbox/ses"
	"postyard/internal/sandbox/store"
)

//go:embed assets
var assets embed.FS

// perPage is how many mails a page of the inbox lists.
const perPage = 50

// pagePolicy allows nothing but our own style sheet. Inline styles are for the mails: a frame with srcdoc is under its page's
// policy. Scripts run nowhere, and no image or font is loaded from anywhere.
const pagePolicy = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"when": func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") },
	"date": func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) },
	"add":  func(a, b int) int { return a + b },
}).ParseFS(assets, "assets/*.html"))

// pageRoutes are the inbox (PM-sim 56).
func (b *Sandbox) pageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox", b.inboxPage)
	mux.HandleFunc("GET /sandbox/{$}", b.inboxPage)
	mux.HandleFunc("GET /sandbox/mail/{id}", b.mailPage)
	mux.HandleFunc("POST /sandbox/mail/{id}/events", b.postMailEvent)
	mux.HandleFunc("GET /sandbox/hook", b.hookPage)
	mux.HandleFunc("POST /sandbox/hook/{id}/test", b.postHookTest)
	mux.HandleFunc("POST /sandbox/hook/{id}/verify", b.postHookVerify)
	mux.HandleFunc("GET /sandbox/style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, assets, "assets/style.css")
	})
}

type inboxData struct {
	Total int
	To    string
	Rows  []inboxRow
	Page  int
	Pages int
	Newer string
	Older string
	Host  string // as the browser has it
	// Servers is what there is to connect to; Demo is the first of them, for the example.
	Servers []store.Server
	Demo    store.Server
	Clock   string // what is odd about it; usually ""
}

type inboxRow struct {
	messageView
	Kinds   []store.Kind // of its events, each once, without subscription changes
	Pending int          // webhooks that have not taken an event yet
}

func (b *Sandbox) inboxPage(w http.ResponseWriter, r *http.Request) {
	data := inboxData{To: strings.TrimSpace(r.FormValue("to")), Host: r.Host, Servers: b.servers(), Clock: b.oddClock()}
	data.Demo = b.postmark.Servers()[0]
	q := store.Query{Newest: true, Limit: perPage}
	if data.To != "" {
		q.Keys = []string{store.Key(store.FieldRecipient, strings.ToLower(data.To))}
	}
	number, err := strconv.Atoi(r.FormValue("page"))
	if err != nil {
		number = 1
	}
	var mails []*store.Mail
	data.Page, data.Pages, data.Total, mails = b.inbox(q, number)
	for _, mail := range mails {
		row := inboxRow{messageView: b.view(mail)}
		for _, e := range row.Events {
			row.Pending += e.WebhooksPending
			if e.Kind != store.Subscribed && !slices.Contains(row.Kinds, e.Kind) {
				row.Kinds = append(row.Kinds, e.Kind)
			}
		}
		data.Rows = append(data.Rows, row)
	}
	if data.Page > 1 {
		data.Newer = inboxLink(data.To, data.Page-1)
	}
	if data.Page < data.Pages {
		data.Older = inboxLink(data.To, data.Page+1)
	}
	b.render(w, http.StatusOK, "inbox.html", data)
}

// inbox finds the mails of a page; beyond the last page it is the last one.
func (b *Sandbox) inbox(q store.Query, wanted int) (page, pages, total int, mails []*store.Mail) {
	for page = min(max(wanted, 1), 1<<24); ; page = pages {
		q.Offset = (page - 1) * perPage
		total, mails = b.store.Find(q)
		pages = max(1, (total+perPage-1)/perPage)
		if page <= pages {
			return page, pages, total, mails
		}
	}
}

func inboxLink(to string, page int) string {
	query := url.Values{"page": {strconv.Itoa(page)}}
	if to != "" {
		query.Set("to", to)
	}
	return "/sandbox?" + query.Encode()
}

type mailData struct {
	messageView
	Recipients, Inactive, Links []string
	MetadataKeys                []string
	ModelText                   string
	Problem                     string
	Notice                      string // what came of the button that was pressed
	BounceTypes                 []string
	Attempts                    []attemptRow // to tell webhooks of its events, newest first
	Clock                       string
}

// attemptRow is an attempt in a list.
type attemptRow struct {
	hook.Attempt
	Last bool // of its event at its webhook, so far
	Of   int  // how many tries there are at most
}

// Class says for the style sheet how it went.
func (a attemptRow) Class() string { return strings.ReplaceAll(string(a.Verdict), " ", "-") }

// attemptRows are the attempts that are wanted, newest first.
func (b *Sandbox) attemptRows(wanted func(hook.Attempt) bool) []attemptRow {
	type event struct { // at a webhook; numbers of webhooks are the server's own
		server, trace string
		hook          int
	}
	later := map[event]bool{}
	var rows []attemptRow
	for _, a := range b.hooks.Attempts() {
		if !wanted(a) {
			continue
		}
		of := event{a.Server, a.Trace, a.Hook}
		rows = append(rows, attemptRow{Attempt: a, Last: !later[of], Of: a.Try + a.RetriesRemaining})
		later[of] = true
	}
	return rows
}

// oddClock tells that the clock is held, or far from the machine's.
func (b *Sandbox) oddClock() string {
	steered, ok := b.clock.(*clock.Steered)
	if !ok {
		return ""
	}
	now := steered.Now().Format("2006-01-02 15:04:05")
	switch held, offset := steered.Held(); {
	case held:
		return "The sandbox's clock is held at " + now + " UTC: what is due later waits."
	case offset >= time.Second:
		return fmt.Sprintf("The sandbox's clock is at %s UTC, %s ahead of the machine's.", now, offset.Round(time.Second))
	case offset <= -time.Second:
		return fmt.Sprintf("The sandbox's clock is at %s UTC, %s behind the machine's.", now, (-offset).Round(time.Second))
	}
	return ""
}

func (b *Sandbox) mailPage(w http.ResponseWriter, r *http.Request) {
	mail, ok := b.lookUp(r)
	if !ok {
		b.render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	data := b.mailData(mail)
	if raised, err := strconv.ParseInt(r.FormValue("raised"), 10, 64); err == nil {
		data.Notice = notice(b.store.Events(mail), raised)
	}
	b.render(w, http.StatusOK, "mail.html", data)
}

func (b *Sandbox) mailData(mail *store.Mail) mailData {
	view := mail.Content.View()
	data := mailData{messageView: b.view(mail), Recipients: view.Recipients, Inactive: view.Inactive, Links: view.Links, Clock: b.oddClock(),
		Attempts: b.attemptRows(func(a hook.Attempt) bool { return a.Tells(mail.ID) }), BounceTypes: postmark.BounceTypes()}
	switch mail.Provider {
	case sendgrid.Provider:
		data.BounceTypes = sendgrid.BounceTypes()
	case ses.Provider:
		data.BounceTypes = ses.BounceTypes()
	}
	for key := range data.Metadata {
		data.MetadataKeys = append(data.MetadataKeys, key)
	}
	slices.Sort(data.MetadataKeys)
	var indented bytes.Buffer
	if len(data.Model) > 0 && json.Indent(&indented, data.Model, "", "  ") == nil {
		data.ModelText = indented.String()
	}
	return data
}

// notice words the event with a Seq, if the mail has it.
func notice(events []store.Event, seq int64) string {
	at := slices.IndexFunc(events, func(e store.Event) bool { return e.Seq == seq })
	if at < 0 {
		return ""
	}
	e := events[at]
	times := 1
	for _, before := range events[:at] {
		if before.Kind == e.Kind && before.Recipient == e.Recipient {
			times++
		}
	}
	switch e.Kind {
	case store.Opened:
		switch {
		case times > 1 && slices.ContainsFunc(events, func(e store.Event) bool { return e.First }):
			return fmt.Sprintf("%s opened the mail again: open number %d, reported as not the first.", e.Recipient, times)
		case times > 1:
			return fmt.Sprintf("%s opened the mail again: open number %d.", e.Recipient, times)
		}
		return e.Recipient + " opened the mail."
	case store.Clicked:
		return fmt.Sprintf("%s clicked %s.", e.Recipient, e.URL)
	case store.Complained:
		return e.Recipient + " complained about the mail."
	case store.Bounced:
		return fmt.Sprintf("The mail to %s bounced: %s.", e.Recipient, e.Type)
	case store.Subscribed:
		if !e.Lifted {
			return e.Recipient + " unsubscribed."
		}
	}
	return ""
}

// postMailEvent is the form below a mail.
func (b *Sandbox) postMailEvent(w http.ResponseWriter, r *http.Request) {
	mail, ok := b.lookUp(r)
	if !ok {
		b.render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxControl)
	came, err := b.raise(mail, store.Wish{Kind: store.Kind(r.PostFormValue("kind")), Recipient: r.PostFormValue("recipient"),
		URL: r.PostFormValue("url"), Type: r.PostFormValue("type")})
	if err != nil || len(came.Events) == 0 { // nothing has changed, so that a reload may post it again
		data, status := b.mailData(mail), http.StatusOK
		data.Notice = came.Note
		if err != nil {
			data.Problem, status = err.Error(), statusOf(err)
		}
		b.render(w, status, "mail.html", data)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("/sandbox/mail/%s?raised=%d#events", url.PathEscape(mail.ID), came.Events[0].Seq), http.StatusSeeOther)
}

// attemptsPerPage is how many attempts a page of webhooks lists.
const attemptsPerPage = 100

type hookData struct {
	Hooks       []hook.Registered
	Attempts    []attemptRow
	Total       int // attempts that are remembered
	Page, Pages int
	Clock       string
	Problem     string
	Result      *hook.Result // what came of the button that was pressed
	Asked       string       // "Test of webhook 3 of Sandbox"
}

// hookPage shows the registered webhooks and the latest attempts, those for no mail too.
func (b *Sandbox) hookPage(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.FormValue("page"))
	if err != nil {
		number = 1
	}
	b.render(w, http.StatusOK, "hook.html", b.hookData(number))
}

func (b *Sandbox) hookData(page int) hookData {
	rows := b.attemptRows(func(hook.Attempt) bool { return true })
	data := hookData{Hooks: b.allHooks(), Total: len(rows), Clock: b.oddClock()}
	data.Pages = max(1, (len(rows)+attemptsPerPage-1)/attemptsPerPage)
	data.Page = min(max(page, 1), data.Pages)
	from := (data.Page - 1) * attemptsPerPage
	data.Attempts = rows[from:min(from+attemptsPerPage, len(rows))]
	return data
}

func (b *Sandbox) postHookTest(w http.ResponseWriter, r *http.Request) {
	b.tryHook(w, r, "Test", func(server string, id int) (hook.Result, error) {
		return b.tryOut(r, server, id, "")
	})
}

func (b *Sandbox) postHookVerify(w http.ResponseWriter, r *http.Request) {
	b.tryHook(w, r, "Verification", func(server string, id int) (hook.Result, error) {
		return b.verify(r, server, id)
	})
}

// tryHook does what a button of a webhook is for and shows what came of it. A reload may do it again.
func (b *Sandbox) tryHook(w http.ResponseWriter, r *http.Request, what string, do func(server string, id int) (hook.Result, error)) {
	status, problem := http.StatusOK, ""
	var result hook.Result
	server, id, err := b.hook(r)
	if err != nil {
		status, problem = http.StatusNotFound, err.Error()
	} else if result, err = do(server, id); err != nil {
		status, problem = b.hookStatus(err), plainly(err).Error()
	}
	data := b.hookData(1)
	data.Problem = problem
	if problem == "" {
		data.Result, data.Asked = &result, fmt.Sprintf("%s of webhook %d of %s", what, id, server)
	}
	b.render(w, status, "hook.html", data)
}

// render writes a page whole or not at all.
func (b *Sandbox) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		b.log.Error("sandbox page cannot be rendered", "page", name, "err", err)
		http.Error(w, "This page cannot be shown; see the log.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the browser may be gone
}
