package store

import "strings"

// reasons are the types of bounces that providers name: Postmark's.
var reasons = []string{"AddressChange", "AutoResponder", "BadEmailAddress", "Blocked", "ChallengeVerification", "DMARCPolicy", "DnsError", "HardBounce",
	"InboundError", "ManuallyDeactivated", "OpenRelayTest", "SMTPApiError", "SoftBounce", "SpamComplaint", "SpamNotification", "Subscribe",
	"TemplateRenderingFailed", "Transient", "Unconfirmed", "Unknown", "Unsubscribe", "VirusNotification"}

// The names that are counted on their own; longer ones stand before those that they begin with.
var (
	devices = []string{"Desktop", "Mobile", "Tablet", "WebMail"}
	systems = []string{"Android", "BlackBerry", "Chrome OS", "Fedora", "FreeBSD", "iOS", "iPadOS", "Linux", "macOS", "Mac OS X", "OS X", "Symbian", "Tizen",
		"Ubuntu", "webOS", "Windows Phone", "Windows"}
	clients = []string{"AirMail", "Amazon Silk", "Android", "AOL", "Apple Mail", "AquaMail", "BlackBerry", "Brave", "Chrome Mobile", "Chrome", "Chromium",
		"Edge", "eM Client", "Entourage", "Evolution", "Firefox Mobile", "Firefox", "Gmail", "Google Image Proxy", "GoogleImageProxy", "IBM Notes", "IE Mobile",
		"IE", "Internet Explorer", "iPad", "iPhone", "iOS", "K-9 Mail", "KMail", "Lotus Notes", "Mail.ru", "Mailbird", "Mobile Safari", "Opera Mini", "Opera", "Outlook",
		"Postbox", "Roundcube", "Safari", "Samsung", "Spark", "Thunderbird", "UC Browser", "Vivaldi", "Windows Live Mail", "Windows Mail", "Yahoo", "Yandex", "Zimbra", "Zoho"}
)

// Names returns the names that are counted on their own, beside OtherValue and UnknownValue: of reasons those that providers name (others are
// codes of replies), of devices, clients and systems all; of other dimensions none. The caller must not change them.
func Names(d Dimension) []string {
	switch d {
	case DimensionReason:
		return reasons
	case DimensionDevice:
		return devices
	case DimensionClient:
		return clients
	case DimensionOS:
		return systems
	default:
		return nil
	}
}

// CountryCode returns a country's code of two letters in capitals, as statistics have it. It is false for what is none.
func CountryCode(text string) (code string, ok bool) {
	if len(text) != 2 || !isLetter(text[0]) || !isLetter(text[1]) {
		return "", false
	}
	return strings.ToUpper(text), true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
