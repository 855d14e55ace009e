package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"postyard/internal/event"
	"postyard/internal/quickjson"
)

// NoDetail is the encoded event.Detail of events of which nothing more is known.
var NoDetail = []byte("{}")

// Detail encodes the detail of an event; nil is none. It says what encoding/json would say, in a fraction of the time: every
// report of a provider has one.
func Detail(d *event.Detail) ([]byte, error) {
	if d == nil {
		return NoDetail, nil
	}
	if d.Geo != nil && (!plain(d.Geo.Latitude) || !plain(d.Geo.Longitude)) {
		b, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("encode event detail: %w", err)
		}
		return b, nil
	}
	b := append(make([]byte, 0, detailBytes), '{')
	if d.SMTPCode != 0 {
		b = strconv.AppendInt(quickjson.AppendKey(b, "smtpCode"), int64(d.SMTPCode), 10)
	}
	b = quickjson.AppendOptional(b, "smtpDescription", d.SMTPDescription)
	if u := d.UserAgent; u != nil {
		b = append(quickjson.AppendKey(b, "userAgent"), '{')
		b = quickjson.AppendField(b, "Family", u.Family)
		b = quickjson.AppendField(b, "Major", u.Major)
		b = quickjson.AppendField(b, "Minor", u.Minor)
		b = append(quickjson.AppendField(b, "Patch", u.Patch), '}')
	}
	if o := d.OS; o != nil {
		b = append(quickjson.AppendKey(b, "os"), '{')
		b = quickjson.AppendField(b, "Family", o.Family)
		b = quickjson.AppendField(b, "Major", o.Major)
		b = quickjson.AppendField(b, "Minor", o.Minor)
		b = quickjson.AppendField(b, "Patch", o.Patch)
		b = append(quickjson.AppendField(b, "PatchMinor", o.PatchMinor), '}')
	}
	if d.Device != nil {
		b = append(quickjson.AppendField(append(quickjson.AppendKey(b, "device"), '{'), "Family", d.Device.Family), '}')
	}
	if d.Geo != nil {
		b = appendGeo(append(quickjson.AppendKey(b, "geo"), '{'), d.Geo)
	}
	b = quickjson.AppendOptional(b, "clickedURL", d.ClickedURL)
	b = quickjson.AppendOptional(b, "trackedIP", d.TrackedIP)
	b = quickjson.AppendOptional(b, "rawUserAgent", d.RawUserAgent)
	if len(d.Provider) > 0 {
		b = quickjson.AppendStrings(quickjson.AppendKey(b, "provider"), d.Provider)
	}
	if len(b) == 1 {
		return NoDetail, nil
	}
	return append(b, '}'), nil
}

// detailBytes is about how large a detail is.
const detailBytes = 1 << 10

// appendGeo writes what follows the brace.
func appendGeo(b []byte, g *event.Geo) []byte {
	b = quickjson.AppendField(b, "cityID", g.CityID)
	b = quickjson.AppendField(b, "continentCode", g.ContinentCode)
	b = quickjson.AppendField(b, "countryCode", g.CountryCode)
	b = quickjson.AppendField(b, "postalCode", g.PostalCode)
	b = quickjson.AppendField(b, "timeZone", g.TimeZone)
	b = quickjson.AppendField(b, "city", g.City)
	b = quickjson.AppendField(b, "country", g.Country)
	b = quickjson.AppendField(b, "region", g.Region)
	b = quickjson.AppendField(b, "regionCode", g.RegionCode)
	b = strconv.AppendFloat(quickjson.AppendKey(b, "latitude"), g.Latitude, 'f', -1, 64)
	b = strconv.AppendFloat(quickjson.AppendKey(b, "longitude"), g.Longitude, 'f', -1, 64)
	return append(b, '}')
}

// plain tells whether a number is written without an exponent.
func plain(f float64) bool { return f == 0 || math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21 }
