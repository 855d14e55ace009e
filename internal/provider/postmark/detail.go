package postmark

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postyard/internal/event"
	"postyard/internal/provider"
)

// maxLong caps links and user agents, in bytes.
const maxLong = 2048

// detailOf collects what is known of an event beyond its type. The named fields, and those that all records have, are kept
// as Postmark gave them (PM-31); so is the user's metadata, under "Metadata.<key>".
func detailOf(r record, b basis, report provider.Report, recordType string, fields ...string) event.Detail {
	kept := make(map[string]string, len(commonFields)+len(fields)+2)
	d := event.Detail{
		SMTPCode:        report.SMTPCode,
		SMTPDescription: report.SMTPDescription,
		UserAgent:       userAgent(r.object("Client")),
		OS:              operatingSystem(r.object("OS")),
		ClickedURL:      r.text("OriginalLink", maxLong),
		RawUserAgent:    r.text("UserAgent", maxLong),
		Provider:        kept,
	}
	if platform := r.text("Platform", maxField); platform != "" {
		d.Device = &event.Device{Family: platform}
	}
	if g := r.object("Geo"); len(g) > 0 {
		d.Geo, d.TrackedIP = geo(g), trackedIP(g)
	}
	kept["RecordType"] = recordType
	keepFields(kept, r, commonFields)
	keepFields(kept, r, fields)
	if id := r.server(); id != 0 {
		kept["ServerID"] = strconv.FormatInt(id, 10)
	}
	keepMetadata(kept, b.metadata)
	return d
}

// commonFields are those that all records have.
var commonFields = []string{"MessageID", "MessageStream", "Tag"}

func keepFields(to map[string]string, r record, names []string) {
	for _, name := range names {
		if value := r.text(name, capOf(name)); value != "" {
			to[name] = value
		}
	}
}

func capOf(field string) int {
	if field == "OriginalLink" {
		return maxLong
	}
	return maxField
}

// keepMetadata copies the user's metadata, in the order of its keys; ours is told by the report itself.
func keepMetadata(to map[string]string, metadata record) {
	var keys []string // mostly there are none but our own
	for _, f := range metadata {
		if !isOwnKey(f.key) && len(f.key) <= maxID {
			keys = append(keys, f.key)
		}
	}
	slices.Sort(keys)
	kept := 0
	for _, key := range slices.Compact(keys) {
		if kept == maxMetadataKeys {
			break
		}
		if value := metadata.text(key, maxField); value != "" {
			to["Metadata."+provider.Clean(key, maxID)] = value
			kept++
		}
	}
}

// versionOf finds the first version number of a name: "140" in "Chrome 140", "10.15.7" in "OS X 10.15.7 Catalina". It stands
// between spaces, perhaps with a v before it, and what follows may begin with punctuation.
func versionOf(name string) (parts [4]string) {
	for at := 0; at < len(name); {
		if parts, ok := versionAt(name[at:]); ok {
			return parts
		}
		space := strings.IndexAny(name[at:], spaces)
		if space < 0 {
			break
		}
		at += space + 1
	}
	return [4]string{}
}

const spaces = " \t\n\f\r"

// versionAt reads the version number that a text begins with: up to four numbers of up to nine digits.
func versionAt(s string) (parts [4]string, ok bool) {
	s = strings.TrimPrefix(s, "v")
	for i := range parts {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		if n == 0 || n > 9 {
			break
		}
		parts[i], s = s[:n], s[n:]
		if s == "" || strings.IndexByte(spaces+"-_+,;)", s[0]) >= 0 {
			return parts, true
		}
		if s[0] != '.' {
			break
		}
		s = s[1:]
	}
	return [4]string{}, false
}

// familyOf returns the family, or the name where no family is given.
func familyOf(r record) string {
	if family := r.text("Family", maxField); family != "" {
		return family
	}
	return r.text("Name", maxField)
}

func userAgent(r record) *event.UserAgent {
	family := familyOf(r)
	if family == "" {
		return nil
	}
	v := versionOf(r.text("Name", maxField))
	return &event.UserAgent{Family: family, Major: v[0], Minor: v[1], Patch: v[2]}
}

func operatingSystem(r record) *event.OperatingSystem {
	family := familyOf(r)
	if family == "" {
		return nil
	}
	v := versionOf(r.text("Name", maxField))
	return &event.OperatingSystem{Family: family, Major: v[0], Minor: v[1], Patch: v[2], PatchMinor: v[3]}
}

func geo(r record) *event.Geo {
	g := event.Geo{
		CountryCode: r.text("CountryISOCode", maxID), Country: r.text("Country", maxField),
		RegionCode: r.text("RegionISOCode", maxID), Region: r.text("Region", maxField),
		City: r.text("City", maxField), PostalCode: r.text("Zip", maxID),
	}
	g.Latitude, g.Longitude = coordinates(r.text("Coords", maxID))
	if g == (event.Geo{}) {
		return nil
	}
	return &g
}

// coordinates reads "29.5,-95.0"; a place off the globe is none.
func coordinates(s string) (latitude, longitude float64) {
	first, second, ok := strings.Cut(s, ",")
	if !ok {
		return 0, 0
	}
	latitude, err1 := strconv.ParseFloat(strings.TrimSpace(first), 64)
	longitude, err2 := strconv.ParseFloat(strings.TrimSpace(second), 64)
	if err1 != nil || err2 != nil || !(math.Abs(latitude) <= 90 && math.Abs(longitude) <= 180) {
		return 0, 0
	}
	return latitude, longitude
}

func trackedIP(r record) string {
	ip, err := netip.ParseAddr(r.text("IP", maxID))
	if err != nil {
		return ""
	}
	return ip.WithZone("").String()
}
