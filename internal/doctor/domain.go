package doctor

import (
	"fmt"
	"strings"

	"postyard/internal/directory"
)

// domains looks at the domains that the account has whitelisted, when mail leaves by one of the providers that is signed with their keys.
func (e *exam) domains(list []*directory.TPSP) []Check {
	if e.Domains == nil || !e.signs(list) {
		return nil
	}
	var faults, fixes []string
	n := 0
	for _, d := range e.view.UsedDomains() {
		if e.view.SubAccount(e.accountID, d.SubAccountID) == nil {
			continue
		}
		n++
		if dkim := e.Domains.Checks(d).DKIM; !dkim.Verified {
			faults = append(faults, fmt.Sprintf("mail from %s leaves without a signature: %s", d.Name, dkim.Reason))
			fixes = append(fixes, fmt.Sprintf("postyard domains show %[1]s, set the record, then postyard domains verify %[1]s, with the key of sub-account %[2]d",
				d.Name, d.SubAccountID))
		} else if dkim.Reason != "" {
			faults = append(faults, fmt.Sprintf("%s: %s", d.Name, dkim.Reason))
			fixes = append(fixes, "postyard domains verify "+d.Name)
		}
	}
	const most = 5
	switch {
	case n == 0:
		return nil
	case len(faults) == 0:
		return []Check{{Name: Domains, Status: OK, Message: fmt.Sprintf("DNS has the keys of all whitelisted domains (%d)", n)}}
	}
	return []Check{{Name: Domains, Status: Warn, Message: strings.Join(faults[:min(len(faults), most)], "; "), Fix: strings.Join(fixes[:min(len(fixes), most)], "; ")}}
}

// signs tells whether one of the providers gets mail that we sign.
func (e *exam) signs(list []*directory.TPSP) bool {
	for _, t := range list {
		if a := e.Adapters[t.Type]; a != nil && a.Capabilities().Composes {
			return true
		}
	}
	return false
}
