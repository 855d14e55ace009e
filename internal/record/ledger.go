package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pendingName is the file that says, while a run goes on and after one that was killed, what it may have made.
const pendingName = "pending.json"

// removeTimeout is how long removing one thing may take.
const removeTimeout = 30 * time.Second

// thing is something that the run makes at Postmark. It is found by a name of its own, so that it is removed also when the answer to
// the call that made it was lost.
type thing struct {
	Kind   string // "webhooks", "template", "suppression", "stream"
	Name   string
	ByHand string // how a person removes it
	remove func(context.Context) error
}

// ledger lists what is to be removed.
type ledger struct {
	session *session
	path    string
	things  []thing
}

func newLedger(s *session) *ledger { return &ledger{session: s} }

// open makes the directory, which is to be empty.
func (l *ledger) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("the directory %s is not empty", dir)
	}
	l.path = filepath.Join(dir, pendingName)
	return nil
}

// add notes a thing before it is made.
func (l *ledger) add(t thing) error {
	if slices.ContainsFunc(l.things, func(old thing) bool { return old.Kind == t.Kind && old.Name == t.Name }) {
		return nil
	}
	l.things = append(l.things, t)
	return l.save()
}

// done strikes a thing out.
func (l *ledger) done(kind, name string) error {
	l.things = slices.DeleteFunc(l.things, func(t thing) bool { return t.Kind == kind && t.Name == name })
	return l.save()
}

// save writes what is left to be removed; the file goes when nothing is.
func (l *ledger) save() error {
	if len(l.things) == 0 {
		if err := os.Remove(l.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the list of what is pending: %w", err)
		}
		return nil
	}
	raw, err := json.MarshalIndent(l.things, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what is pending: %w", err)
	}
	if err := os.WriteFile(l.path, []byte(l.session.redactor.text(string(raw))), 0o600); err != nil {
		return fmt.Errorf("note what is pending: %w", err)
	}
	return nil
}

// settle removes everything, the newest first, also when ctx has ended, and says what is left.
func (l *ledger) settle(ctx context.Context) (left []string, err error) {
	ctx = context.WithoutCancel(ctx)
	var kept []thing
	for _, t := range slices.Backward(l.things) {
		callCtx, cancel := context.WithTimeout(ctx, removeTimeout)
		failure := t.remove(callCtx)
		cancel()
		if failure != nil {
			kept = append(kept, t)
			left = append(left, fmt.Sprintf("%s %s: %s (%v)", t.Kind, t.Name, t.ByHand, failure))
		}
	}
	l.things = kept
	l.session.recorder.take() // about no question
	if l.path == "" {
		return left, nil
	}
	return left, l.save()
}

// webhooks notes that webhooks of ours are made.
func (l *ledger) webhooks() error {
	s := l.session
	return l.add(thing{Kind: "webhooks", Name: "whose URL holds " + s.redactor.marker, remove: s.removeWebhooks,
		ByHand: "in Postmark, open the stream's webhooks and remove those with that path"})
}

// removeWebhooks removes the webhooks of ours that there are.
func (s *session) removeWebhooks(ctx context.Context) error {
	list, err := s.listWebhooks(ctx, "see which webhooks of ours are left")
	if err != nil {
		return err
	}
	var failures []error
	for _, w := range list {
		if strings.Contains(w.URL, s.redactor.marker) {
			failures = append(failures, s.removeWebhook(ctx, w.ID))
		}
	}
	return errors.Join(failures...)
}

type webhook struct {
	ID     int64
	URL    string `json:"Url"`
	Status string
}

func (s *session) listWebhooks(ctx context.Context, purpose string) ([]webhook, error) {
	e, err := s.call(ctx, purpose, request{method: http.MethodGet, path: "/webhooks", query: url.Values{"MessageStream": {s.Stream}}})
	if err != nil {
		return nil, err
	}
	var answer struct{ Webhooks *[]webhook }
	if err := decodeAnswer(e, &answer); err != nil {
		return nil, err
	}
	if answer.Webhooks == nil {
		return nil, errors.New("the answer lists no webhooks")
	}
	return *answer.Webhooks, nil
}

func (s *session) removeWebhook(ctx context.Context, id int64) error {
	return s.remove(ctx, "remove the webhook", http.MethodDelete, "/webhooks/"+strconv.FormatInt(id, 10), 1352)
}

// remove makes a call that removes something. One that was not there is removed, too.
func (s *session) remove(ctx context.Context, purpose, method, path string, gone int) error {
	e, err := s.call(ctx, purpose, request{method: method, path: path})
	if err != nil {
		return err
	}
	if e.ok() || e.code() == gone {
		return nil
	}
	return errors.New(e.seen())
}

// template notes that a template is made.
func (l *ledger) template(alias string) error {
	return l.add(thing{Kind: "template", Name: alias, ByHand: "in Postmark, remove the template with that alias",
		remove: func(ctx context.Context) error {
			return l.session.remove(ctx, "remove the template", http.MethodDelete, "/templates/"+url.PathEscape(alias), 1101)
		}})
}

// suppression notes that an address is put on the stream's list.
func (l *ledger) suppression(address string) error {
	return l.add(thing{Kind: "suppression", Name: address, ByHand: "in Postmark, open the stream's suppressions and reactivate the address",
		remove: func(ctx context.Context) error {
			return l.session.unsuppress(ctx, "take the address off the suppression list", address)
		}})
}

// stream notes that a stream is made, which can be archived at best.
func (l *ledger) stream(id string) error {
	return l.add(thing{Kind: "stream", Name: id, ByHand: "in Postmark, archive the stream",
		remove: func(ctx context.Context) error {
			return l.session.remove(ctx, "archive the stream", http.MethodPost, "/message-streams/"+url.PathEscape(id)+"/archive", 1226)
		}})
}

// unsuppress takes an address off the suppression list. The error tells that it is still there.
func (s *session) unsuppress(ctx context.Context, purpose, address string) error {
	e, status, err := s.suppress(ctx, purpose, "/delete", address)
	if err == nil && status != "Deleted" {
		err = fmt.Errorf("%s, status %.20q", e.seen(), status)
	}
	return err
}

// suppress puts an address on the list, or takes it off.
func (s *session) suppress(ctx context.Context, purpose, suffix, address string) (e *exchange, status string, err error) {
	type item struct {
		EmailAddress string
		Status       string `json:",omitempty"`
	}
	body := map[string]any{"Suppressions": []item{{EmailAddress: address}}}
	e, err = s.call(ctx, purpose, request{method: http.MethodPost, path: s.suppressions() + suffix, body: body})
	if err != nil {
		return e, "", err
	}
	var answer struct{ Suppressions []item }
	if err := decodeAnswer(e, &answer); err != nil {
		return e, "", err
	}
	if len(answer.Suppressions) != 1 {
		return e, "", errors.New("the answer does not tell what became of the address")
	}
	return e, answer.Suppressions[0].Status, nil
}

func (s *session) suppressions() string {
	return "/message-streams/" + url.PathEscape(s.Stream) + "/suppressions"
}

// decodeAnswer reads an answer that says yes.
func decodeAnswer(e *exchange, into any) error {
	if !e.ok() {
		return errors.New(e.seen())
	}
	if err := json.Unmarshal(e.body, into); err != nil {
		return errors.New("the answer is not what Postmark gives")
	}
	return nil
}
