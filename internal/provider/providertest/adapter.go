package providertest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/provider"
	"postyard/internal/secret"
)

func testCapabilities(t *testing.T, h Harness) {
	c := h.adapter(t).Capabilities()
	if c.BatchSize < 1 || c.PerHour < 0 {
		t.Errorf("%+v", c)
	}
	if _, ok := event.TypeOf(c.Family, event.Sent); !ok {
		t.Errorf("the family %d has no event for what was sent", c.Family)
	}
	if c.Silent && (c.CanLookup || c.Recalls || c.Tracks || c.Templates) {
		t.Errorf("a provider that reports nothing tells of messages: %+v", c)
	}
	if c.CanLookup && h.Search == nil || c.Recalls && (h.Past == nil || h.Told == nil) {
		t.Error("the harness cannot play what the adapter asks")
	}
	if !c.Silent && (h.Hooks == nil || h.SetUp == nil || len(h.Fixtures) == 0) {
		t.Error("the harness has no webhooks for an adapter that is not silent")
	}
	if c.Silent && (h.Hooks != nil || h.SetUp != nil || len(h.Fixtures) != 0) {
		t.Error("the harness has webhooks for a silent adapter")
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// fieldNames are the fields that a connection has.
var fieldNames = []string{provider.FieldKey, provider.FieldSecret, provider.FieldDomain, provider.FieldEndpoint, provider.FieldPort, provider.FieldStream}

func testProfile(t *testing.T, h Harness) {
	a := h.adapter(t)
	p := a.Profile()
	if p.Type < 1 || p.Type > provider.CustomSMTP && p.Type < provider.FirstOwnType {
		t.Errorf("Type = %d", p.Type)
	}
	if registry := (provider.Registry{p.Type: a}); !nameForm.MatchString(p.Name) || registry.Name(p.Type) != p.Name || p.Title == "" {
		t.Errorf("Name = %q, Title = %q; the registry has %q", p.Name, p.Title, registry.Name(p.Type))
	}
	var seen []string
	for _, f := range p.Fields {
		if !slices.Contains(fieldNames, f.Name) || slices.Contains(seen, f.Name) {
			t.Errorf("field %q is none, or there twice", f.Name)
		}
		seen = append(seen, f.Name)
		worded(t, "field "+f.Name, f.Holds)
	}
	if a.Capabilities().Streams != p.Has(provider.FieldStream) {
		t.Errorf("Streams is %t, and the profile does not agree", a.Capabilities().Streams)
	}
	for _, l := range p.Limits {
		worded(t, "limit", l.Of)
		worded(t, "limit of "+l.Of, l.Most)
	}
	for _, text := range slices.Concat(p.Approximations, p.Impossible) {
		worded(t, "text", text)
	}
	if len(p.Limits) == 0 {
		t.Error("a provider without limits")
	}
}

// worded checks a text of a profile.
func worded(t *testing.T, what, text string) {
	t.Helper()
	if text == "" || strings.TrimSpace(text) != text || strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n|") {
		t.Errorf("%s: %q is empty, has spaces around it, a full stop at its end, or what a table cannot have", what, text)
	}
}

func testWords(t *testing.T, h Harness) {
	a := h.adapter(t)
	p, c := a.Profile(), a.Capabilities()
	if c.Silent != (len(p.Events) == 0) {
		t.Errorf("%d words of a provider that is silent: %t", len(p.Events), c.Silent)
	}
	seen := make(map[string]bool)
	for _, w := range p.Events {
		worded(t, "word", w.Word)
		if seen[w.Word] {
			t.Errorf("%q is there twice", w.Word)
		}
		seen[w.Word] = true
		if w.Note != "" {
			worded(t, w.Word, w.Note)
		}
		if _, ok := event.TypeOf(c.Family, w.Kind); !w.None && !ok {
			t.Errorf("%q is of a kind (%d) that has no type in the family %d", w.Word, w.Kind, c.Family)
		}
	}
}

func testCanCarry(t *testing.T, h Harness) {
	if err := h.adapter(t).CanCarry(h.Content(), provider.Terms{}); err != nil {
		t.Errorf("refused: %v", err)
	}
	a := h.adapter(t)
	raw := &mail.Content{From: mail.Address{Email: "noreply@example.com"}, Subject: "Hello", HTML: "<p>Hello</p>", Text: "Hello"}
	if bad := a.CanCarry(raw, provider.Terms{Raw: true}); bad != nil {
		t.Errorf("a plain message is refused: %v", bad)
	}
	if bad := a.CanCarry(raw, provider.Terms{}); (bad != nil) != a.Capabilities().Reluctant {
		t.Errorf("a message without a template: %v, and Reluctant is %t", bad, a.Capabilities().Reluctant)
	}
	if bad := a.CanCarry(&mail.Content{From: raw.From, Subject: "Hello"}, provider.Terms{Raw: true}); bad == nil || bad.Code == "" || bad.Field == "" || bad.Message == "" {
		t.Errorf("a message without a body: %+v", bad)
	}
}

func testStreams(t *testing.T, h Harness) {
	a := h.adapter(t)
	streams, err := a.Streams(t.Context(), h.down(t))
	if !a.Capabilities().Streams {
		if err != nil || len(streams) != 0 {
			t.Errorf("%v, %v of a provider without streams", streams, err)
		}
		return
	}
	if refusal := refused(t, err, true); refusal.Code != provider.CodeUnreachable {
		t.Errorf("%+v", refusal)
	}
}

// refused checks that an error is a refusal for the user.
func refused(t *testing.T, err error, retry bool) *provider.SetupError {
	t.Helper()
	refusal, ok := errors.AsType[*provider.SetupError](err)
	if !ok {
		t.Fatalf("%v is not a SetupError", err)
	}
	if refusal.Code == "" || refusal.Message == "" || refusal.Retry != retry {
		t.Errorf("%+v; want words, and Retry %t", refusal, retry)
	}
	hidden(t, refusal.Message)
	return refusal
}

// hidden checks that a text does not show the key.
func hidden(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(strings.ToLower(text), strings.ToLower(Key)) {
		t.Errorf("the key shows: %s", text)
	}
}

// clear takes a field out of a connection.
func clearField(conn provider.Connection, field string) provider.Connection {
	switch field {
	case provider.FieldKey:
		conn.Key = secret.String{}
	case provider.FieldSecret:
		conn.Secret = secret.String{}
	case provider.FieldDomain:
		conn.Domain = ""
	case provider.FieldEndpoint:
		conn.Endpoint = ""
	case provider.FieldPort:
		conn.Port = 0
	case provider.FieldStream:
		conn.Stream = ""
	}
	return conn
}

// unusable checks that a connection is refused for a field: by Normalize, or by Check, without a message leaving.
func (h Harness) unusable(t *testing.T, conn provider.Connection, field string) {
	t.Helper()
	a := h.adapter(t)
	if n, ok := a.(provider.Normalizer); ok {
		if _, bad := n.Normalize(conn); bad == nil || bad.Field != field || bad.Code == "" || bad.Message == "" {
			t.Errorf("Normalize: %+v; want the %s refused", bad, field)
		} else {
			hidden(t, bad.Message)
		}
	}
	if refusal := refused(t, a.Check(t.Context(), conn), false); refusal.Field != field {
		t.Errorf("Check refuses the %q, not the %s: %s", refusal.Field, field, refusal.Message)
	}
	batch := h.batch(t, 1)
	outcomes := a.Send(t.Context(), conn, batch)
	sound(t, outcomes, batch)
	all(t, outcomes, provider.Account)
}

func testRequired(t *testing.T, h Harness) {
	p := h.adapter(t).Profile()
	good := h.serve(t, nil)
	for _, f := range p.Fields {
		if !f.Required {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			conn := good
			if h.SetUp != nil {
				conn = h.SetUp(t).Conn
			}
			h.unusable(t, clearField(conn, f.Name), f.Name)
		})
	}
}

func testBadEndpoints(t *testing.T, h Harness) {
	for _, endpoint := range []string{
		"ftp://provider.example", "http://", "http://user:password@provider.example", "mailto:somebody@provider.example",
		"http://provider.example/?a=b", "http://[::1", "//provider.example", "http://provider.example/#part",
	} {
		t.Run(endpoint, func(t *testing.T) {
			conn := h.connection(h.Wire.Endpoint("127.0.0.1:9", false))
			conn.Endpoint = endpoint
			h.unusable(t, conn, provider.FieldEndpoint)
		})
	}
}

// shown is a connection with its secrets, for comparison.
type shown struct {
	Domain, Endpoint, Key, Secret, Stream string
	Port                                  int
}

func show(c provider.Connection) shown {
	return shown{c.Domain, c.Endpoint, c.Key.Reveal(), c.Secret.Reveal(), c.Stream, c.Port}
}

func testGiven(t *testing.T, h Harness) {
	n, ok := h.adapter(t).(provider.Normalizer)
	if ok != (len(h.Given) > 0) {
		t.Fatalf("%d connections are given to an adapter that is a Normalizer: %t", len(h.Given), ok)
	}
	for _, g := range h.Given {
		got, bad := n.Normalize(g.Conn)
		switch {
		case g.Field != "" && (bad == nil || bad.Field != g.Field):
			t.Errorf("%s: %+v; want the %s refused", g.Name, bad, g.Field)
		case g.Field == "" && bad != nil:
			t.Errorf("%s: %v", g.Name, bad)
		case g.Field == "" && show(got) != show(g.Want):
			t.Errorf("%s:\n got %+v\nwant %+v", g.Name, show(got), show(g.Want))
		}
	}
}

func testNormalizedTwice(t *testing.T, h Harness) {
	n, ok := h.adapter(t).(provider.Normalizer)
	if !ok {
		return // there is nothing to repeat; the endpoint and the key are tidied for all such adapters alike
	}
	list := []provider.Connection{h.connection(h.Wire.Endpoint("127.0.0.1:9", false))}
	for _, g := range h.Given {
		list = append(list, g.Conn)
	}
	for _, conn := range list {
		once, bad := n.Normalize(conn)
		if bad != nil {
			continue
		}
		twice, bad := n.Normalize(once)
		if bad != nil || show(twice) != show(once) || twice.AccountID != conn.AccountID || twice.TPSPID != conn.TPSPID {
			t.Errorf("once %+v, twice %+v, %v", show(once), show(twice), bad)
		}
	}
}

func testSecretsHidden(t *testing.T, h Harness) {
	a := h.adapter(t)
	conn := h.connection(h.Wire.Endpoint("127.0.0.1:9", false))
	hidden(t, fmt.Sprintf("%v %+v %#v", conn, conn, conn))
	n, ok := a.(provider.Normalizer)
	for _, endpoint := range []string{Key, "ftp://" + Key, "http://" + Key + "@provider.example", "http://provider.example/?key=" + Key} {
		bad := conn
		bad.Endpoint = endpoint
		if ok {
			got, err := n.Normalize(bad)
			hidden(t, fmt.Sprintf("%+v", got.Key)+fmt.Sprintf("%+v", got.Secret))
			if err != nil && endpoint != Key {
				hidden(t, err.Message)
			}
		}
	}
	// What a user pastes with a line end or with spaces must not leave as a part of a header.
	for _, odd := range []string{Key + "\r\nX-Other: 1", Key + " " + Key, "\x00" + Key, Key + "é"} {
		broken := conn
		if broken.Key.Reveal() == Key {
			broken.Key = secret.NewString(odd)
		} else {
			broken.Secret = secret.NewString(odd)
		}
		batch := h.batch(t, 1)
		outcomes := a.Send(t.Context(), broken, batch)
		sound(t, outcomes, batch)
		all(t, outcomes, provider.Account, provider.Transient)
	}
}

func testToldApart(t *testing.T, h Harness) {
	a := h.adapter(t)
	p := a.Profile()
	r := provider.Registry{p.Type: a}
	conn := h.connection(h.Wire.Endpoint("127.0.0.1:9", false))
	same, other := conn, conn
	same.TPSPID, same.Stream = 99, "another"
	other.Key = secret.NewString("another-" + conn.Key.Reveal())
	if one := r.Identity(p.Type, conn); one == "" || one != r.Identity(p.Type, same) || one == r.Identity(p.Type, other) {
		t.Errorf("%d bytes; the same connection, and another key: %t, %t", len(one), one == r.Identity(p.Type, same), one == r.Identity(p.Type, other))
	}
}
