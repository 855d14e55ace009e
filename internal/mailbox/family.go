package mailbox

import "strings"

// byFamily matches the countries' forms of the brands that have one in nearly every country: brand.com, brand.de,
// brand.co.uk, brand.com.br. Nothing else may follow or precede the brand, so neither live.myshop.com nor
// outlook.company.de is taken for it.
func byFamily(d string) (Class, bool) {
	brand, rest, ok := strings.Cut(d, ".")
	if !ok || !isCountryForm(rest) {
		return "", false
	}
	switch brand {
	case "hotmail", "outlook", "live":
		return Microsoft, true
	case "yahoo":
		return Yahoo, true
	case "yandex":
		return Yandex, true
	case "gmx":
		return GMX, true
	}
	return "", false
}

// isCountryForm reports whether suffix is com, a country's top-level domain, or co or com below one.
func isCountryForm(suffix string) bool {
	if suffix == "com" || suffix == "com.co" || isCountry(suffix) { // com.co is Colombia's own, co is not
		return true
	}
	second, country, ok := strings.Cut(suffix, ".")
	return ok && (second == "co" || second == "com") && isCountry(country)
}

// isCountry reports whether tld has the form of a country's domain, two letters (RFC 1591), without those that are sold
// to everyone as if they were generic: there a stranger is as likely as the brand (live.me is one).
func isCountry(tld string) bool {
	if len(tld) != 2 || !isLower(tld[0]) || !isLower(tld[1]) {
		return false
	}
	switch tld {
	case "ac", "ai", "cc", "co", "fm", "gg", "io", "ly", "me", "sh", "so", "to", "tv", "vc", "ws":
		return false
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
