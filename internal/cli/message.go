package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postyard/internal/client"
	"postyard/internal/config"
)

func (p *program) message() *cobra.Command {
	return p.command("message ID", "Show a message: its route, its attempts, its events, and why it waits", config.Client, cobra.ExactArgs(1),
		func(c *cobra.Command, args []string, cfg config.Config) error {
			api := clientOf(cfg)
			path := "/api/v1/account/message/" + url.PathEscape(args[0])
			var message, events, explain json.RawMessage
			if err := api.Account(c.Context(), http.MethodGet, path, nil, &message); err != nil {
				return fmt.Errorf("message %s: %w", args[0], err)
			}
			if err := api.Account(c.Context(), http.MethodGet, path+"/events", nil, &events); err != nil {
				return fmt.Errorf("events of message %s: %w", args[0], err)
			}
			if err := api.Account(c.Context(), http.MethodGet, path+"/explain", nil, &explain); err != nil {
				return err
			}
			if cfg.JSON {
				all, err := json.Marshal(map[string]json.RawMessage{"message": message, "explain": explain, "events": events})
				if err != nil {
					return fmt.Errorf("encode message: %w", err)
				}
				return p.printJSON(all)
			}
			return p.showMessage(message, explain, events)
		})
}

// showMessage prints what is known of a message: facts, attempts, events.
func (p *program) showMessage(message, explain, events json.RawMessage) error {
	facts, err := messageFacts(message)
	if err != nil {
		return err
	}
	var why client.Explanation
	if err := json.Unmarshal(explain, &why); err != nil {
		return fmt.Errorf("decode explanation: %w", err)
	}
	var list []client.Event
	if err := json.Unmarshal(events, &list); err != nil {
		return fmt.Errorf("decode events: %w", err)
	}
	facts = append(facts, whyFacts(&why)...)
	if err := p.table(facts[0], facts[1:]); err != nil {
		return err
	}
	if err := p.showAttempts(why.Attempts); err != nil {
		return err
	}
	if err := p.say("\n"); err != nil {
		return err
	}
	return p.showEvents(list)
}

// messageFacts are rows of names and values.
func messageFacts(message json.RawMessage) ([]string, error) {
	var m struct {
		MessageID    string         `json:"messageID"`
		SubAccountID int32          `json:"subAccountID"`
		From         client.Address `json:"from"`
		To           client.Address `json:"to"`
		Subject      string         `json:"subject"`
		IPPool       string         `json:"ipPool"`
		EmailType    string         `json:"emailType"`
		SubmittedAt  int64          `json:"submittedAt"`
		Attempt      int            `json:"attempt"`
		Groups       []string       `json:"groups"`
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	facts := []string{
		row("message", m.MessageID),
		row("from", m.From.Email),
		row("to", m.To.Email+" ("+m.EmailType+")"),
		row("subject", m.Subject),
	}
	if len(m.Groups) > 0 {
		facts = append(facts, row("groups", strings.Join(m.Groups, ", ")))
	}
	return append(facts,
		row("pool", m.IPPool),
		row("sub-account", strconv.Itoa(int(m.SubAccountID))),
		row("submitted", moment(m.SubmittedAt)),
		row("attempts", strconv.Itoa(m.Attempt)),
	), nil
}

// whyFacts tell the route, where the message stands, and while it waits, why and until when.
func whyFacts(why *client.Explanation) []string {
	facts := []string{row("route", why.Plan.Rule), row("tried in order", strings.Join(why.Plan.Egresses, ", "))}
	for _, skipped := range why.Plan.Skipped {
		facts = append(facts, row("passed over", skipped.Egress+": "+skipped.Reason))
	}
	facts = append(facts, row("state", why.State))
	if why.Waiting != "" {
		facts = append(facts, row("waiting", why.Waiting))
	}
	if why.DueAt > 0 {
		facts = append(facts, row("until", moment(why.DueAt)))
	}
	if why.Mark != "" {
		facts = append(facts, row("mark", why.Mark+": "+markMeans[why.Mark]))
	}
	return facts
}

var markMeans = map[string]string{
	"resent":      "sent again although the provider could not be asked, it may have arrived twice",
	"unconfirmed": "left as sent although nobody confirmed it, it may be lost",
}

func (p *program) showAttempts(list []client.Attempt) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([]string, len(list))
	for i, a := range list {
		took, outcome, status := "", "open", ""
		if a.Finished != 0 {
			took, outcome = (time.Duration(a.DurationMs) * time.Millisecond).String(), a.Class
		}
		if a.HTTPStatus != 0 {
			status = strconv.Itoa(a.HTTPStatus)
		}
		detail := a.Text
		if a.Answer != "" {
			detail = strings.TrimPrefix(detail+"; asked: "+a.Answer, "; ")
		}
		if a.TakenBack != "" {
			detail = strings.TrimPrefix(detail+"; taken back by the provider: "+a.TakenBack, "; ")
		}
		rows[i] = row(strconv.Itoa(a.N), strings.TrimSpace(a.Provider+" "+a.Egress), moment(a.Began), took, outcome, status, a.Code, detail)
	}
	if err := p.say("\n"); err != nil {
		return err
	}
	return p.table("ATTEMPT\tPROVIDER\tBEGAN\tTOOK\tOUTCOME\tHTTP\tCODE\tDETAIL", rows)
}
