package provider

import (
	"context"
	"net/http"
	"time"
)

// Inspector is an Adapter whose provider can be looked at closely. Nothing is changed there. Its errors are *SetupError.
type Inspector interface {
	// InspectHook says, for people, in what the webhook that stands at the provider differs from the one that Register would put there;
	// nothing when it is right.
	InspectHook(ctx context.Context, conn Connection, hook Hook) (faults []string, err error)

	// InspectTemplate looks for a template that messages name by the alias.
	InspectTemplate(ctx context.Context, conn Connection, alias string) (TemplateStanding, error)

	// Clock returns the provider's time, to the second, whether it takes the connection's key or not.
	Clock(ctx context.Context, conn Connection) (time.Time, error)

	// Sample makes a webhook request as the provider would, about no message: Authentic accepts it from who has the credentials, and
	// Parse finds nothing to keep in it.
	Sample(conn Connection, c Credentials) (http.Header, []byte)
}

// TemplateStanding is what a provider says of a template.
type TemplateStanding uint8

// The standings of a template.
const (
	TemplateReady    TemplateStanding = iota // messages may name it
	TemplateMissing                          // there is none with the alias
	TemplateInactive                         // it cannot be sent now
	TemplateLayout                           // it goes around others, and is not sent by itself
)
