package postmark

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// server is a Postmark server: a token with streams, templates, webhooks and suppressions of its own. Guarded by Simulator.mu.
type server struct {
	added        *added // nil for the seed's
	id           int
	name         string // as the control API and the store know it; it stays when the API renames the server
	token        string
	options      *options
	streams      []*stream
	webhooks     []*webhook
	templates    []*template
	rules        []inboundRule
	bulks        map[string]*bulk
	lastRule     int
	lastWebhook  int
	lastTemplate int64
	stats        webhookStats
	paused       map[int][]string  // triggers, by webhook
	changes      map[int64]*change // that webhooks have not been told of yet
	lastChange   int64
	suppressions map[suppressionKey]*suppression
	bounces      []bounceRef // and complaints, in the order in which they happened
	tracked      []bounceRef // opens and clicks that the read API lists, in that order
}

// Kinds of documents in the store.
const (
	kindOptions     = "options"
	kindRule        = "rule"
	kindBulk        = "bulk"
	kindStream      = "stream"
	kindPaused      = "paused"
	kindChange      = "change"
	kindWebhook     = "webhook"
	kindTemplate    = "template"
	kindSuppression = "suppression"
)

func (v *server) key() string { return strconv.Itoa(v.id) }

func (v *server) restore(kind, id string, value json.RawMessage) error {
	switch kind {
	case kindOptions:
		return v.restoreOptions(value)
	case kindRule:
		return v.restoreRule(id, value)
	case kindBulk:
		return v.restoreBulk(value)
	case kindStream:
		return v.restoreStream(value)
	case kindPaused:
		return v.restorePaused(id, value)
	case kindChange:
		return v.restoreChange(value)
	case kindWebhook:
		return v.restoreWebhook(id, value)
	case kindTemplate:
		return v.restoreTemplate(value)
	case kindSuppression:
		return v.restoreSuppression(id, value)
	}
	return fmt.Errorf("postmark: unknown kind of document %q", kind)
}

// options is what the API can change about a server. It is replaced, not changed, so that messages can hold on to those that they were
// sent with, and is also its own document.
type options struct {
	Name                       string
	Color                      string
	SMTPAPIActivated           bool `json:"SmtpApiActivated"`
	RawEmailEnabled            bool
	DeliveryType               string
	InboundDomain              string
	InboundHookURL             string `json:"InboundHookUrl"`
	InboundSpamThreshold       int
	BounceHookURL              string `json:"BounceHookUrl"`
	OpenHookURL                string `json:"OpenHookUrl"`
	DeliveryHookURL            string `json:"DeliveryHookUrl"`
	ClickHookURL               string `json:"ClickHookUrl"`
	PostFirstOpenOnly          bool
	TrackOpens                 bool
	TrackLinks                 string
	IncludeBounceContentInHook bool
	EnableSMTPAPIErrorHooks    bool `json:"EnableSmtpApiErrorHooks"`
}

// Values of DeliveryType. Mail of a sandbox server is handled as any other, and marked.
const (
	deliveryLive    = "Live"
	deliverySandbox = "Sandbox"
)

// seedOptions are those of the seed's server and of servers that the control API adds.
func seedOptions(name string) *options {
	o := newOptions(name)
	o.TrackOpens, o.TrackLinks = true, linksBoth
	return o
}

// newOptions are those of a server of which the API was told the name alone.
func newOptions(name string) *options {
	return &options{Name: name, Color: "Turqoise", SMTPAPIActivated: true, DeliveryType: deliveryLive, TrackLinks: linksNone}
}

func (v *server) restoreOptions(value json.RawMessage) error {
	var o options
	if err := json.Unmarshal(value, &o); err != nil {
		return err
	}
	v.options = &o
	return nil
}

type serverBody struct {
	ID             int
	APITokens      []string `json:"ApiTokens"`
	ServerLink     string
	InboundAddress string
	InboundHash    string
	options
}

// body is the server as GET /server shows it (PM-sim 33).
func (v *server) body() serverBody {
	hash := fmt.Sprintf("sandbox%d", v.id)
	return serverBody{ID: v.id, APITokens: []string{v.token}, ServerLink: fmt.Sprintf("https://www.postmarkapp.com/servers/%d/overview", v.id),
		InboundAddress: hash + "@inbound.sandbox.test", InboundHash: hash, options: *v.options}
}

func (s *Simulator) getServer(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.serverOf(c)
	if err != nil {
		return nil, err
	}
	return v.body(), nil
}

type serverList struct {
	TotalCount int
	Servers    []serverBody
}

func (s *Simulator) listServers(c *call) (any, error) {
	count, offset, err := c.paging(codeServerPaging)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := serverList{Servers: []serverBody{}}
	name := strings.ToLower(c.query("name"))
	for _, v := range s.servers {
		if !strings.Contains(strings.ToLower(v.options.Name), name) {
			continue
		}
		if list.TotalCount >= offset && len(list.Servers) < count {
			list.Servers = append(list.Servers, v.body())
		}
		list.TotalCount++
	}
	return list, nil
}

func (s *Simulator) getServerByID(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.findServer(c.args[0])
	if err != nil {
		return nil, err
	}
	return v.body(), nil
}

// findServer finds a server by the id of a path. The caller holds mu.
func (s *Simulator) findServer(id string) (*server, error) {
	for _, v := range s.servers {
		if v.key() == id {
			return v, nil
		}
	}
	return nil, fail(codeNoServer, "The server was not found.")
}
