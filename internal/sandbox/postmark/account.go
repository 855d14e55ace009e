package postmark

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"postyard/internal/sandbox/store"
)

const kindServer = "server"

// Limits of added servers.
const (
	maxServers    = 100
	maxServerName = 100
	maxToken      = 200
)

// added is a server that is not of the seed, as the store has it. It begins as the seed's server is, with a name and token of its own and
// without the archived stream.
type added struct {
	Name, Token string
	CreatedAt   time.Time
	Options     *options `json:",omitempty"` // at the beginning; nil for the seed's
}

// realToken is the form of Postmark's own tokens.
var realToken = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// AddServer adds a server. Without a token it gets one; a token of the form of Postmark's own is refused, so that nobody takes one for the
// other (PM-sim 10). A *store.Refusal says what is wrong with the wish.
func (s *Simulator) AddServer(name, token string) (store.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, token = strings.TrimSpace(name), strings.TrimSpace(token)
	if token == "" {
		token = fmt.Sprintf("%s-%d", DemoServerToken, s.lastServer+1)
	}
	switch {
	case name == "" || len(name) > maxServerName || strings.ContainsFunc(name, isControl):
		return store.Server{}, &store.Refusal{Reason: fmt.Sprintf("a server needs a name of at most %d bytes", maxServerName)}
	case len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return store.Server{}, &store.Refusal{Reason: fmt.Sprintf("a token has at most %d printable ASCII characters", maxToken)}
	case strings.EqualFold(token, testToken) || strings.EqualFold(token, DemoAccountToken):
		return store.Server{}, &store.Refusal{Reason: "this token means something else"}
	case realToken.MatchString(token):
		return store.Server{}, &store.Refusal{Reason: "a token of the sandbox must not look like one of Postmark's"}
	case len(s.servers) >= maxServers:
		return store.Server{}, &store.Refusal{Reason: fmt.Sprintf("there are at most %d servers", maxServers)}
	}
	for _, v := range s.servers {
		for _, taken := range []string{v.name, v.token, v.options.Name} {
			if strings.EqualFold(taken, name) || strings.EqualFold(taken, token) {
				return store.Server{}, &store.Refusal{Reason: fmt.Sprintf("the server %q has that name or token", v.name)}
			}
		}
	}
	v, err := s.establish(added{Name: name, Token: token, CreatedAt: s.clock.Now()})
	if err != nil {
		return store.Server{}, err
	}
	return v.describe(), nil
}

// establish keeps a new server and puts it in force. The caller holds mu.
func (s *Simulator) establish(a added) (*server, error) {
	v, err := a.server(s.lastServer + 1)
	if err != nil {
		return nil, err
	}
	if err := s.store.Put(document(v, kindServer, "", a)); err != nil {
		return nil, err
	}
	s.admit(v)
	return v, nil
}

// RemoveServer takes an added server away, by its name or token. Its mails stay in the inbox. A *store.Refusal says why it stays.
func (s *Simulator) RemoveServer(which string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.serverCalled(which)
	switch {
	case v == nil:
		return ErrNoServer
	case v.added == nil:
		return &store.Refusal{Reason: "the server of the seed stays"}
	}
	return s.remove(v)
}

// remove ends an added server. The caller holds mu.
func (s *Simulator) remove(v *server) error {
	if err := s.store.Delete(document(v, kindServer, "", nil)); err != nil {
		return err
	}
	s.dismiss(v)
	return nil
}

// ErrNoServer means that there is no server of that name or token.
var ErrNoServer = errors.New("there is no such server")

// Whose tells which server a request is for: its name and its token.
func (s *Simulator) Whose(r *http.Request) [2]string {
	token := strings.TrimSpace(r.Header.Get(serverTokenHeader))
	if token == "" {
		return [2]string{}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v := s.serverCalled(token); v != nil {
		return [2]string{v.name, v.token}
	}
	return [2]string{"", token}
}

// serverCalled finds a server by name or token, without regard to case. The caller holds mu.
func (s *Simulator) serverCalled(which string) *server {
	for _, v := range s.servers {
		if strings.EqualFold(v.name, which) || strings.EqualFold(v.token, which) {
			return v
		}
	}
	return nil
}

func (a *added) server(id int) (*server, error) {
	v, err := seedServer(a.CreatedAt)
	if err != nil {
		return nil, err
	}
	v.id, v.name, v.token, v.added, v.options = id, a.Name, a.Token, a, a.Options
	if v.options == nil {
		v.options = seedOptions(a.Name)
	}
	v.streams = newStreams(a.CreatedAt)
	for _, t := range v.templates {
		t.AssociatedServerID = id
	}
	return v, nil
}

// admit puts a server in force. The caller holds mu.
func (s *Simulator) admit(v *server) {
	s.servers = append(s.servers, v)
	s.lastServer = max(s.lastServer, v.id)
}

// dismiss is its end. The number is not used again: mails are found by it. The caller holds mu.
func (s *Simulator) dismiss(v *server) {
	s.servers = slices.DeleteFunc(slices.Clone(s.servers), func(other *server) bool { return other == v })
}

// restoreServer brings back an added server, or its end.
func (s *Simulator) restoreServer(owner string, value json.RawMessage) error {
	if value == nil {
		for _, v := range s.servers {
			if v.key() == owner {
				s.dismiss(v)
			}
		}
		return nil
	}
	var a added
	var id int
	if _, err := fmt.Sscanf(owner, "%d", &id); err != nil {
		return fmt.Errorf("postmark: no number of a server: %q", owner)
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return err
	}
	v, err := a.server(id)
	if err != nil {
		return err
	}
	s.admit(v)
	return nil
}

// again returns the added servers as they were in the beginning, with their documents. The caller holds mu.
func (s *Simulator) again() (servers []*server, documents []store.Document, err error) {
	for _, old := range s.servers {
		if old.added == nil {
			continue
		}
		v, err := old.added.server(old.id)
		if err != nil {
			return nil, nil, err
		}
		servers = append(servers, v)
		documents = append(documents, document(v, kindServer, "", *old.added))
	}
	return servers, documents, nil
}

// describe is what a client needs to know of a server. The caller holds mu.
func (v *server) describe() store.Server {
	d := store.Server{Provider: Provider, Name: v.name, TokenHeader: serverTokenHeader, Token: v.token, Webhooks: len(v.webhooks),
		Streams: []string{}, Templates: []string{}}
	for _, m := range v.streams {
		if m.Type != typeInbound && !m.archived() {
			d.Streams = append(d.Streams, m.ID)
		}
	}
	for _, t := range v.templates {
		if t.Active && t.Alias != nil && t.TemplateType == typeStandard {
			d.Templates = append(d.Templates, *t.Alias)
		}
	}
	return d
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
