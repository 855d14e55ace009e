package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/store"
	"postyard/internal/suppress"
)

// Limits of files of addresses.
const (
	maxImport       = 32 << 20        // bytes of the body
	maxImportLine   = 64 << 10        // bytes of a line
	importAtOnce    = 100             // addresses that are suppressed in one transaction
	importingFor    = 5 * time.Minute // of the whole file
	mostRefusals    = 1000            // refused lines that an answer shows
	suppressedPiece = 1000            // rows of one piece of an export
)

var (
	importParameters = []parameter{
		{Name: "type", Kind: "string", Summary: "the reason of lines without one: hardBounce, manual (unless it is said), spamComplaint or unsubscribe"},
		{Name: "dryRun", Kind: "boolean", Summary: "only check the file"},
	}
	exportParameters = []parameter{
		{Name: "from", Kind: "date", Summary: "the first day of creation"},
		{Name: "to", Kind: "date", Summary: "the last one"},
		{Name: "search", Kind: "string", Summary: "part of the address"},
		{Name: "type", Kind: "string", Summary: "hardBounce, manual, spamComplaint or unsubscribe"},
	}
)

// importAnswer tells what came of a file of addresses.
type importAnswer struct {
	DryRun       bool         `json:"dryRun"`
	Read         int          `json:"read"`       // addresses that could be read
	Suppressed   int          `json:"suppressed"` // of them, those that are suppressed now; 0 of a dry run
	RefusedCount int          `json:"refusedCount"`
	Refused      []lineAnswer `json:"refused"` // the first 1,000 lines
}

// lineAnswer is a line that could not be read.
type lineAnswer struct {
	Line    int    `json:"line"` // from 1
	Message string `json:"message"`
}

// importSuppressions suppresses the addresses of a CSV file, a few at a time. Lines that cannot be read are named and left out. What was
// suppressed stays so when the request breaks off; the same file again changes nothing of it.
func (s *server) importSuppressions(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) (failure error) {
	q := r.URL.Query()
	absent, err := suppressionReason(q)
	if err != nil {
		return err
	}
	answer := importAnswer{Refused: []lineAnswer{}}
	if answer.DryRun, err = truth(q, "dryRun"); err != nil {
		return err
	}
	body := r.Body
	defer func() {
		if p, refused := errors.AsType[*problem](failure); refused && p.status == http.StatusRequestEntityTooLarge { // so that the client gets to read it
			if n, err := io.Copy(io.Discard, io.LimitReader(body, maxDrain)); err != nil || n == maxDrain {
				w.Header().Set("Connection", "close")
			}
		}
	}()
	if r.ContentLength > maxImport {
		return unreadable(&http.MaxBytesError{Limit: maxImport})
	}
	s.allowTime(w, r, importingFor+pieceTime)
	ctx, cancel := context.WithTimeout(r.Context(), importingFor)
	defer cancel()
	r.Body = http.MaxBytesReader(w, r.Body, maxImport)
	file, err := uploaded(r)
	if err != nil {
		return err
	}
	read := addressFile{lines: bufio.NewReaderSize(file, maxImportLine), absent: orElse(absent, provider.Manual)}
	chunk := suppressionChunk{places: map[string]int{}}
	add := func() error {
		if answer.DryRun || len(chunk.entries) == 0 {
			chunk.clear()
			return nil
		}
		list, err := s.Suppressions.Add(ctx, sub, chunk.entries)
		answer.Suppressed += len(list)
		chunk.clear()
		return err
	}
	for {
		e, err := read.next()
		var wrong *lineError
		switch {
		case errors.Is(err, io.EOF):
			if answer.Read == 0 && answer.RefusedCount == 0 {
				return emptyList("the file has no addresses")
			}
			if err := add(); err != nil {
				return err
			}
			return reply(w, http.StatusOK, answer)
		case errors.As(err, &wrong):
			if answer.RefusedCount++; len(answer.Refused) < mostRefusals {
				answer.Refused = append(answer.Refused, lineAnswer{read.line, wrong.text})
			}
			continue
		case err != nil:
			if _, refused := errors.AsType[*mail.FieldError](err); refused {
				return err
			}
			return unreadable(err)
		}
		answer.Read++
		if chunk.add(e); len(chunk.entries) >= importAtOnce {
			if err := add(); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// unreadable says why the body broke off.
func unreadable(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &problem{status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
			Message: fmt.Sprintf("the body has more than %d bytes; a part of it may be done: send the file in several ones", maxImport)}
	}
	return &problem{status: http.StatusBadRequest, Code: "body_unreadable", Message: "the body could not be read to its end; a part of it may be done: send the file again"}
}

// uploaded returns the file of a request: its body, or the first file of a form.
func uploaded(r *http.Request) (io.Reader, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != formMedia { // what is no media type is no form
		return r.Body, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, mail.Invalid("malformed_form", "", "the form cannot be read: %s", err)
	}
	for parts := 0; parts < 16; parts++ {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if part.FileName() != "" || part.FormName() == "file" {
			return part, nil
		}
	}
	return nil, mail.Invalid("missing_file", "file", "the form has no file")
}

// suppressionChunk are addresses that are suppressed together, each once.
type suppressionChunk struct {
	entries []suppress.Entry
	places  map[string]int
}

func (c *suppressionChunk) add(e suppress.Entry) {
	if at, twice := c.places[e.Email]; twice { // the graver reason counts
		c.entries[at].Reason = max(c.entries[at].Reason, e.Reason)
		return
	}
	c.places[e.Email] = len(c.entries)
	c.entries = append(c.entries, e)
}

func (c *suppressionChunk) clear() {
	c.entries = c.entries[:0]
	clear(c.places)
}

// addressFile reads a CSV file of addresses, line by line: an address, and a reason when there is one. The first line may name the
// columns. Commas, semicolons and tabs separate them.
type addressFile struct {
	lines  *bufio.Reader
	absent provider.Reason // of lines without one
	line   int             // that was read last
	comma  rune
	email  int // the columns
	reason int
}

// lineError says why a line is refused.
type lineError struct{ text string }

func (e *lineError) Error() string { return e.text }

// next returns the next address. A *lineError is about one line only.
func (f *addressFile) next() (e suppress.Entry, err error) {
	for {
		raw, err := f.read()
		if err != nil {
			return e, err
		}
		if f.line == 1 {
			raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) // a byte order mark
		}
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		if !utf8.Valid(raw) {
			return e, &lineError{"the line is not UTF-8"}
		}
		heads := f.comma == 0
		if heads {
			f.comma, f.email, f.reason = separator(raw), 0, 1
		}
		cells := csv.NewReader(bytes.NewReader(raw))
		cells.Comma, cells.FieldsPerRecord, cells.LazyQuotes = f.comma, -1, true
		row, err := cells.Read()
		if err != nil {
			return e, &lineError{"the line is not one of a CSV file"}
		}
		if heads && !bytes.ContainsRune(raw, '@') {
			if !f.columns(row) {
				return e, mail.Invalid("missing_column", "email", "the first line has no address and names no column email")
			}
			continue
		}
		return f.entry(row)
	}
}

// read returns the next line, without what ends it.
func (f *addressFile) read() ([]byte, error) {
	raw, err := f.lines.ReadSlice('\n')
	if len(raw) > 0 || err == nil {
		f.line++
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = f.lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, &lineError{fmt.Sprintf("the line has more than %d bytes", maxImportLine)}
	}
	if errors.Is(err, io.EOF) && len(raw) > 0 {
		err = nil
	}
	return bytes.TrimRight(raw, "\r\n"), err
}

// separator is what separates the cells of a file that begins with a line.
func separator(line []byte) rune {
	most, found := 0, ','
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			most, found = n, c
		}
	}
	return found
}

// columns finds the columns by their names.
func (f *addressFile) columns(names []string) bool {
	f.email, f.reason = -1, -1
	for i, name := range names {
		switch word(name) {
		case "email", "emailaddress", "address", "recipient":
			if f.email < 0 {
				f.email = i
			}
		case "reason", "type", "suppressionreason":
			if f.reason < 0 {
				f.reason = i
			}
		}
	}
	return f.email >= 0
}

// word is a name without what people write differently.
func word(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// reasonWords are how files name reasons, ours and those of providers.
var reasonWords = map[string]provider.Reason{
	"0": provider.Manual, "manual": provider.Manual, "manualsuppression": provider.Manual,
	"1": provider.Unsubscribed, "unsubscribe": provider.Unsubscribed, "unsubscribed": provider.Unsubscribed, "unsubscription": provider.Unsubscribed,
	"2": provider.HardBounce, "hardbounce": provider.HardBounce, "hardbounced": provider.HardBounce, "bounce": provider.HardBounce, "bounced": provider.HardBounce,
	"3": provider.SpamComplaint, "spamcomplaint": provider.SpamComplaint, "spam": provider.SpamComplaint, "complaint": provider.SpamComplaint, "spamreport": provider.SpamComplaint,
}

func (f *addressFile) entry(row []string) (e suppress.Entry, err error) {
	if f.email >= len(row) {
		return e, &lineError{"the line has no address"}
	}
	email, err := mail.ParseEmail(unguarded(strings.TrimSpace(row[f.email])))
	if err != nil {
		return e, &lineError{err.Error()}
	}
	e = suppress.Entry{Email: strings.ToLower(email), Reason: f.absent}
	if f.reason < 0 || f.reason >= len(row) || strings.TrimSpace(row[f.reason]) == "" {
		return e, nil
	}
	reason, known := reasonWords[word(row[f.reason])]
	if !known {
		const shown = 40
		return e, &lineError{fmt.Sprintf("the reason %.*q is none of hardBounce, manual, spamComplaint and unsubscribe", shown, row[f.reason])}
	}
	e.Reason = reason
	return e, nil
}

// suppressionSelection reads which suppressions a count or an export is about. Nothing is required, and the days may be any.
func suppressionSelection(r *http.Request, sub *directory.SubAccount) (f store.SuppressionFilter, err error) {
	q := r.URL.Query()
	f = store.SuppressionFilter{SubAccountID: sub.ID, From: time.Unix(0, 0), To: time.Unix(0, math.MaxInt64), Search: strings.TrimSpace(q.Get("search"))}
	if f.Reason, err = suppressionReason(q); err != nil {
		return f, err
	}
	if q.Get("from") != "" {
		if f.From, err = day(q, "from"); err != nil {
			return f, err
		}
	}
	if q.Get("to") != "" {
		if f.To, err = day(q, "to"); err != nil {
			return f, err
		}
		f.To = f.To.AddDate(0, 0, 1)
	}
	if !f.From.Before(f.To) {
		return f, badParameter("from", "must not be after to")
	}
	return f, nil
}

// exportSuppressions streams suppressions, newest first. The file can be imported again.
func (s *server) exportSuppressions(w http.ResponseWriter, r *http.Request, sub *directory.SubAccount) error {
	f, err := suppressionSelection(r, sub)
	if err != nil {
		return err
	}
	f.Limit = suppressedPiece
	return s.stream(w, r, mediaCSV, "suppressions.csv", func() (piece []byte, done bool, err error) {
		list, err := s.Suppressions.List(r.Context(), f)
		if err != nil {
			return nil, false, err
		}
		var b bytes.Buffer
		file := newCSV(&b)
		if f.Below.ID == 0 {
			file.row("email", "reason", "smtp_error", "created")
		}
		for i := range list {
			e := &list[i]
			file.row(e.Email, e.Reason.String(), strings.Join(strings.Fields(e.Detail), " "), csvTime(nanos(e.Created)))
		}
		if done = len(list) < f.Limit; !done {
			f.Below = list[len(list)-1].Place()
		}
		file.Flush()
		return b.Bytes(), done, file.Error()
	})
}
