package postmark

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// inboundRule blocks a sender, or all of a domain's. It is also its own document and its own answer. No mail comes in, so that nothing is
// blocked.
type inboundRule struct {
	ID   int
	Rule string
}

const maxRules = 1000

func (v *server) putRule(rule inboundRule) {
	v.lastRule = max(v.lastRule, rule.ID)
	v.rules = append(slices.Clone(v.rules), rule)
}

func (v *server) removeRule(id int) {
	v.rules = slices.DeleteFunc(slices.Clone(v.rules), func(rule inboundRule) bool { return rule.ID == id })
}

func (v *server) restoreRule(id string, value json.RawMessage) error {
	if value == nil {
		number, err := strconv.Atoi(id)
		v.removeRule(number)
		return err
	}
	var rule inboundRule
	if err := json.Unmarshal(value, &rule); err != nil {
		return err
	}
	v.putRule(rule)
	return nil
}

type ruleList struct {
	TotalCount   int
	InboundRules []inboundRule
}

func (s *Simulator) listRules(c *call) (any, error) {
	count, offset, err := c.paging(codeRulePaging)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return ruleList{len(c.server.rules), append([]inboundRule{}, page(c.server.rules, count, offset)...)}, nil
}

func (s *Simulator) createRule(c *call) (any, error) {
	if c.body == nil {
		return nil, fail(codeNoRuleData, "No inbound rule data received.")
	}
	var r struct{ Rule string }
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	rule := inboundRule{Rule: strings.TrimSpace(r.Rule)}
	if checkAddress("Rule", rule.Rule) != nil && (!isDomain(rule.Rule) || !strings.Contains(rule.Rule, ".")) {
		return nil, fail(codeNoRuleData, "The 'Rule' must be an address or a domain.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := c.server
	switch {
	case slices.ContainsFunc(v.rules, func(old inboundRule) bool { return strings.EqualFold(old.Rule, rule.Rule) }):
		return nil, fail(codeRuleExists, "The rule '%s' exists already.", rule.Rule)
	case len(v.rules) >= maxRules:
		return nil, fail(codeNoRuleData, "There are at most %d rules.", maxRules)
	}
	rule.ID = v.lastRule + 1
	if err := s.keep(v, kindRule, strconv.Itoa(rule.ID), rule); err != nil {
		return nil, err
	}
	v.putRule(rule)
	return rule, nil
}

func (s *Simulator) deleteRule(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := c.server
	for _, rule := range v.rules {
		if strconv.Itoa(rule.ID) != c.args[0] {
			continue
		}
		if err := s.keep(v, kindRule, c.args[0], nil); err != nil {
			return nil, err
		}
		v.removeRule(rule.ID)
		return removed("Rule %s removed.", rule.Rule), nil
	}
	return nil, fail(codeNoRule, "The inbound rule was not found.")
}

type inboundRecipient struct {
	Email       string
	Name        string
	MailboxHash string
}

type inboundMessage struct {
	From              string
	FromName          string
	FromFull          inboundRecipient
	To                string
	ToFull            []inboundRecipient
	Cc                string
	CcFull            []inboundRecipient
	Bcc               string
	BccFull           []inboundRecipient
	ReplyTo           string
	OriginalRecipient string
	Subject           string
	Date              string
	MailboxHash       string
	Tag               string
	Attachments       []string
	MessageID         string
	MessageStream     string
	Status            string
}

type inboundDetails struct {
	inboundMessage
	TextBody          string
	HTMLBody          string `json:"HtmlBody"`
	StrippedTextReply string
	Headers           []headerField
	BlockedReason     *string
}

type inboundList struct {
	TotalCount      int
	InboundMessages []inboundMessage
}

// inbound is the one message that every server has got: clients have something to read, and nothing can come in.
func (v *server) inbound() inboundDetails {
	to := v.body().InboundAddress
	return inboundDetails{TextBody: "Hello.", HTMLBody: "<p>Hello.</p>", Headers: []headerField{{Name: "X-Spam-Status", Value: "No"}},
		inboundMessage: inboundMessage{From: "visitor@example.net", FromName: "Visitor", FromFull: inboundRecipient{Email: "visitor@example.net", Name: "Visitor"},
			To: to, ToFull: []inboundRecipient{{Email: to}}, CcFull: []inboundRecipient{}, BccFull: []inboundRecipient{}, OriginalRecipient: to,
			Subject: "A sample of the sandbox's", Date: "Fri, 2 Jan 2026 03:04:05 +0000", Attachments: []string{}, MessageStream: "inbound",
			MessageID: fmt.Sprintf("5a5db0c5-0000-4000-8000-%012d", v.id), Status: "Processed"}}
}

func (s *Simulator) listInbound(c *call) (any, error) {
	count, offset, err := c.paging(codeMessagePaging)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	one := c.server.inbound().inboundMessage
	var found []inboundMessage
	for key, value := range map[string]string{"recipient": one.OriginalRecipient, "fromemail": one.From, "tag": one.Tag, "mailboxhash": one.MailboxHash,
		"status": one.Status, "subject": one.Subject} {
		if wanted := c.query(key); wanted != "" && !strings.EqualFold(wanted, value) {
			return inboundList{InboundMessages: []inboundMessage{}}, nil
		}
	}
	found = append(found, one)
	return inboundList{len(found), append([]inboundMessage{}, page(found, count, offset)...)}, nil
}

func (s *Simulator) getInbound(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if one := c.server.inbound(); strings.EqualFold(one.MessageID, c.args[0]) {
		return one, nil
	}
	return nil, fail(codeNoMessage, "This message was not found.")
}

// bypassInbound and retryInbound are for messages that a rule blocked or whose hook failed; there are none.
func (*Simulator) bypassInbound(*call) (any, error) {
	return nil, fail(codeNoMessage, "This message was not found or cannot be bypassed.")
}

func (*Simulator) retryInbound(*call) (any, error) {
	return nil, fail(codeNoMessage, "This message was not found or cannot be retried.")
}
