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
	name         string
	token        string
	domains      []string // verified sender domains, lower case
	trackOpens   bool
	trackLinks   string
	streams      []*stream
	webhooks     []*webhook
	templates    []*template
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

type serverBody struct {
	ID                         int
	Name                       string
	APITokens                  []string `json:"ApiTokens"`
	Color                      string
	SMTPAPIActivated           bool `json:"SmtpApiActivated"`
	RawEmailEnabled            bool
	DeliveryType               string
	ServerLink                 string
	InboundAddress             string
	InboundHash                string
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

// body is the server as GET /server shows it (PM-sim 33).
func (v *server) body() serverBody {
	hash := fmt.Sprintf("sandbox%d", v.id)
	return serverBody{ID: v.id, Name: v.name, APITokens: []string{v.token}, Color: "Turqoise", SMTPAPIActivated: true,
		DeliveryType: "Live", ServerLink: fmt.Sprintf("https://www.postmarkapp.com/servers/%d/overview", v.id),
		InboundAddress: hash + "@inbound.sandbox.test", InboundHash: hash, TrackOpens: v.trackOpens, TrackLinks: v.trackLinks}
}

func (s *Simulator) getServer(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return c.server.body(), nil
}

type serverList struct {
	TotalCount int
	Servers    []serverBody
}

func (s *Simulator) listServers(c *call) (any, error) {
	count, offset, err := c.paging(600)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := serverList{Servers: []serverBody{}}
	name := strings.ToLower(c.query("name"))
	for _, v := range s.servers {
		if !strings.Contains(strings.ToLower(v.name), name) {
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
	for _, v := range s.servers {
		if v.key() == c.args[0] {
			return v.body(), nil
		}
	}
	return nil, fail(601, "The server was not found.")
}
