package ses

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
)

// eventTypes are the events that we ask for: all that there are (SES-1).
var eventTypes = []string{
	"SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "OPEN", "CLICK", "RENDERING_FAILURE", "DELIVERY_DELAY", "SUBSCRIPTION",
}

// destination is where the events of a configuration set go.
type destination struct {
	Enabled            bool
	MatchingEventTypes []string
	SnsDestination     *snsDestination `json:",omitempty"`
}

type snsDestination struct{ TopicArn string }

// wantedDestination is one as it should be.
func wantedDestination(topic string) destination {
	return destination{Enabled: true, MatchingEventTypes: eventTypes, SnsDestination: &snsDestination{topic}}
}

// asWanted tells whether nothing about a destination has to change. More kinds of events do no harm.
func (d *destination) asWanted(topic string) bool {
	return d != nil && d.Enabled && d.SnsDestination != nil && d.SnsDestination.TopicArn == topic && topic != "" &&
		!slices.ContainsFunc(eventTypes, func(kind string) bool { return !slices.Contains(d.MatchingEventTypes, kind) })
}

const (
	setsPath         = "/v2/email/configuration-sets"
	destinationsPath = setsPath + "/" + configurationSet + "/event-destinations"
)

func destinationPath(name string) string { return destinationsPath + "/" + url.PathEscape(name) }

// findDestination looks for the event destination with our name; set tells whether there is a configuration set.
func (a *Adapter) findDestination(ctx context.Context, t *target, name string) (found *destination, set bool, err error) {
	const action = "GetConfigurationSetEventDestinations"
	var answer struct{ EventDestinations *[]json.RawMessage }
	err = a.ask(ctx, t, action, http.MethodGet, destinationsPath, nil, &answer)
	switch {
	case gone(err):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case answer.EventDestinations == nil:
		return nil, false, unreadable(action)
	}
	for _, item := range *answer.EventDestinations {
		var d struct {
			Name string
			destination
		}
		// One of somebody else's may be of a form that we do not know.
		if json.Unmarshal(item, &d) == nil && d.Name == name {
			return &d.destination, true, nil
		}
	}
	return nil, true, nil
}

// makeSet makes the configuration set; it is no error when somebody else has made it.
func (a *Adapter) makeSet(ctx context.Context, t *target) error {
	err := a.ask(ctx, t, "CreateConfigurationSet", http.MethodPost, setsPath, struct{ ConfigurationSetName string }{configurationSet}, nil)
	if exists(err) {
		return nil
	}
	return err
}

// saveDestination makes our event destination, or changes it.
func (a *Adapter) saveDestination(ctx context.Context, t *target, name, topic string, isThere bool) error {
	wanted := wantedDestination(topic)
	if !isThere {
		err := a.ask(ctx, t, "CreateConfigurationSetEventDestination", http.MethodPost, destinationsPath, struct {
			EventDestinationName string
			EventDestination     destination
		}{name, wanted}, nil)
		if !exists(err) {
			return err
		}
	}
	return a.ask(ctx, t, "UpdateConfigurationSetEventDestination", http.MethodPut, destinationPath(name), struct{ EventDestination destination }{wanted}, nil)
}

// removeDestination removes our event destination; it is no error when it is gone already.
func (a *Adapter) removeDestination(ctx context.Context, t *target, name string) error {
	err := a.ask(ctx, t, "DeleteConfigurationSetEventDestination", http.MethodDelete, destinationPath(name), nil, nil)
	if gone(err) {
		return nil
	}
	return err
}
