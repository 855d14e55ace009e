package store

import (
	"context"
	"time"

	"postyard/internal/provider"
)

// Templates mirrors the templates of providers. What is mirrored of a deleted TPSP stays until it is dropped: messages may
// still need it.
type Templates interface {
	// SaveTemplates replaces all that is mirrored of a TPSP in use, in one transaction. Aliases are unique within the list, and
	// the same but for case are two. Only what differs (by its hash) is written. ErrNotFound: there is no such TPSP in use.
	SaveTemplates(ctx context.Context, tpspID int32, list []MirroredTemplate, at time.Time) (MirrorChange, error)

	// DropTemplates removes what is mirrored of a TPSP.
	DropTemplates(ctx context.Context, tpspID int32) error

	// TemplateIndex returns what is mirrored, without the parts of the templates, in the order of TPSPs and aliases.
	TemplateIndex(ctx context.Context) (TemplateIndex, error)

	// TemplateRevision returns the Revision that TemplateIndex would return; it costs little.
	TemplateRevision(ctx context.Context) (int64, error)

	// Template returns one template with its parts, by its exact alias, or ErrNotFound.
	Template(ctx context.Context, tpspID int32, alias string) (*MirroredTemplate, error)
}

// MirroredTemplate is a template as the last sync read it.
type MirroredTemplate struct {
	provider.Template
	AccountID int32 // given by the store
	TPSPID    int32 // given by the store
	Hash      [32]byte
	Fault     string    // why it cannot be rendered here, "" when it can
	ChangedAt time.Time // given by the store: when a sync found it as it is
}

// Mirror tells of a TPSP whose templates were read.
type Mirror struct {
	TPSPID   int32
	SyncedAt time.Time // when they were read last
}

// TemplateIndex is what is mirrored, at one moment.
type TemplateIndex struct {
	Revision  int64    // changes with every sync, and when templates are dropped
	Mirrors   []Mirror // of TPSPs that were read at least once
	Templates []MirroredTemplate
}

// MirrorChange counts what a sync changed.
type MirrorChange struct{ Added, Changed, Removed int }
