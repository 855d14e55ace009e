package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
}).ParseFS(assets, "assets/*.html"))

// pageRoutes are the inbox (PM-sim 56).
func (b *Sandbox) pageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox", b.inboxPage)
	mux.HandleFunc("GET /sandbox/{$}", b.inboxPage)
	mux.HandleFunc("GET /sandbox/mail/{id}", b.mailPage)
	mux.HandleFunc("POST /sandbox/mail/{id}/events", b.postMailEvent)
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
	Token string
}

type inboxRow struct {
	messageView
	Kinds []store.Kind // of its events, each once, without subscription changes
}

func (b *Sandbox) inboxPage(w http.ResponseWriter, r *http.Request) {
	data := inboxData{To: strings.TrimSpace(r.FormValue("to")), Token: DemoServerToken}
	number, err := strconv.Atoi(r.FormValue("page"))
	data.Page = 1
	if err == nil {
		data.Page = min(max(number, 1), 1<<24)
	}
	q := store.Query{Newest: true, Limit: perPage, Offset: (data.Page - 1) * perPage}
	if data.To != "" {
		q.Keys = []string{store.Key(store.FieldRecipient, strings.ToLower(data.To))}
	}
	total, mails := b.store.Find(q)
	data.Total, data.Pages = total, max(1, (total+perPage-1)/perPage)
	for _, mail := range mails {
		row := inboxRow{messageView: b.view(mail)}
		for _, e := range row.Events {
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
}

func (b *Sandbox) mailPage(w http.ResponseWriter, r *http.Request) {
	mail, ok := b.store.Get(strings.ToLower(r.PathValue("id")))
	if !ok {
		b.render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	b.renderMail(w, http.StatusOK, mail, "")
}

func (b *Sandbox) renderMail(w http.ResponseWriter, status int, mail *store.Mail, problem string) {
	view := mail.Content.View()
	data := mailData{messageView: b.view(mail), Recipients: view.Recipients, Inactive: view.Inactive, Links: view.Links,
		Problem: problem}
	for key := range data.Metadata {
		data.MetadataKeys = append(data.MetadataKeys, key)
	}
	slices.Sort(data.MetadataKeys)
	var indented bytes.Buffer
	if len(data.Model) > 0 && json.Indent(&indented, data.Model, "", "  ") == nil {
		data.ModelText = indented.String()
	}
	b.render(w, status, "mail.html", data)
}

// postMailEvent is the form below a mail.
func (b *Sandbox) postMailEvent(w http.ResponseWriter, r *http.Request) {
	mail, ok := b.store.Get(strings.ToLower(r.PathValue("id")))
	if !ok {
		b.render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxControl)
	_, err := b.raise(mail, store.Wish{Kind: store.Kind(r.PostFormValue("kind")), Recipient: r.PostFormValue("recipient"),
		URL: r.PostFormValue("url")})
	if err != nil {
		b.renderMail(w, statusOf(err), mail, err.Error())
		return
	}
	http.Redirect(w, r, "/sandbox/mail/"+url.PathEscape(mail.ID)+"#events", http.StatusSeeOther)
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
