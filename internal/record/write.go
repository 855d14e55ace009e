package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// SummaryName is the file with all findings.
const SummaryName = "summary.md"

// The JSON of a file.
type (
	fileBody struct {
		Question  int            `json:"question"`
		Title     string         `json:"title"`
		Asks      string         `json:"asks"`
		State     string         `json:"state"`
		Why       string         `json:"why,omitempty"`
		At        time.Time      `json:"at"`
		Findings  []finding      `json:"findings"`
		Exchanges []exchangeBody `json:"exchanges"`
		Webhooks  []arrivalBody  `json:"webhooks"`
	}
	exchangeBody struct {
		Purpose  string       `json:"purpose"`
		At       time.Time    `json:"at"`
		Took     float64      `json:"tookMs"`
		Request  requestBody  `json:"request"`
		Response responseBody `json:"response"`
	}
	requestBody struct {
		Method string            `json:"method"`
		Path   string            `json:"path"`
		Query  map[string]string `json:"query,omitempty"`
		Header map[string]string `json:"headers"`
		Body   any               `json:"body,omitempty"`
		Bytes  int64             `json:"bytes"`
	}
	responseBody struct {
		Status int               `json:"status"` // 0: no answer
		Header map[string]string `json:"headers,omitempty"`
		Body   any               `json:"body,omitempty"`
		Bytes  int               `json:"bytes"`
		Error  string            `json:"error,omitempty"`
	}
	arrivalBody struct {
		Hook        string            `json:"hook"`
		At          time.Time         `json:"at"`
		About       string            `json:"about"`
		Credentials string            `json:"credentials"`
		Header      map[string]string `json:"headers,omitempty"`
		Body        any               `json:"body,omitempty"`
		Answered    int               `json:"answered"` // 0: the other side hung up
		Held        float64           `json:"heldMs"`
	}
)

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// encode is the file of one answer.
func (s *session) encode(a *answer) ([]byte, error) {
	q, r := a.question, s.redactor
	out := fileBody{Question: q.Number, Title: q.Title, Asks: q.Asks, State: a.state, Why: a.why, At: a.started.UTC(),
		Findings: a.findings, Exchanges: []exchangeBody{}, Webhooks: []arrivalBody{}}
	for _, e := range a.exchanges {
		x := exchangeBody{Purpose: e.purpose, At: e.started.UTC(), Took: millis(e.took), Request: requestBody{Method: e.method, Path: r.text(e.path),
			Query: map[string]string{}, Header: r.headers(e.header), Body: r.body(e.sent, e.size > int64(len(e.sent))), Bytes: e.size},
			Response: responseBody{Status: e.status, Header: r.headers(e.answer), Bytes: len(e.body)}}
		x.Response.Body = r.body(e.body[:min(len(e.body), maxKept)], e.cut || len(e.body) > maxKept)
		for key, values := range e.query {
			x.Request.Query[r.text(key)] = r.text(strings.Join(values, ", "))
		}
		if e.err != nil {
			x.Response.Error = r.text(e.err.Error())
		}
		out.Exchanges = append(out.Exchanges, x)
	}
	for _, w := range a.arrivals {
		x := arrivalBody{Hook: w.hook, At: w.at.UTC(), About: w.about, Credentials: w.carried, Answered: w.answered, Held: millis(w.held)}
		if w.about != "another mail" { // of which only that it came is anybody's business
			x.Header = r.headers(w.header)
			x.Body = w.shape
			if w.body != nil {
				x.Body = r.body(w.body, false)
			}
		}
		out.Webhooks = append(out.Webhooks, x)
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return nil, fmt.Errorf("encode question %d: %w", q.Number, err)
	}
	return raw.Bytes(), nil
}

// write writes all files.
func (s *session) write(left []string) (*Result, error) {
	result := &Result{}
	for _, line := range left {
		result.Left = append(result.Left, s.redactor.text(line))
	}
	var failures []error
	for _, a := range s.answers {
		for _, f := range a.findings {
			switch f.Verdict {
			case Confirms:
				result.Confirmed++
			case Contradicts:
				result.Contradicted++
			default:
				result.Open++
			}
		}
		raw, err := s.encode(a)
		if err == nil {
			err = s.put(a.question.File(), raw)
		}
		failures = append(failures, err)
	}
	failures = append(failures, s.put(SummaryName, []byte(s.summary(result))))
	return result, errors.Join(failures...)
}

// put writes a file, after a last look for what must not be in it.
func (s *session) put(name string, raw []byte) error {
	clean := []byte(s.redactor.text(string(raw)))
	if s.redactor.leak(clean) {
		return fmt.Errorf("%s was not written: it would hold a secret or an address", name)
	}
	if err := os.WriteFile(filepath.Join(s.Out, name), clean, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// summary is the document for people: what is contradicted comes first.
func (s *session) summary(result *Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What Postmark does\n\nWritten by `postyard record` on %s. %d of our defaults are confirmed, %d contradicted, %d are still open.\n",
		s.Now().UTC().Format(time.DateOnly), result.Confirmed, result.Contradicted, result.Open)
	for _, part := range []struct{ verdict, title string }{
		{Contradicts, "Contradicted"}, {Confirms, "Confirmed"}, {Open, "Still open"},
	} {
		rows := s.rows(part.verdict)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| default | our code takes for granted | where | seen |%s file |\n|---|---|---|---|%s---|\n%s", part.title,
			map[bool]string{true: " what follows |"}[part.verdict == Contradicts], map[bool]string{true: "---|"}[part.verdict == Contradicts],
			strings.Join(rows, ""))
	}
	b.WriteString("\n## Left behind\n\n")
	left := slices.Concat(result.Left, s.stays)
	if len(left) == 0 {
		b.WriteString("Nothing.\n")
	}
	for _, line := range left {
		fmt.Fprintf(&b, "- %s\n", oneLine(line))
	}
	return b.String()
}

func (s *session) rows(verdict string) []string {
	var rows []string
	for _, a := range s.answers {
		for _, f := range a.findings {
			if f.Verdict != verdict {
				continue
			}
			row := fmt.Sprintf("| %s | %s | `%s` | %s |", f.Default, oneLine(f.Assumes), f.Where, oneLine(f.Seen))
			if verdict == Contradicts {
				row += " " + oneLine(f.Otherwise) + " |"
			}
			rows = append(rows, fmt.Sprintf("%s [%s](%s) |\n", row, a.question.File(), a.question.File()))
		}
	}
	return rows
}

// oneLine keeps foreign words inside a cell or an item.
func oneLine(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'").Replace(strings.Join(strings.Fields(text), " "))
}
