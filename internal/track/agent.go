package track

import (
	"strings"

	"github.com/mileusna/useragent"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// How many bytes are kept of a user agent, and of the name of a program that is not known: that is all that it says.
const (
	maxAgent = 512
	maxName  = 64
)

// mailPrograms are named after a browser whose engine they use, but for a word.
var mailPrograms = []struct {
	mark, name string
	proxy      bool // it loads pictures for the readers of web mail, and says nothing of them
}{
	{"GoogleImageProxy", "Google Image Proxy", true}, {"YahooMailProxy", "Yahoo Mail Proxy", true},
	{"Thunderbird", "Thunderbird", false}, {"Postbox", "Postbox", false}, {"Microsoft Outlook", "Outlook", false}, {"MSOffice", "Outlook", false},
	{"Outlook-iOS", "Outlook", false}, {"Outlook-Android", "Outlook", false}, {"K-9 Mail", "K-9 Mail", false}, {"Airmail", "AirMail", false},
}

// detailOf says what is known of a visit.
func detailOf(agent, ip, target string) event.Detail {
	d := event.Detail{ClickedURL: target, TrackedIP: ip, RawUserAgent: agent}
	if agent == "" {
		return d
	}
	ua := useragent.Parse(agent)
	for _, p := range mailPrograms {
		at := strings.Index(agent, p.mark)
		if at < 0 {
			continue
		}
		ua.Name, ua.Version = p.name, versionIn(agent[at+len(p.mark):])
		if p.proxy {
			d.UserAgent, d.Device = &event.UserAgent{Family: p.name}, &event.Device{Family: "WebMail"}
			return d
		}
		break
	}
	d.UserAgent = &event.UserAgent{Family: provider.Clean(ua.Name, maxName), Major: part(ua.Version, 0), Minor: part(ua.Version, 1), Patch: part(ua.Version, 2)}
	d.OS = &event.OperatingSystem{Family: ua.OS, Major: part(ua.OSVersion, 0), Minor: part(ua.OSVersion, 1), Patch: part(ua.OSVersion, 2)}
	switch {
	case ua.Bot:
	case ua.Tablet:
		d.Device = &event.Device{Family: "Tablet"}
	case ua.Mobile:
		d.Device = &event.Device{Family: "Mobile"}
	case ua.Desktop:
		d.Device = &event.Device{Family: "Desktop"}
	}
	return d
}

// versionIn returns the version that follows a program's name: "/115.6.0 ...", " 16.0.1".
func versionIn(rest string) string {
	if rest == "" || rest[0] != '/' && rest[0] != ' ' {
		return ""
	}
	end := 1
	for end < len(rest) && (rest[end] >= '0' && rest[end] <= '9' || rest[end] == '.') {
		end++
	}
	return rest[1:end]
}

// part returns a part of a version.
func part(version string, i int) string {
	parts := strings.SplitN(version, ".", 4)
	if i < len(parts) {
		return provider.Clean(parts[i], maxName)
	}
	return ""
}
