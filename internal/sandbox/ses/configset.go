package ses

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// configurationSet groups event destinations; a message names one.
type configurationSet struct {
	Name         string
	Paused       bool
	Created      time.Time
	Destinations []destination
}

// destination is where events of a set are published.
type destination struct {
	Name               string
	Enabled            bool
	MatchingEventTypes []string
	SNSDestination     *snsDestination `json:"SnsDestination"`
}

type snsDestination struct {
	TopicARN string `json:"TopicArn"`
}

// Types of events, as messages have them, and as event destinations name them.
const (
	eventSend         = "Send"
	eventReject       = "Reject"
	eventBounce       = "Bounce"
	eventComplaint    = "Complaint"
	eventDelivery     = "Delivery"
	eventOpen         = "Open"
	eventClick        = "Click"
	eventRendering    = "Rendering Failure"
	eventDelay        = "DeliveryDelay"
	eventSubscription = "Subscription"
)

var matching = map[string]string{eventSend: "SEND", eventReject: "REJECT", eventBounce: "BOUNCE", eventComplaint: "COMPLAINT",
	eventDelivery: "DELIVERY", eventOpen: "OPEN", eventClick: "CLICK", eventRendering: "RENDERING_FAILURE", eventDelay: "DELIVERY_DELAY",
	eventSubscription: "SUBSCRIPTION"}

const maxDestinations = 10

// plainName is the alphabet of names of configuration sets and event destinations.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func checkName(what, name string) error {
	if !plainName.MatchString(name) {
		return bad("Invalid %s name <%s>: only alphanumeric ASCII characters, '_', and '-' are allowed, 64 at most.", what, name)
	}
	return nil
}

// set finds a configuration set. The caller holds mu.
func (a *account) set(name string) (*configurationSet, error) {
	if set := a.sets[name]; set != nil {
		return set, nil
	}
	return nil, notFound(typeNotFound, "Configuration set <%s> does not exist.", name)
}

// publishes are the topics, one for each destination, to which a set publishes a type of events. The caller holds mu.
func (a *account) publishes(set, eventType string) []string {
	var topics []string
	if found := a.sets[set]; found != nil {
		for _, d := range found.Destinations {
			if d.Enabled && slices.Contains(d.MatchingEventTypes, matching[eventType]) {
				topics = append(topics, d.SNSDestination.TopicARN)
			}
		}
	}
	return topics
}

type setList struct {
	ConfigurationSets []string
	NextToken         string `json:",omitempty"`
}

func (s *Simulator) listSets(c *call) (any, error) {
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.sets))
	s.mu.RUnlock()
	page, next, err := c.page(names)
	return setList{append([]string{}, page...), next}, err
}

type sendingOptions struct{ SendingEnabled bool }

type setRequest struct {
	ConfigurationSetName string
	SendingOptions       *sendingOptions
}

func (s *Simulator) createSet(c *call) (any, error) {
	var r setRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	if err := checkName("configuration set", r.ConfigurationSetName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets[r.ConfigurationSetName] != nil {
		return nil, fail(typeAlreadyExists, "Configuration set <%s> already exists.", r.ConfigurationSetName)
	}
	return none{}, s.saveSet(&configurationSet{Name: r.ConfigurationSetName, Created: s.clock.Now(),
		Paused: r.SendingOptions != nil && !r.SendingOptions.SendingEnabled})
}

// saveSet keeps a set and puts it in force. The caller holds mu.
func (s *Simulator) saveSet(set *configurationSet) error {
	if err := s.put(kindSet, set.Name, set); err != nil {
		return err
	}
	s.sets[set.Name] = set
	return nil
}

type setBody struct {
	ConfigurationSetName string
	SendingOptions       sendingOptions
}

func (s *Simulator) getSet(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	set, err := s.set(c.args[0])
	if err != nil {
		return nil, err
	}
	return setBody{set.Name, sendingOptions{!set.Paused}}, nil
}

func (s *Simulator) deleteSet(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set, err := s.set(c.args[0])
	if err != nil {
		return nil, err
	}
	if err := s.drop(kindSet, set.Name); err != nil {
		return nil, err
	}
	delete(s.sets, set.Name)
	return none{}, nil
}

func (s *Simulator) putSetSending(c *call) (any, error) {
	var r sendingOptions
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	return s.changeSet(c.args[0], func(set *configurationSet) error {
		set.Paused = !r.SendingEnabled
		return nil
	})
}

// changeSet changes a copy of a set, which replaces it.
func (s *Simulator) changeSet(name string, change func(*configurationSet) error) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.set(name)
	if err != nil {
		return nil, err
	}
	set := *old
	set.Destinations = slices.Clone(old.Destinations)
	if err := change(&set); err != nil {
		return nil, err
	}
	return none{}, s.saveSet(&set)
}

type destinationList struct{ EventDestinations []destination }

func (s *Simulator) listDestinations(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	set, err := s.set(c.args[0])
	if err != nil {
		return nil, err
	}
	return destinationList{append([]destination{}, set.Destinations...)}, nil
}

type destinationRequest struct {
	EventDestinationName string
	EventDestination     *destinationDefinition
}

type destinationDefinition struct {
	Enabled                    bool
	MatchingEventTypes         []string
	SNSDestination             *snsDestination `json:"SnsDestination"`
	KinesisFirehoseDestination *none
	CloudWatchDestination      *none
	EventBridgeDestination     *none
	PinpointDestination        *none
}

// named checks a definition and gives it a name. The caller holds mu.
func (a *account) named(name string, d *destinationDefinition) (destination, error) {
	switch {
	case d == nil:
		return destination{}, bad("EventDestination is required.")
	case len(d.MatchingEventTypes) == 0:
		return destination{}, bad("MatchingEventTypes must name at least one type of events.")
	case d.KinesisFirehoseDestination != nil || d.CloudWatchDestination != nil || d.EventBridgeDestination != nil || d.PinpointDestination != nil:
		return destination{}, bad("The simulator knows event destinations of Amazon SNS only.")
	case d.SNSDestination == nil:
		return destination{}, bad("An event destination must have exactly one destination.")
	}
	known := slices.Sorted(maps.Values(matching))
	for _, wanted := range d.MatchingEventTypes {
		if !slices.Contains(known, wanted) {
			return destination{}, bad("Invalid event type <%s>; it must be one of %s.", wanted, strings.Join(known, ", "))
		}
	}
	if a.topics[d.SNSDestination.TopicARN] == nil {
		return destination{}, bad("SNS topic <%s> not found.", d.SNSDestination.TopicARN)
	}
	return destination{Name: name, Enabled: d.Enabled, MatchingEventTypes: d.MatchingEventTypes, SNSDestination: d.SNSDestination}, nil
}

// validated is what SES publishes to the topic of a new event destination.
const validated = "Successfully validated SNS topic for Amazon SES event publishing."

func (s *Simulator) createDestination(c *call) (any, error) {
	var r destinationRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	if err := checkName("event destination", r.EventDestinationName); err != nil {
		return nil, err
	}
	var postings []posting
	answer, err := s.changeSet(c.args[0], func(set *configurationSet) error {
		if slices.ContainsFunc(set.Destinations, func(d destination) bool { return d.Name == r.EventDestinationName }) {
			return fail(typeAlreadyExists, "Event destination <%s> already exists in configuration set <%s>.", r.EventDestinationName, set.Name)
		}
		if len(set.Destinations) >= maxDestinations {
			return fail(typeLimit, "Configuration set <%s> has %d event destinations already.", set.Name, maxDestinations)
		}
		d, err := s.named(r.EventDestinationName, r.EventDestination)
		if err != nil {
			return err
		}
		set.Destinations = append(set.Destinations, d)
		postings = s.announce(d.SNSDestination.TopicARN, validated)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, s.queue(postings)
}

func (s *Simulator) editDestination(c *call) (any, error) {
	var r destinationRequest
	if err := decode(c.body, &r); err != nil {
		return nil, err
	}
	return s.changeSet(c.args[0], func(set *configurationSet) error {
		at, err := set.destination(c.args[1])
		if err != nil {
			return err
		}
		d, err := s.named(c.args[1], r.EventDestination)
		if err == nil {
			set.Destinations[at] = d
		}
		return err
	})
}

func (s *Simulator) deleteDestination(c *call) (any, error) {
	return s.changeSet(c.args[0], func(set *configurationSet) error {
		at, err := set.destination(c.args[1])
		if err == nil {
			set.Destinations = slices.Delete(set.Destinations, at, at+1)
		}
		return err
	})
}

func (set *configurationSet) destination(name string) (int, error) {
	at := slices.IndexFunc(set.Destinations, func(d destination) bool { return d.Name == name })
	if at < 0 {
		return 0, notFound(typeNotFound, "Event destination <%s> does not exist in configuration set <%s>.", name, set.Name)
	}
	return at, nil
}

// queue makes deliveries of postings and has them made.
func (s *Simulator) queue(postings []posting) error {
	deliveries, err := s.sign(postings)
	if err != nil {
		return err
	}
	s.hooks.Queue(deliveries...)
	return nil
}
