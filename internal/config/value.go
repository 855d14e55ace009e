package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"postyard/internal/secret"
)

// value says how the text of an option becomes a field of Config. The error of set is the rule that the text breaks;
// it does not quote the text.
type value struct {
	typ   string // for people: "duration"
	limit string // for people: "1s to 10m"; empty = none
	list  bool   // several, separated by commas, or a YAML list
	more  bool   // the flag may be given several times: each adds to the list
	flip  bool   // a flag without a value means true
	hide  bool   // errors must not quote the text: it is, or may hold, a secret
	key   bool   // it is a secret: not shown in any way

	set func(c *Config, text string) error
}

func field[T any](typ, limit string, at func(*Config) *T, parse func(string) (T, error)) value {
	return value{typ: typ, limit: limit, set: func(c *Config, text string) error {
		v, err := parse(text)
		if err != nil {
			return err
		}
		*at(c) = v
		return nil
	}}
}

func boolean(at func(*Config) *bool) value {
	v := field("boolean", "", at, func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, errors.New("must be true or false")
		}
		return s == "true", nil
	})
	v.flip = true
	return v
}

func integer(at func(*Config) *int, low, high int) value {
	limit := fmt.Sprintf("%d to %d", low, high)
	return field("integer", limit, at, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("must be a whole number from %s", limit)
		}
		return n, nil
	})
}

func number(at func(*Config) *uint64) value {
	return field("integer", "0 and above", at, func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("must be a whole number from 0 to %d", uint64(math.MaxUint64))
		}
		return n, nil
	})
}

func duration(at func(*Config) *time.Duration, low, high time.Duration) value {
	return field("duration", span(low, high), at, func(s string) (time.Duration, error) {
		return parseDuration(s, low, high)
	})
}

func durations(at func(*Config) *[]time.Duration, low, high time.Duration) value {
	limit := span(low, high) + " each, ascending"
	v := field("durations", limit, at, func(s string) ([]time.Duration, error) {
		var list []time.Duration
		for part := range strings.SplitSeq(s, ",") {
			d, err := parseDuration(strings.TrimSpace(part), low, high)
			if err != nil {
				return nil, fmt.Errorf("each of the list %w", err)
			}
			if len(list) > 0 && d <= list[len(list)-1] {
				return nil, errors.New("must be a list in ascending order")
			}
			list = append(list, d)
		}
		return list, nil
	})
	v.list = true
	return v
}

// networks are addresses and networks. nil is what is not set, and an empty list is none.
func networks(at func(*Config) *[]netip.Prefix) value {
	v := field("networks", "", at, func(s string) ([]netip.Prefix, error) {
		switch s {
		case "":
			return nil, nil
		case "none":
			return []netip.Prefix{}, nil
		}
		var list []netip.Prefix
		for part := range strings.SplitSeq(s, ",") {
			part = strings.TrimSpace(part)
			network, err := netip.ParsePrefix(part)
			if addr, single := netip.ParseAddr(part); single == nil && addr.Zone() == "" {
				network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
			}
			if err != nil || network != network.Masked() || network.Addr().Is4In6() {
				return nil, errors.New("must be addresses or networks, such as 192.0.2.1 or 10.0.0.0/8")
			}
			list = append(list, network)
		}
		return list, nil
	})
	v.list = true
	return v
}

func parseDuration(s string, low, high time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("must be a duration with its unit, such as 90s, 15m or 72h")
	}
	if d < low || d > high {
		return 0, fmt.Errorf("must be %s", span(low, high))
	}
	return d, nil
}

func span(low, high time.Duration) string { return short(low) + " to " + short(high) }

// short writes a duration without the units that are zero: 10m, not 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func size(at func(*Config) *int64) value {
	return field("size", "", at, func(s string) (int64, error) {
		n, err := humanize.ParseBytes(s)
		if err != nil || n > math.MaxInt64 {
			return 0, errors.New("must be a size in bytes, such as 1073741824, 256MiB or 1.5GB")
		}
		return int64(n), nil
	})
}

// ips takes addresses with the URLs of mail servers, which may hold passwords.
func ips(at func(*Config) *[]IP) value {
	v := field("IPs", "", at, func(s string) ([]IP, error) {
		var list []IP
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			one, err := parseIP(part)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(list, func(other IP) bool { return other.Address == one.Address }) {
				return nil, fmt.Errorf("must name %s once only", one.Address)
			}
			list = append(list, one)
		}
		return list, nil
	})
	v.list, v.more, v.hide, v.key = true, true, true, true
	return v
}

func parseIP(s string) (IP, error) {
	address, server, _ := strings.Cut(s, "=")
	a, err := netip.ParseAddr(strings.TrimSpace(address))
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return IP{}, errors.New("must be a list of ADDRESS=URL, such as 203.0.113.7=smtp://user:password@smarthost.example.com:587")
	}
	one := IP{Address: a.Unmap().String(), Server: secret.NewString(strings.TrimSpace(server))}
	u, err := url.Parse(one.Server.Reveal())
	if err != nil || !slices.Contains([]string{"smtp", "smtp+starttls", "smtps"}, u.Scheme) || u.Hostname() == "" {
		return IP{}, fmt.Errorf("must have a URL for %s that starts with smtp://, smtp+starttls:// or smtps:// and names a host; "+
			"in a user name or a password write %%2C for a comma, %%40 for @, %%3A for a colon and %%2F for a slash", one.Address)
	}
	return one, nil
}

// named is one of the values that can be chosen from.
type named[T any] struct {
	name  string
	value T
}

func choice[T any](at func(*Config) *T, all []named[T]) value {
	var names []string
	for _, n := range all {
		names = append(names, n.name)
	}
	limit := strings.Join(names, ", ")
	return field("choice", limit, at, func(s string) (T, error) {
		i := slices.Index(names, s)
		if i < 0 {
			var zero T
			return zero, errors.New("must be one of " + limit)
		}
		return all[i].value, nil
	})
}

func hostPort(at func(*Config) *string) value {
	return field("host:port", "", at, func(s string) (string, error) {
		host, port, err := net.SplitHostPort(s)
		if err != nil || strings.ContainsAny(host, " /\t\r\n@") {
			return "", errors.New("must be host:port, such as 127.0.0.1:8025 or [::1]:8025")
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", errors.New("must have a port number from 0 to 65535")
		}
		return s, nil
	})
}

// optionalHostPort is hostPort, or empty.
func optionalHostPort(at func(*Config) *string) value {
	needed := hostPort(at)
	return field("host:port", "", at, func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return s, needed.set(new(Config), s)
	})
}

// dnsServer takes a DNS server's address, or a word.
func dnsServer(at func(*Config) *string) value {
	return field("DNS server", SystemDNS+", off, or host:port", at, func(s string) (string, error) {
		switch s {
		case SystemDNS:
			return s, nil
		case "off":
			return "", nil
		}
		host, port, err := net.SplitHostPort(s)
		if err != nil || host == "" || strings.ContainsAny(host, " /\t\r\n@") {
			return "", errors.New("must be system, off, or host:port of a DNS server, such as 10.0.0.53:53 or [::1]:53")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errors.New("must have a port number from 1 to 65535")
		}
		return s, nil
	})
}

// hostName takes a name in DNS, in any case and with or without a dot at its end.
func hostName(at func(*Config) *string) value {
	return field("host name", "", at, func(s string) (string, error) {
		name := strings.ToLower(strings.TrimSuffix(s, "."))
		_, notAddress := netip.ParseAddr(name)
		labels := strings.Split(name, ".")
		bad := func(label string) bool {
			return label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != ""
		}
		if s != "" && (len(name) > 253 || len(labels) < 2 || notAddress == nil || slices.ContainsFunc(labels, bad)) {
			return "", errors.New("must be a name in DNS, such as mail.example.com")
		}
		return name, nil
	})
}

func baseURL(at func(*Config) *string, optional bool) value {
	v := field("URL", "", at, func(s string) (string, error) {
		if s == "" && optional {
			return "", nil
		}
		return parseBaseURL(s)
	})
	v.hide = true
	return v
}

// parseBaseURL checks a URL that paths are appended to and returns it without slashes at the end.
func parseBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return "", errors.New("must be an absolute URL that starts with http:// or https://")
	case u.User != nil:
		return "", errors.New("must not have a user name or password")
	case strings.ContainsAny(s, "?#"):
		return "", errors.New("must not have a query or a fragment")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errors.New("must have a port number from 1 to 65535")
		}
	}
	return strings.TrimRight(s, "/"), nil
}

func secretKey(at func(*Config) *secret.Key) value {
	v := field("secret", "32 bytes in base64 or hexadecimal", at, func(s string) (secret.Key, error) {
		if s == "" {
			return secret.Key{}, nil
		}
		return secret.ParseKey(s)
	})
	v.hide, v.key = true, true
	return v
}

// databaseURL takes the URL of a PostgreSQL database. It may hold a password, so it is a secret.
func databaseURL(at func(*Config) *secret.String) value {
	v := field("URL", "", at, func(s string) (secret.String, error) {
		if s == "" {
			return secret.String{}, nil
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return secret.String{}, errors.New("must be a URL that starts with postgres:// or postgresql://")
		}
		return secret.NewString(s), nil
	})
	v.hide, v.key = true, true
	return v
}

func secretText(at func(*Config) *secret.String) value {
	v := field("secret", "", at, func(s string) (secret.String, error) { return secret.NewString(s), nil })
	v.hide, v.key = true, true
	return v
}
