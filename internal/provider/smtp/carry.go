package smtp

import (
	"strconv"
	"time"

	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/provider/compose"
)

// CanCarry implements provider.Adapter. How large a message may be is the server's to say, when it is sent.
func (*Adapter) CanCarry(c *mail.Content, _ provider.Terms) *mail.FieldError {
	if c.HTML == "" && c.Text == "" {
		return mail.Invalid("missing_body", "htmlBody", "custom SMTP sends what the request holds: give htmlBody or textBody")
	}
	return form.Check(c.Headers)
}

// form is how mail servers get messages.
var form compose.Form

// Headers of every message (CS-8).
const (
	messageHeader    = "X-Sendpost-Message-UUID"
	accountHeader    = "X-Sendpost-Account-ID"
	subAccountHeader = "X-Sendpost-SubAccount-ID"
	tpspHeader       = "X-Sendpost-TPSP-ID"
	typeHeader       = "X-Sendpost-TPSP-Type"
)

// write writes a message as it leaves.
func write(out *provider.Outgoing, now time.Time) (*compose.Message, error) {
	own := map[string]string{
		messageHeader: out.ID.String(), accountHeader: number(out.AccountID), subAccountHeader: number(out.SubAccountID),
	}
	if out.TPSPID > 0 { // not through an IP
		own[tpspHeader], own[typeHeader] = number(out.TPSPID), strconv.Itoa(int(provider.CustomSMTP))
	}
	return form.Write(out, own, now)
}

func number(id int32) string { return strconv.Itoa(int(id)) }

// Write implements provider.Writer.
func (a *Adapter) Write(_ provider.Connection, out *provider.Outgoing) (provider.Written, error) {
	m, err := write(out, a.Now())
	if err != nil {
		return provider.Written{}, err
	}
	return provider.Written{MediaType: provider.MediaMIME, Body: m.Raw}, nil
}
