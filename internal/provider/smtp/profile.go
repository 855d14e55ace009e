package smtp

import (
	"fmt"
	"strconv"

	"postyard/internal/provider"
	"postyard/internal/provider/compose"
)

// Profile implements provider.Adapter.
func (a *Adapter) Profile() provider.Profile {
	p := provider.Profile{
		Type:  provider.CustomSMTP,
		Name:  "custom-smtp",
		Title: "Custom SMTP",
		Fields: []provider.Field{
			{Name: provider.FieldEndpoint, Holds: "the mail server: " + endpointForms, Required: true},
			{Name: provider.FieldPort, Holds: fmt.Sprintf("its port, %d unless it is given, or %d with smtps", submissionPort, submissionsPort)},
			{Name: provider.FieldKey, Holds: "the user name, if the server wants one"},
			{Name: provider.FieldSecret, Holds: "the password that goes with it"},
			{Name: provider.FieldDomain, Holds: "our name for EHLO, that of this host unless it is given"},
		},
		Limits: []provider.Limit{
			{Of: "messages in one call, one after the other over one connection", Most: strconv.Itoa(batchSize)},
			{Of: "a message", Most: "what the server takes; it says so when the message is sent"},
			{Of: "a part without a space of a header's value", Most: fmt.Sprintf("%d bytes", compose.MaxToken)},
		},
		Approximations: []string{
			"a message counts as sent when the server has taken it; nothing is known of it afterwards but what Postyard's own pixels and links tell",
			"headers for a provider's metadata (" + provider.MetadataPrefix + ") are left out",
		},
		Impossible: []string{
			"deliveries, bounces and complaints are not reported",
			"the server cannot be asked whether it has a message",
			"there are no templates of the server's",
		},
	}
	if a.Own {
		p.Type, p.Name, p.Title, p.Fields = provider.IP, "", "IP", nil // the operator sets it up
	}
	return p
}

// Distinguish implements provider.Distinguisher: a user name says little without its server.
func (*Adapter) Distinguish(conn provider.Connection) string {
	return fmt.Sprintf("%s %d %q %q", conn.Endpoint, conn.Port, conn.Domain, conn.Key.Reveal())
}
