package sendgrid

import "postyard/internal/provider"

// Profile implements provider.Adapter.
func (*Adapter) Profile() provider.Profile {
	return provider.Profile{
		Type:  provider.SendGrid,
		Name:  "sendgrid",
		Title: "SendGrid",
		Fields: []provider.Field{
			{Name: provider.FieldKey, Holds: "an API key", Required: true},
			{Name: provider.FieldSecret, Holds: "the API key, where key is left out"},
			{Name: provider.FieldEndpoint, Holds: "the base URL of the API, " + defaultEndpoint + " unless it is given"},
		},
	}
}
