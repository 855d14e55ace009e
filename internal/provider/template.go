package provider

import (
	"context"
)

// Template is one template that a provider holds, as its user wrote it.
type Template struct {
	Alias   string // by which messages name it
	Name    string // for people
	Layout  bool   // it goes around others, and is not sent by itself
	Around  string // the alias of the layout that goes around it, "" for none
	Subject string
	HTML    string // "" when it has no such part
	Text    string
}

// Limits of what is mirrored of one connection.
const (
	MaxTemplates     = 500      // Postmark has at most 100 on a server
	MaxTemplateBytes = 16 << 20 // of all together
)

// Bytes returns how much there is to store of a template.
func (t *Template) Bytes() int {
	return len(t.Alias) + len(t.Name) + len(t.Around) + len(t.Subject) + len(t.HTML) + len(t.Text)
}

// TemplateSource is an adapter whose provider lets its templates be read.
type TemplateSource interface {
	// Templates reads all templates that messages may name, and the layouts. It reads one after the other, and gives up with
	// an error for people when there are more than MaxTemplates, or more than MaxTemplateBytes. No error holds the key.
	Templates(ctx context.Context, conn Connection) ([]Template, error)
}
