package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/event"
	"postyard/internal/secret"
)

// described is an adapter that has a profile, and nothing else.
type described struct {
	Adapter
	profile Profile
}

func (d described) Profile() Profile { return d.profile }

// distinguished tells connections apart by their domains.
type distinguished struct{ Adapter }

func (distinguished) Distinguish(conn Connection) string { return conn.Domain }

// The ids are SendPost's; the names stand in webhook URLs that providers keep. Others come with their adapters.
func TestNames(t *testing.T) {
	t.Parallel()
	r := Registry{101: described{profile: Profile{Type: 101, Name: "toy"}}, Postmark: described{profile: Profile{Type: Postmark, Name: "another"}}, IP: described{}}
	for name, id := range map[string]Type{"sendgrid": 1, "mailgun": 2, "ses": 3, "postmark": 4, "sparkpost": 5, "custom-smtp": 6, "toy": 101} {
		if got, ok := r.Named(name); !ok || got != id || r.Name(id) != name {
			t.Errorf("Named(%q) = %d, %t; type %d is named %q", name, got, ok, id, r.Name(id))
		}
	}
	for _, name := range []string{"", "Postmark", "postmark ", "smtp", "another"} {
		if got, ok := r.Named(name); ok {
			t.Errorf("Named(%q) = %d", name, got)
		}
	}
	for _, id := range []Type{0, 7, 99, 102, IP} {
		if got := r.Name(id); got != "" {
			t.Errorf("type %d is named %q", id, got)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	r := Registry{Postmark: described{}, CustomSMTP: distinguished{}}
	conn := Connection{Key: secret.NewString("Key"), Domain: "domain"}
	if a, b := r.Identity(Postmark, conn), r.Identity(CustomSMTP, conn); a != "Key" || b != "domain" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	p := Profile{
		Fields: []Field{{FieldKey, "the token", true}, {FieldEndpoint, "the URL", false}},
		Events: []Word{{Word: "later", Kind: event.Clicked}, {Word: "no", None: true}, {Word: "first", Kind: event.Delivered}, {Word: "too", Kind: event.Clicked}},
	}
	if !p.Has(FieldKey) || p.Has(FieldPort) || p.Holds(FieldEndpoint) != "the URL" || p.Holds(FieldSecret) != "" {
		t.Errorf("%+v", p.Fields)
	}
	if diff := cmp.Diff([]event.Kind{event.Delivered, event.Clicked}, p.Kinds()); diff != "" {
		t.Error(diff)
	}
}

// Classes are stored as numbers, and shown by name.
func TestClasses(t *testing.T) {
	t.Parallel()
	for number, want := range []string{"accepted", "rejected", "inactive", "transient", "throttled", "account", "ambiguous", "invalid"} {
		if got := Class(number).String(); got != want {
			t.Errorf("class %d is %q, want %q", number, got, want)
		}
	}
}
