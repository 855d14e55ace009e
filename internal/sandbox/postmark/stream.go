package postmark

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Types of message streams. Broadcasts is plural.
const (
	typeInbound       = "Inbound"
	typeTransactional = "Transactional"
	typeBroadcasts    = "Broadcasts"

	maxStreams     = 10
	defaultStream  = "outbound"
	purgeAfter     = 45 * 24 * time.Hour
	maxStreamName  = 100
	maxDescription = 1000
)

var streamID = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,29}$`)

// stream is also its own document. It is replaced, not changed.
type stream struct {
	ID          string
	Name        string
	Description *string
	Type        string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ArchivedAt  time.Time
	Unsubscribe string
}

type subscriptionConfiguration struct {
	UnsubscribeHandlingType string
}

type streamBody struct {
	ID                                  string
	ServerID                            int
	Name                                string
	Description                         *string
	MessageStreamType                   string
	CreatedAt                           string
	UpdatedAt                           *string
	ArchivedAt                          *string
	ExpectedPurgeDate                   *string
	SubscriptionManagementConfiguration subscriptionConfiguration
}

func (m *stream) archived() bool { return !m.ArchivedAt.IsZero() }

func (m *stream) purge() time.Time {
	if !m.archived() {
		return time.Time{}
	}
	return m.ArchivedAt.Add(purgeAfter)
}

func (v *server) streamBody(m *stream) streamBody {
	return streamBody{ID: m.ID, ServerID: v.id, Name: m.Name, Description: m.Description, MessageStreamType: m.Type,
		CreatedAt: stamp(m.CreatedAt), UpdatedAt: stampOrNil(m.UpdatedAt), ArchivedAt: stampOrNil(m.ArchivedAt),
		ExpectedPurgeDate:                   stampOrNil(m.purge()),
		SubscriptionManagementConfiguration: subscriptionConfiguration{m.Unsubscribe}}
}

func (v *server) stream(id string) *stream {
	for _, m := range v.streams {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// findStream is stream with the API's error.
func (v *server) findStream(id string) (*stream, error) {
	if m := v.stream(strings.ToLower(id)); m != nil {
		return m, nil
	}
	return nil, fail(codeNoStream, "The message stream for the provided 'ID' was not found.")
}

func (v *server) putStream(m *stream) {
	for i, old := range v.streams {
		if old.ID == m.ID {
			v.streams[i] = m
			return
		}
	}
	v.streams = append(v.streams, m)
}

func (v *server) restoreStream(value json.RawMessage) error {
	var m stream
	if err := json.Unmarshal(value, &m); err != nil {
		return err
	}
	v.putStream(&m)
	return nil
}

// saveStream keeps a stream and puts it in force. The caller holds mu.
func (s *Simulator) saveStream(v *server, m *stream) (any, error) {
	if err := s.keep(v, kindStream, m.ID, m); err != nil {
		return nil, err
	}
	v.putStream(m)
	return v.streamBody(m), nil
}

type streamList struct {
	MessageStreams []streamBody
	TotalCount     int
}

func (s *Simulator) listStreams(c *call) (any, error) {
	kind := c.query("MessageStreamType")
	if kind == "" {
		kind = "All"
	}
	if !slices.ContainsFunc([]string{"All", typeInbound, typeTransactional, typeBroadcasts},
		func(known string) bool { return strings.EqualFold(known, kind) }) {
		return nil, fail(1221, "The 'MessageStreamType' provided is not valid.")
	}
	archived := strings.EqualFold(c.query("IncludeArchivedStreams"), "true")
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := streamList{MessageStreams: []streamBody{}}
	for _, m := range c.server.streams {
		if (archived || !m.archived()) && (strings.EqualFold(kind, "All") || strings.EqualFold(kind, m.Type)) {
			list.MessageStreams = append(list.MessageStreams, c.server.streamBody(m))
		}
	}
	list.TotalCount = len(list.MessageStreams)
	return list, nil
}

func (s *Simulator) getStream(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := c.server.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	return c.server.streamBody(m), nil
}

type streamRequest struct {
	ID                                  string
	Name                                *string
	Description                         *string
	MessageStreamType                   string
	SubscriptionManagementConfiguration *subscriptionConfiguration
}

// apply puts the editable fields of a request into a stream.
func (r *streamRequest) apply(m *stream) error {
	if r.Name != nil {
		m.Name = *r.Name
	}
	if r.Description != nil {
		m.Description = r.Description
	}
	switch {
	case m.Name == "":
		return fail(1223, "The 'Name' of the message stream is required.")
	case utf8.RuneCountInString(m.Name) > maxStreamName:
		return fail(1224, "The 'Name' of the message stream may be at most %d characters long.", maxStreamName)
	case m.Description != nil && utf8.RuneCountInString(*m.Description) > maxDescription:
		return fail(1231, "The 'Description' of the message stream may be at most %d characters long.", maxDescription)
	case m.Description != nil && strings.ContainsAny(*m.Description, "<>"):
		return fail(1234, "The 'Description' of the message stream may not contain HTML.")
	}
	if r.SubscriptionManagementConfiguration == nil {
		return nil
	}
	return m.handleUnsubscribes(r.SubscriptionManagementConfiguration.UnsubscribeHandlingType)
}

func (m *stream) handleUnsubscribes(kind string) error {
	switch {
	case kind != "None" && kind != "Postmark" && kind != "Custom":
		return fail(1240, "The 'UnsubscribeHandlingType' provided is not valid.")
	case kind == "Custom":
		return fail(1238, "The 'UnsubscribeHandlingType' 'Custom' is not permitted for this account.")
	case m.Type == typeBroadcasts && kind == "None", m.Type == typeInbound && kind != "None":
		return fail(1239, "The 'UnsubscribeHandlingType' '%s' is not supported for this type of stream.", kind)
	}
	m.Unsubscribe = kind
	return nil
}

func (s *Simulator) createStream(c *call) (any, error) {
	var r streamRequest
	if err := decode(c.object(), &r); err != nil {
		return nil, err
	}
	m := &stream{ID: r.ID, Type: r.MessageStreamType, CreatedAt: s.clock.Now(), Unsubscribe: "None"}
	if m.Type == typeBroadcasts {
		m.Unsubscribe = "Postmark"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.server.checkNewStream(m); err != nil {
		return nil, err
	}
	if err := r.apply(m); err != nil {
		return nil, err
	}
	return s.saveStream(c.server, m)
}

// checkNewStream holds the rules for ids, types and numbers (PM-sim 31).
func (v *server) checkNewStream(m *stream) error {
	switch {
	case m.ID == "":
		return fail(1222, "The 'ID' of the message stream is required.")
	case !streamID.MatchString(m.ID):
		return fail(1227, "The 'ID' must begin with a letter and may hold only lower-case letters, digits, '-' and '_', "+
			"at most 30 of them.")
	case strings.HasPrefix(m.ID, "pm-"):
		return fail(1233, "The 'ID' of a message stream may not begin with 'pm-'.")
	case m.ID == "all":
		return fail(1237, "The 'ID' provided is reserved.")
	case m.Type == typeInbound:
		return fail(1228, "A server may have only one inbound stream.")
	case m.Type != typeTransactional && m.Type != typeBroadcasts:
		return fail(1221, "The 'MessageStreamType' provided is not valid.")
	case v.stream(m.ID) != nil:
		return fail(1230, "A message stream with this 'ID' exists already.")
	}
	live := 0
	for _, other := range v.streams {
		if !other.archived() {
			live++
		}
	}
	if live >= maxStreams {
		return fail(1225, "A server may have at most %d message streams.", maxStreams)
	}
	return nil
}

func (s *Simulator) editStream(c *call) (any, error) {
	var r streamRequest
	if err := decode(c.object(), &r); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := c.server.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	m := *old
	if err := r.apply(&m); err != nil {
		return nil, err
	}
	m.UpdatedAt = s.clock.Now()
	return s.saveStream(c.server, &m)
}

type archiveBody struct {
	ID                string
	ServerID          int
	ExpectedPurgeDate string
}

func (s *Simulator) archiveStream(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := c.server.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	if s.settings.Of(c.server.name).RefuseArchive { // PM-sim 32
		return nil, fail(codeNotArchived, "Stream is unable to be archived at this time.")
	}
	if old.ID == defaultStream || old.Type == typeInbound {
		return nil, fail(1229, "The default transactional and inbound streams cannot be archived.")
	}
	m := *old
	if !m.archived() {
		m.ArchivedAt = s.clock.Now()
	}
	if _, err := s.saveStream(c.server, &m); err != nil {
		return nil, err
	}
	return archiveBody{ID: m.ID, ServerID: c.server.id, ExpectedPurgeDate: stamp(m.purge())}, nil
}

func (s *Simulator) unarchiveStream(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := c.server.findStream(c.args[0])
	if err != nil {
		return nil, err
	}
	if old.archived() && s.clock.Now().After(old.purge()) {
		return nil, fail(1232, "The message stream can no longer be unarchived.")
	}
	m := *old
	m.ArchivedAt = time.Time{}
	return s.saveStream(c.server, &m)
}

// object is the body, or an empty object.
func (c *call) object() []byte {
	if c.body == nil {
		return []byte("{}")
	}
	return c.body
}

// newStreams are those of a new server (PM-sim 31).
func newStreams(now time.Time) []*stream {
	return []*stream{
		newStream(now, defaultStream, "Default Transactional Stream", typeTransactional, "None"),
		newStream(now, "inbound", "Default Inbound Stream", typeInbound, "None"),
		newStream(now, "broadcast", "Default Broadcast Stream", typeBroadcasts, "Postmark"),
	}
}

// seedStreams are those of the seed's server: a new one's, and one that is archived.
func seedStreams(now time.Time) []*stream {
	retired := newStream(now, "retired", "Retired Stream", typeTransactional, "None")
	retired.ArchivedAt = now
	return append(newStreams(now), retired)
}

func newStream(now time.Time, id, name, kind, unsubscribe string) *stream {
	return &stream{ID: id, Name: name, Type: kind, CreatedAt: now, Unsubscribe: unsubscribe,
		Description: new(fmt.Sprintf("The sandbox's %s stream.", strings.ToLower(name)))}
}
