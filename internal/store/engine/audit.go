package engine

import (
	"strings"

	"postyard/internal/store"
)

// AuditAtOnce is how many entries of the audit log a transaction forgets at most.
const AuditAtOnce = 500

// AuditText is what an entry is searched by.
func AuditText(e *store.AuditEntry) string {
	return strings.ToLower(strings.Join([]string{e.Operation, e.Target, e.Path, e.Actor.Name, e.Address}, "\n"))
}
