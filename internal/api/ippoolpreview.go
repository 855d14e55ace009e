package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"postyard/internal/directory"
	"postyard/internal/mailbox"
	"postyard/internal/plan"
	"postyard/internal/route"
)

// Bounds of a preview.
const (
	maxShares      = 100    // keys whose shares are counted
	maxShareSample = 10_000 // messages of each of them
)

// previewRequest is a pool as it would be, and a message that would go through it.
type previewRequest struct {
	poolRequest
	ID int32 `json:"id"` // of the pool that would be changed: what is absent is as it is there; 0: a new one

	To       string  `json:"to"` // "": only the shares are asked for
	From     string  `json:"from"`
	Subject  *string `json:"subject"`
	Template *string `json:"tpspTemplate"`
	Seq      int     `json:"seq"`
	Sample   int     `json:"sample"` // messages that are counted for each share; 0 is 1,000
}

// previewAnswer tells what a pool would do.
type previewAnswer struct {
	Route    *routeAnswer    `json:"route"` // where the message would go; null when none was asked about
	Shares   []shareAnswer   `json:"shares"`
	Warnings []warningAnswer `json:"warnings"`
}

// shareAnswer is how the mail of one key of the strategy would be shared.
type shareAnswer struct {
	Key     string              `json:"key"`     // as the routing metadata has it; "" when the strategy has no keys
	Sample  []firstChoiceAnswer `json:"sample"`  // the first choices of so many messages in a row
	Refusal string              `json:"refusal"` // why nobody can carry them, "" when somebody can
}

// question is the message that is asked about, as the parameters of an explanation have it.
func (p *previewRequest) question() url.Values {
	q := url.Values{"to": {p.To}, "from": {p.From}}
	for name, text := range map[string]*string{"subject": p.Subject, "tpspTemplate": p.Template} {
		if text != nil {
			q.Set(name, *text)
		}
	}
	for name, n := range map[string]int{"seq": p.Seq, "sample": p.Sample} {
		if n != 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	return q
}

// previewPool answers what a pool would do. Nothing is stored and nothing is counted.
func (s *server) previewPool(w http.ResponseWriter, r *http.Request, a *directory.Account) error {
	var in previewRequest
	if err := decodeBody(w, r, &in); err != nil {
		return err
	}
	pool, err := s.Pools.Preview(a.ID, in.ID, in.changes())
	if err != nil {
		return err
	}
	now := s.Directory.Current()
	answer := previewAnswer{Warnings: warningAnswers(s.Planner.Warnings(now, pool))}
	if in.To != "" {
		question, err := s.readRouteQuestion(in.question())
		if err != nil {
			return err
		}
		route := s.routeAnswer(now, pool, question)
		answer.Route = &route
	}
	if in.Sample < 0 || in.Sample > maxSample {
		return badParameter("sample", "must be a whole number from 1 to "+strconv.Itoa(maxSample))
	}
	answer.Shares = s.shares(now, pool, min(cmp.Or(in.Sample, 1000), maxShareSample))
	return reply(w, http.StatusOK, answer)
}

// shares counts the first choices of mail for each key of a pool's strategy.
func (s *server) shares(now *directory.Snapshot, pool *route.Pool, sample int) []shareAnswer {
	count := func(key string, class mailbox.Class, sender string) shareAnswer {
		course := s.Planner.Course(now, pool, nil).From(sender)
		answer := shareAnswer{Key: key, Sample: firstChoices(now, course, class, 0, sample)}
		if _, bad := course.To(class); bad != nil {
			answer.Refusal = bad.Message
		}
		return answer
	}
	if pool.Strategy != route.MailboxProvider && pool.Strategy != route.SendingDomain {
		return []shareAnswer{count("", mailbox.Default, "")}
	}
	answers := []shareAnswer{}
	keys := route.Keys(pool)
	for _, key := range keys[:min(len(keys), maxShares)] {
		switch id, err := strconv.Atoi(key); {
		case key == route.Others:
		case pool.Strategy == route.SendingDomain:
			answers = append(answers, count(key, mailbox.Default, key))
		case err == nil:
			if class, err := mailbox.ByID(id); err == nil {
				answers = append(answers, count(key, class, ""))
			}
		}
	}
	// Mail without a key goes by "others", or to all members where that is not there.
	if pool.Strategy == route.SendingDomain {
		return append(answers, count(route.Others, mailbox.Default, ""))
	}
	for id, class := range mailbox.Classes() {
		if !slices.Contains(keys, strconv.Itoa(id)) {
			return append(answers, count(route.Others, class, ""))
		}
	}
	return answers
}

// routeAnswer tells where the message would go.
func (s *server) routeAnswer(now *directory.Snapshot, pool *route.Pool, question routeQuestion) routeAnswer {
	course := s.Planner.Course(now, pool, question.content)
	if question.content == nil {
		course.From(question.sender)
	}
	answer := routeAnswerOf(now, course.Explain(question.mailbox, uint64(question.seq)))
	answer.Mailbox, answer.Sender, answer.Paused, answer.Seq = string(question.mailbox), question.sender, pool.Paused, uint64(question.seq)
	answer.Sample = firstChoices(now, course, question.mailbox, uint64(question.seq), question.sample)
	return answer
}

// firstChoices counts the first choices of n messages in a row, the most frequent first.
func firstChoices(now *directory.Snapshot, course *plan.Course, class mailbox.Class, seq uint64, n int) []firstChoiceAnswer {
	list := []firstChoiceAnswer{}
	for e, had := range course.Sample(class, seq, n) {
		list = append(list, firstChoiceAnswer{nameEgress(now, e), had, float64(had) / float64(n)})
	}
	slices.SortFunc(list, func(a, b firstChoiceAnswer) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Egress, b.Egress))
	})
	return list
}

// warningAnswers are warnings as the API has them.
func warningAnswers(list []plan.Warning) []warningAnswer {
	answers := make([]warningAnswer, len(list))
	for i, warning := range list {
		answers[i] = warningAnswer{Code: warning.Code, Message: warning.Message}
		if e := warning.Egress; e != 0 {
			answers[i].Egress, answers[i].TPSPID, answers[i].IPID = e.String(), e.TPSPID(), e.IPID()
		}
	}
	return answers
}
