package ses

import "postyard/internal/provider"

// Profile implements provider.Adapter.
func (*Adapter) Profile() provider.Profile {
	return provider.Profile{
		Type:  provider.AmazonSES,
		Name:  "ses",
		Title: "Amazon SES",
		Fields: []provider.Field{
			{Name: provider.FieldKey, Holds: "the access key id", Required: true},
			{Name: provider.FieldSecret, Holds: "the secret access key", Required: true},
			{Name: provider.FieldEndpoint, Holds: endpointForms, Required: true},
			{Name: provider.FieldDomain, Holds: "the region, where the endpoint does not say it"},
		},
	}
}
