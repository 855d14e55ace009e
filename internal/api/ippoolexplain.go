package api

import (
	"net/http"
	"net/url"

	"postyard/internal/directory"
	"postyard/internal/mail"
	"postyard/internal/mailbox"
	"postyard/internal/plan"
	"postyard/internal/route"
)

// maxSample is the most messages that an explanation tries.
const maxSample = 100_000

// warningAnswer is something that a user of a pool should know.
type warningAnswer struct {
	Code    string `json:"code"`
	Egress  string `json:"egress"` // TPSP_5, "" when it is about nobody in particular
	TPSPID  int32  `json:"tpspId"`
	IPID    int32  `json:"ipId"`
	Message string `json:"message"`
}

func (s *server) poolWarnings(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	pool, err := s.findPool(r, a)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, warningAnswers(s.Planner.Warnings(s.Directory.Current(), pool)))
}

// routeAnswer tells where a message would go, and why.
type routeAnswer struct {
	Mailbox  string              `json:"mailbox"` // the recipient's mailbox provider
	Sender   string              `json:"sender"`  // the sender's domain
	Paused   bool                `json:"paused"`  // the pool's mail waits
	Seq      uint64              `json:"seq"`     // the place in the pool's sequence that was asked about
	Rule     string              `json:"rule"`
	Egresses []wayAnswer         `json:"egresses"` // in the order in which they are tried
	Overflow int                 `json:"overflow"` // where in egresses the overflow pool begins; 0: nowhere
	Skipped  []passedOverAnswer  `json:"skipped"`
	Refusal  string              `json:"refusal"` // why nobody can carry the message, "" when somebody can
	Sample   []firstChoiceAnswer `json:"sample"`  // with the parameter sample: the first choices of so many messages in a row
}

// namedEgress is an egress as people know it.
type namedEgress struct {
	Egress string `json:"egress"` // TPSP_5
	TPSPID int32  `json:"tpspId"`
	IPID   int32  `json:"ipId"`
	Name   string `json:"name"`
}

type wayAnswer struct {
	namedEgress
	IPPool string `json:"ipPool"` // through which it is reached
	Reason string `json:"reason"`
}

type passedOverAnswer struct {
	namedEgress
	Reason string `json:"reason"`
}

type firstChoiceAnswer struct {
	namedEgress
	Messages int     `json:"messages"`
	Share    float64 `json:"share"` // of 1
}

func nameEgress(now *directory.Snapshot, e route.Egress) namedEgress {
	answer := namedEgress{Egress: e.String(), TPSPID: e.TPSPID(), IPID: e.IPID()}
	if t := now.Egress(e); t != nil {
		answer.Name = t.Name
	}
	return answer
}

// routeQuestion is what an explanation is asked about.
type routeQuestion struct {
	mailbox mailbox.Class
	sender  string
	content *mail.Content // nil: what can be carried is not asked
	seq     int
	sample  int
}

func (s *server) readRouteQuestion(q url.Values) (question routeQuestion, err error) {
	to, err := mail.ParseEmail(q.Get("to"))
	if err != nil {
		return question, badParameter("to", "must be the recipient's address: "+err.Error())
	}
	question.mailbox = s.Mailboxes.Class(mail.Domain(to))
	from := q.Get("from")
	if from != "" {
		if from, err = mail.ParseEmail(from); err != nil {
			return question, badParameter("from", "must be the sender's address: "+err.Error())
		}
		question.sender = mail.Domain(from)
	}
	if q.Has("subject") || q.Has("tpspTemplate") {
		question.content = &mail.Content{From: mail.Address{Email: from}, Subject: q.Get("subject"), Template: q.Get("tpspTemplate")}
		if question.content.Template == "" {
			question.content.Text = "text"
		}
	}
	if question.seq, err = wholeNumber(q, "seq", 0, 0, 1<<53); err != nil {
		return question, err
	}
	question.sample, err = wholeNumber(q, "sample", 0, 1, maxSample)
	return question, err
}

func (s *server) explainPool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	pool, err := s.findPool(r, a)
	if err != nil {
		return err
	}
	question, err := s.readRouteQuestion(r.URL.Query())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.routeAnswer(s.Directory.Current(), pool, question))
}

func routeAnswerOf(now *directory.Snapshot, x plan.Explanation) routeAnswer {
	answer := routeAnswer{Rule: x.Rule, Egresses: make([]wayAnswer, len(x.Ways)), Overflow: x.Overflow, Skipped: make([]passedOverAnswer, len(x.Skipped)),
		Refusal: x.Refusal, Sample: []firstChoiceAnswer{}}
	for i, way := range x.Ways {
		answer.Egresses[i] = wayAnswer{nameEgress(now, way.Egress), way.Pool, way.Reason}
	}
	for i, skipped := range x.Skipped {
		answer.Skipped[i] = passedOverAnswer{nameEgress(now, skipped.Egress), skipped.Reason}
	}
	return answer
}
