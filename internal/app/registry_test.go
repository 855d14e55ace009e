package app

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"postyard/internal/provider"
)

// The registry has each adapter under the type that it says it is, and no two have one name: webhooks are told apart by it.
func TestRegistry(t *testing.T) {
	t.Parallel()
	registry := providers(&http.Transport{}, false, time.Now)
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for kind, adapter := range registry {
		p := adapter.Profile()
		if p.Type != kind || p.Title == "" || p.Name != registry.Name(kind) {
			t.Errorf("type %d has the profile of %d, %q (%q)", kind, p.Type, p.Name, p.Title)
		}
		if kind == provider.IP {
			continue
		}
		if found, ok := registry.Named(p.Name); !name.MatchString(p.Name) || !ok || found != kind {
			t.Errorf("type %d is named %q, which is type %d", kind, p.Name, found)
		}
		if kind > provider.CustomSMTP && kind < provider.FirstOwnType {
			t.Errorf("type %d: SendPost may come to use that", kind)
		}
	}
}
