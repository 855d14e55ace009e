package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdicts about a default.
const (
	Confirms    = "confirms"
	Contradicts = "contradicts"
	Open        = "open" // nothing was seen that tells
)

// finding is what was seen about one default.
type finding struct {
	Default   string `json:"default"` // its id
	Assumes   string `json:"assumes"`
	Where     string `json:"where"`
	Verdict   string `json:"verdict"`
	Seen      string `json:"seen"`
	Otherwise string `json:"otherwise,omitempty"` // what follows for our code, when it is contradicted
}

// answer is one question with what came of it.
type answer struct {
	question  *Question
	state     string // "asked", "not asked", "failed", "interrupted"
	why       string
	findings  []finding
	exchanges []*exchange
	arrivals  []*arrival
	started   time.Time
}

// asking is a question under way.
type asking struct {
	*session
	answer *answer
}

// find notes what was seen about a default; what is noted first stays.
func (a *asking) find(id, verdict, format string, args ...any) {
	d, ok := a.answer.question.known(id)
	if !ok {
		panic("record: no default " + id)
	}
	for _, f := range a.answer.findings {
		if f.Default == id {
			return
		}
	}
	f := finding{Default: d.ID, Assumes: d.Text, Where: d.Where, Verdict: verdict, Seen: fmt.Sprintf(format, args...)}
	if verdict == Contradicts {
		f.Otherwise = d.Otherwise
	}
	a.answer.findings = append(a.answer.findings, f)
}

// judge notes whether what was seen is what is taken for granted.
func (a *asking) judge(id string, as bool, format string, args ...any) {
	verdict := Contradicts
	if as {
		verdict = Confirms
	}
	a.find(id, verdict, format, args...)
}

// judgeAnswer does so by an answer, which tells nothing when Postmark had no time for the question.
func (a *asking) judgeAnswer(e *exchange, id string, as bool, format string, args ...any) {
	if !e.answered() {
		a.find(id, Open, format, args...)
		return
	}
	a.judge(id, as, format, args...)
}

// answer asks one question.
func (s *session) answer(ctx context.Context, q *Question) *answer {
	a := &answer{question: q, state: "not asked", started: s.Now()}
	switch why := s.skip(q); {
	case ctx.Err() != nil:
		a.state, a.why = "interrupted", "the run was ended before"
	case why != "":
		a.why = why
	default:
		s.Progress(fmt.Sprintf("question %d: %s", q.Number, q.Title))
		err := q.ask(ctx, &asking{session: s, answer: a})
		a.exchanges = s.recorder.take()
		if s.listener != nil {
			a.arrivals = s.listener.take()
		}
		switch {
		case err == nil:
			a.state = "asked"
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			a.state, a.why = "interrupted", "the run was ended meanwhile"
		default:
			a.state, a.why = "failed", err.Error()
		}
	}
	rest := &asking{session: s, answer: a}
	for _, d := range q.Defaults {
		rest.find(d.ID, Open, "%s", s.nothing(a))
	}
	slices.SortFunc(a.findings, func(x, y finding) int { return strings.Compare(x.Default, y.Default) })
	return a
}

func (s *session) nothing(a *answer) string {
	if a.why != "" {
		return a.state + ": " + a.why
	}
	return "nothing was seen that tells"
}
