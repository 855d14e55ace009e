package provider

import (
	"maps"
	"slices"

	"postyard/internal/event"
)

// Profile describes a kind of provider: what the product must know of it that is no behaviour, and what its page in the documents says.
// All texts are plain English without a full stop at the end.
type Profile struct {
	Type   Type    // its id in the API: SendPost's where SendPost has one, else one from FirstOwnType
	Name   string  // in URLs and filters: lower-case letters, digits and hyphens, such as "postmark"; it never changes, because webhooks have it
	Title  string  // for people: "Postmark"
	Fields []Field // what a connection holds, in the order in which people fill it in; other fields have no meaning
	Limits []Limit // of a call and of a message
	Events []Word  // each of the provider's words for an event, in the order in which they are documented; none for a Silent one

	Approximations []string // what is carried, but not exactly as it was asked for
	Impossible     []string // what the provider, or this adapter, cannot do that others can
}

// FirstOwnType is where the ids begin of the kinds of providers that SendPost has none for.
const FirstOwnType Type = 101

// The fields of a connection, as the API names them.
const (
	FieldKey      = "key"
	FieldSecret   = "secret"
	FieldDomain   = "domain"
	FieldEndpoint = "endpoint"
	FieldPort     = "port"
	FieldStream   = "messageStream"
)

// Field is one field of a connection and what it means to this provider.
type Field struct {
	Name     string // one of the constants above
	Holds    string // "the Server API Token of a server"
	Required bool
}

// Limit is one limit that a message or a call must keep.
type Limit struct {
	Of   string // "messages in one call"
	Most string // with its unit: "500", "10 MB"
}

// Word is one of the provider's words for an event, and what it becomes.
type Word struct {
	Word string     // as the provider writes it, with what else decides: "bounce, type blocked"
	Kind event.Kind // its type is that of the adapter's family
	None bool       // it is taken, and becomes no event; Kind says nothing
	Note string     // what else follows: "suppresses the address", "sent again by another provider"; "" for nothing
}

// Has tells whether a connection has a field.
func (p *Profile) Has(field string) bool {
	return slices.ContainsFunc(p.Fields, func(f Field) bool { return f.Name == field })
}

// Holds says what a field of a connection holds, "" when the connection has no such field.
func (p *Profile) Holds(field string) string {
	for _, f := range p.Fields {
		if f.Name == field {
			return f.Holds
		}
	}
	return ""
}

// Kinds returns the kinds of events that the provider's words become, each once, in the order of their numbers.
func (p *Profile) Kinds() []event.Kind {
	var kinds []event.Kind
	for _, w := range p.Events {
		if !w.None {
			kinds = append(kinds, w.Kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Distinguisher is an Adapter whose connections are not told apart by their keys as they are written.
type Distinguisher interface {
	// Distinguish returns a text that is equal for connections to the same account of the provider, and different for others; the
	// stream is not in it. Its hash is stored, so it must not change between versions.
	Distinguish(conn Connection) string
}

// Identity returns what tells the connections of one type apart, together with their streams: the key, unless the adapter knows better.
func (r Registry) Identity(t Type, conn Connection) string {
	if d, ok := r[t].(Distinguisher); ok {
		return d.Distinguish(conn)
	}
	return conn.Key.Reveal()
}

// published are the names of the types that SendPost has ids for. They stand also for those that have no adapter.
var published = map[Type]string{
	SendGrid: "sendgrid", Mailgun: "mailgun", AmazonSES: "ses", Postmark: "postmark", SparkPost: "sparkpost", CustomSMTP: "custom-smtp",
}

// Name returns a type's name in URLs and filters, such as "postmark"; "" for a type that nobody knows, and for IP.
func (r Registry) Name(t Type) string {
	if name := published[t]; name != "" || t == IP || r[t] == nil {
		return name
	}
	p := r[t].Profile()
	return p.Name
}

// Named finds a type by its name in URLs and filters.
func (r Registry) Named(name string) (Type, bool) {
	if name == "" {
		return 0, false
	}
	for t, known := range published {
		if known == name {
			return t, true
		}
	}
	for t := range r {
		if r.Name(t) == name {
			return t, true
		}
	}
	return 0, false
}

// All returns the adapters of the kinds of providers that can be connected, by their types' numbers; that of IP is none of them.
func (r Registry) All() []Adapter {
	var list []Adapter
	for _, t := range slices.Sorted(maps.Keys(r)) {
		if t != IP {
			list = append(list, r[t])
		}
	}
	return list
}
