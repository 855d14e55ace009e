package sendgrid

import (
	"bytes"
	"encoding/json"
	"errors"
)

// value is a field of a request that knows whether it was there at all, and whether it had another type than it should: SendGrid has a
// text for each such slip. null is as good as absent.
type value[T any] struct {
	set, wrong bool
	of         T
}

// UnmarshalJSON never fails.
func (v *value[T]) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		return nil
	}
	var of T
	v.wrong = json.Unmarshal(raw, &of) != nil
	v.set, v.of = true, of
	return nil
}

// address is a person in a request.
type address struct {
	Email value[string] `json:"email"`
	Name  value[string] `json:"name"`
}

// show is an address as a header has it.
func (a address) show() string {
	if a.Name.of == "" {
		return a.Email.of
	}
	return a.Name.of + " <" + a.Email.of + ">"
}

type people = value[[]value[address]]

// texts is an object all of whose values are to be strings.
type texts = value[map[string]value[string]]

// pairs is such an object in its order, with the keys that come twice.
type pairs []pair

type pair struct {
	key  string
	text value[string]
}

// UnmarshalJSON reads an object.
func (p *pairs) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return errors.New("not an object")
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		one := pair{}
		one.key, _ = token.(string) // keys are
		if err := dec.Decode(&one.text); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

// personalization is one mail of a request.
type personalization struct {
	To            people                            `json:"to"`
	Cc            people                            `json:"cc"`
	Bcc           people                            `json:"bcc"`
	From          value[address]                    `json:"from"`
	Subject       value[string]                     `json:"subject"`
	Headers       value[pairs]                      `json:"headers"`
	CustomArgs    texts                             `json:"custom_args"`
	Substitutions texts                             `json:"substitutions"`
	Data          value[map[string]json.RawMessage] `json:"dynamic_template_data"`
	SendAt        value[int64]                      `json:"send_at"`
}

type part struct {
	Type  value[string] `json:"type"`
	Value value[string] `json:"value"`
}

type attachment struct {
	Content     value[string] `json:"content"` // base64
	Type        value[string] `json:"type"`
	Filename    value[string] `json:"filename"`
	Disposition value[string] `json:"disposition"`
	ContentID   value[string] `json:"content_id"`
}

type asm struct {
	Group   value[int64]          `json:"group_id"`
	Display value[[]value[int64]] `json:"groups_to_display"`
}

type toggle struct {
	Enable     value[bool] `json:"enable"`
	EnableText value[bool] `json:"enable_text"` // of click tracking
}

type mailSettings struct {
	Bypass  value[toggle] `json:"bypass_list_management"`
	Footer  value[toggle] `json:"footer"`
	Sandbox value[toggle] `json:"sandbox_mode"`
}

type trackingSettings struct {
	Click        value[toggle] `json:"click_tracking"`
	Open         value[toggle] `json:"open_tracking"`
	Subscription value[toggle] `json:"subscription_tracking"`
	Analytics    value[toggle] `json:"ganalytics"`
}

// request is what the mails of one request have in common. It is not changed once it was accepted.
type request struct {
	From        value[address]             `json:"from"`
	ReplyTo     value[address]             `json:"reply_to"`
	ReplyToList people                     `json:"reply_to_list"`
	Subject     value[string]              `json:"subject"`
	Content     value[[]value[part]]       `json:"content"`
	Attachments value[[]value[attachment]] `json:"attachments"`
	TemplateID  value[string]              `json:"template_id"`
	Headers     value[pairs]               `json:"headers"`
	Categories  value[[]value[string]]     `json:"categories"`
	CustomArgs  texts                      `json:"custom_args"`
	Sections    texts                      `json:"sections"`
	SendAt      value[int64]               `json:"send_at"`
	BatchID     value[string]              `json:"batch_id"`
	ASM         value[asm]                 `json:"asm"`
	IPPool      value[string]              `json:"ip_pool_name"`
	Mail        value[mailSettings]        `json:"mail_settings"`
	Tracking    value[trackingSettings]    `json:"tracking_settings"`
}

// envelope is a whole request, taken apart.
type envelope struct {
	request
	personalizations value[[]value[personalization]]

	shared json.RawMessage   // the request without its personalizations
	own    []json.RawMessage // these
}

// open takes a request apart. The halves are what is decoded, so that they can be decoded again after a restart.
func open(raw []byte) (*envelope, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	e := &envelope{}
	var list value[[]json.RawMessage]
	if raw, ok := fields[fieldPersonalizations]; ok {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		delete(fields, fieldPersonalizations)
	}
	e.own, e.personalizations.set, e.personalizations.wrong = list.of, list.set, list.wrong
	var err error
	if e.shared, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(e.shared, &e.request); err != nil {
		return nil, err
	}
	e.personalizations.of = make([]value[personalization], len(e.own))
	for i, raw := range e.own {
		if err := json.Unmarshal(raw, &e.personalizations.of[i]); err != nil {
			return nil, err
		}
	}
	return e, nil
}

const fieldPersonalizations = "personalizations"

// on tells whether a setting is switched on; where the request does not say, it is as otherwise.
func on(t value[toggle], pick func(toggle) value[bool], otherwise bool) bool {
	if flag := pick(t.of); flag.set {
		return flag.of
	}
	return otherwise
}

func enable(t toggle) value[bool]     { return t.Enable }
func enableText(t toggle) value[bool] { return t.EnableText }

// sandboxed tells whether the request is to be checked and not sent.
func (r *request) sandboxed() bool { return on(r.Mail.of.Sandbox, enable, false) }

// bypasses tells whether suppression lists do not count.
func (r *request) bypasses() bool { return on(r.Mail.of.Bypass, enable, false) }

// tracksOpens tells whether an open would be noticed.
func (r *request) tracksOpens() bool {
	return on(r.Tracking.of.Open, enable, true) && r.part("text/html") != ""
}

// tracksClicks tells in which parts clicks would be noticed.
func (r *request) tracksClicks() (inHTML, inText bool) {
	click := r.Tracking.of.Click
	tracked := on(click, enable, true)
	return tracked && r.part("text/html") != "", tracked && on(click, enableText, false) && r.part("text/plain") != ""
}

// part is the first part of a type.
func (r *request) part(kind string) string {
	for _, p := range r.Content.of {
		if p.of.Type.of == kind {
			return p.of.Value.of
		}
	}
	return ""
}

// groupOf is the unsubscribe group of the mail; 0 is none.
func (r *request) groupOf() int64 { return r.ASM.of.Group.of }

// recipients are the addresses that get the mail, in the order of to, cc, bcc.
func (p *personalization) recipients() []string {
	var list []string
	for _, field := range []people{p.To, p.Cc, p.Bcc} {
		for _, one := range field.of {
			list = append(list, one.of.Email.of)
		}
	}
	return list
}

// args are the custom arguments of a mail: its own before those of the request.
func (r *request) args(p *personalization) map[string]string {
	merged := make(map[string]string, len(r.CustomArgs.of)+len(p.CustomArgs.of))
	for _, from := range []texts{r.CustomArgs, p.CustomArgs} {
		for key, text := range from.of {
			merged[key] = text.of
		}
	}
	return merged
}
