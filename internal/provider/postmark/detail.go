package postmark

import (
	"maps"
	"math"
	"net/netip"
	"regexp"
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
func detailOf(r record, report provider.Report, recordType string, fields ...string) event.Detail {
	d := event.Detail{
		SMTPCode:        report.SMTPCode,
		SMTPDescription: report.SMTPDescription,
		UserAgent:       userAgent(r.object("Client")),
		OS:              operatingSystem(r.object("OS")),
		ClickedURL:      r.text("OriginalLink", maxLong),
		RawUserAgent:    r.text("UserAgent", maxLong),
		Provider:        map[string]string{"RecordType": recordType},
	}
	if platform := r.text("Platform", maxField); platform != "" {
		d.Device = &event.Device{Family: platform}
	}
	if g := r.object("Geo"); len(g) > 0 {
		d.Geo, d.TrackedIP = geo(g), trackedIP(g)
	}
	for _, name := range append([]string{"MessageID", "MessageStream", "Tag"}, fields...) {
		if value := r.text(name, capOf(name)); value != "" {
			d.Provider[name] = value
		}
	}
	if id := r.server(); id != 0 {
		d.Provider["ServerID"] = strconv.FormatInt(id, 10)
	}
	keepMetadata(d.Provider, r.object("Metadata"))
	return d
}

func capOf(field string) int {
	if field == "OriginalLink" {
		return maxLong
	}
	return maxField
}

// keepMetadata copies the user's metadata; ours is told by the report itself.
func keepMetadata(to map[string]string, metadata record) {
	kept := 0
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if isOwnKey(key) || len(key) > maxID || kept == maxMetadataKeys {
			continue
		}
		if value := metadata.text(key, maxField); value != "" {
			to["Metadata."+provider.Clean(key, maxID)] = value
			kept++
		}
	}
}

// version finds the first version number of a name: "140" in "Chrome 140", "10.15.7" in "OS X 10.15.7 Catalina".
var version = regexp.MustCompile(`(?:^|\s)v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:[\s\-_+,;)]|$)`)

func versionOf(name string) (parts [4]string) {
	if match := version.FindStringSubmatch(name); match != nil {
		copy(parts[:], strings.Split(match[1], "."))
	}
	return parts
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
