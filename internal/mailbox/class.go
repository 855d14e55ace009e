// Package mailbox tells which mailbox provider receives the mail of a domain, in the 27 classes that SendPost counts,
// limits and routes by (its API calls the class emailType).
//
// [ByName] knows what can be told from the name alone: consumer domains and the tenant domains of two hosters. A company's
// own domain shows its host (Google Workspace, Office 365, a security gateway) only in its MX records: [ByHosts] knows what
// can be told from them. Package mx looks them up.
//
// The package does no I/O and imports nothing else of this module.
package mailbox

import (
	"fmt"
	"slices"
)

// Class is a mailbox provider class, by SendPost's key for it ("gmail" in gmailSettings and gmailWarmupPlan).
type Class string

// The classes, in the order of their ids. SendPost publishes the ids 0 to 11 (guide to the routing strategy by email
// provider); 12 to 26 are Postyard's own and follow on.
const (
	Gmail           Class = "gmail"           // 0: gmail.com and googlemail.com
	Yahoo           Class = "yahoo"           // 1: Yahoo Inc., without Yahoo Japan
	AOL             Class = "aol"             // 2: AOL and the brands that it took over
	Microsoft       Class = "microsoft"       // 3: Outlook.com, Hotmail, Live, MSN
	Comcast         Class = "comcast"         // 4
	Yandex          Class = "yandex"          // 5
	GMX             Class = "gmx"             // 6: GMX, WEB.DE, mail.com
	MailRu          Class = "mailru"          // 7
	ICloud          Class = "icloud"          // 8
	Zoho            Class = "zoho"            // 9: Zoho's consumer domains
	QQ              Class = "qq"              // 10
	Default         Class = "default"         // 11: everyone else, and what is not known
	ATT             Class = "att"             // 12
	Office365       Class = "office365"       // 13: Microsoft 365 tenants
	GoogleWorkspace Class = "googleworkspace" // 14: companies at Google
	Proofpoint      Class = "proofpoint"      // 15
	Mimecast        Class = "mimecast"        // 16
	Barracuda       Class = "barracuda"       // 17
	CiscoIronPort   Class = "ciscoironport"   // 18
	Rackspace       Class = "rackspace"       // 19
	ZohoBusiness    Class = "zohobusiness"    // 20: companies at Zoho
	AmazonWorkMail  Class = "amazonworkmail"  // 21
	Symantec        Class = "symantec"        // 22
	Fortinet        Class = "fortinet"        // 23
	Sophos          Class = "sophos"          // 24
	TrendMicro      Class = "trendmicro"      // 25
	CheckPoint      Class = "checkpoint"      // 26
)

// Classes returns all classes in the order of their ids: the class with id i is at index i.
func Classes() []Class {
	return []Class{
		Gmail, Yahoo, AOL, Microsoft, Comcast, Yandex, GMX, MailRu, ICloud, Zoho, QQ, Default,
		ATT, Office365, GoogleWorkspace, Proofpoint, Mimecast, Barracuda, CiscoIronPort, Rackspace, ZohoBusiness,
		AmazonWorkMail, Symantec, Fortinet, Sophos, TrendMicro, CheckPoint,
	}
}

// ID returns the number of the class, 0 to 26. A Class that is none of the constants has the id of [Default].
func (c Class) ID() int {
	if id := slices.Index(Classes(), c); id >= 0 {
		return id
	}
	return defaultID
}

const defaultID = 11

// ByID returns the class with that id. An id outside 0 to 26 is an error.
func ByID(id int) (Class, error) {
	all := Classes()
	if id < 0 || id >= len(all) {
		return "", fmt.Errorf("mailbox provider id %d is not between 0 and %d", id, len(all)-1)
	}
	return all[id], nil
}

// Parse returns the class of that key, such as "gmail". Other text is an error.
func Parse(key string) (Class, error) {
	if c := Class(key); slices.Contains(Classes(), c) {
		return c, nil
	}
	return "", fmt.Errorf("unknown mailbox provider %q", key)
}
