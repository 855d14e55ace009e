package engine

import (
	"strings"

	"postyard/internal/store"
)

// AuditText is what an entry is searched by.
func AuditText(e *store.AuditEntry) string {
	return strings.ToLower(strings.Join([]string{e.Operation, e.Target, e.Path, e.Actor.Name, e.Address}, "\n"))
}
