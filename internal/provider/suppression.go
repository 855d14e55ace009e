package provider

import (
	"context"
	"slices"
	"time"
)

// Reason is why an address gets no mail. The numbers are SendPost's.
type Reason uint8

// The reasons.
const (
	Manual        Reason = iota // somebody entered it, or the provider does not say why it delivers nothing there
	Unsubscribed                // the recipient asked for no more mail
	HardBounce                  // the recipient's server refused the address for good
	SpamComplaint               // the recipient complained
)

// reasonNames are SendPost's, as the listing's filter and the lists of a creation have them.
var reasonNames = [...]string{"manual", "unsubscribe", "hardBounce", "spamComplaint"}

// String returns the reason's public name.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "invalid"
}

// ReasonNamed finds a reason by its public name.
func ReasonNamed(name string) (Reason, bool) {
	i := slices.Index(reasonNames[:], name)
	return Reason(max(i, 0)), i >= 0
}

// Listed is an entry of a provider's suppression list.
type Listed struct {
	Email  string // in lower case
	Reason Reason
	At     time.Time // since when it stands there
}

// MostSuppressions is the most addresses of one call of a Suppressor.
const MostSuppressions = 50

// Suppressor is an Adapter whose provider keeps a list of addresses that it delivers nothing to, and lets it be read and changed.
type Suppressor interface {
	// SuppressionList reads the whole list of the connection's stream. With an error nothing is known of it, least of all that an
	// address is not there.
	SuppressionList(ctx context.Context, conn Connection) ([]Listed, error)

	// SuppressAddresses puts addresses, MostSuppressions at most and in lower case, on the list, and ReleaseAddresses takes them
	// off. refused has those that the provider would not change, with its words; one that is on the list already, or not there,
	// is none of them. With an error nobody knows which were changed: doing it again is harmless.
	SuppressAddresses(ctx context.Context, conn Connection, emails []string) (refused map[string]string, err error)
	ReleaseAddresses(ctx context.Context, conn Connection, emails []string) (refused map[string]string, err error)
}
