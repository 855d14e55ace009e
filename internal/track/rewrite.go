package track

import (
	"html"
	"net/url"
	"strings"

	xhtml "golang.org/x/net/html"
	"golang.org/x/net/idna"
)

// maxLinks is how many links of a body are tracked. Each grows by some hundred bytes, so that is how much a body can grow.
const maxLinks = 1000

// rewrite puts other targets into the links of an HTML body, and an image before its end. link returns the address to put in for a
// target, "" when it stays; nil changes no link. pixel is the image's address, "" for none. Every other byte stays as it is.
func rewrite(body string, link func(target string) string, pixel string) string {
	places, end := scan(body, link)
	if len(places) == 0 && pixel == "" {
		return body
	}
	if pixel != "" {
		img := `<img src="` + html.EscapeString(pixel) + `" alt="" width="1" height="1" style="display:block;border:0;width:1px;height:1px">`
		i := len(places)
		for i > 0 && places[i-1].from >= end {
			i--
		}
		places = append(places[:i], append([]place{{from: end, to: end, text: img}}, places[i:]...)...)
	}
	size := len(body)
	for _, p := range places {
		size += len(p.text)
	}
	var out strings.Builder
	out.Grow(size)
	written := 0
	for _, p := range places {
		out.WriteString(body[written:p.from])
		out.WriteString(p.text)
		written = p.to
	}
	out.WriteString(body[written:])
	return out.String()
}

// place is a part of a body and what stands there instead.
type place struct {
	from, to int
	text     string
}

// scan finds the links that change, in their order, and where the body ends.
func scan(body string, link func(target string) string) (places []place, end int) {
	end = len(body)
	z := xhtml.NewTokenizer(strings.NewReader(body))
	for at := 0; ; {
		kind := z.Next()
		if kind == xhtml.ErrorToken {
			return places, end
		}
		tag := body[at : at+len(z.Raw())] // the tokenizer changes its own copy
		switch kind {
		case xhtml.StartTagToken, xhtml.SelfClosingTagToken:
			if link == nil || len(places) == maxLinks {
				break
			}
			name, more := z.TagName()
			if string(name) != "a" && string(name) != "area" {
				break
			}
			value, found := "", false
			for more && !found {
				var key, val []byte
				if key, val, more = z.TagAttr(); string(key) == "href" {
					value, found = string(val), true
				}
			}
			if !found {
				break
			}
			target, ok := targetOf(value)
			if !ok {
				break
			}
			if text := link(target); text != "" {
				from, to, quoted := hrefIn(tag)
				if text = html.EscapeString(text); !quoted {
					text = `"` + text + `"`
				}
				places = append(places, place{at + from, at + to, text})
			}
		case xhtml.EndTagToken:
			switch name, _ := z.TagName(); {
			case string(name) == "body", string(name) == "html" && end == len(body):
				end = at
			}
		}
		at += len(tag)
	}
}

// hrefIn returns where the value of the first attribute href of a start tag stands, and whether it is in quotes. It reads a tag as the
// tokenizer does (WHATWG HTML 13.2.5.32 to 13.2.5.40), which tells values but not places. The tag has the attribute, and is complete.
func hrefIn(tag string) (from, to int, quoted bool) {
	i := 1
	for !strings.ContainsRune(" \n\r\t\f/>", rune(tag[i])) {
		i++
	}
	blanks := func() {
		for strings.IndexByte(" \n\r\t\f", tag[i]) >= 0 {
			i++
		}
	}
	for blanks(); tag[i] != '>'; blanks() {
		begin := i
		for i == begin && tag[i] == '=' || strings.IndexByte("= \n\r\t\f/>", tag[i]) < 0 {
			i++
		}
		name := tag[begin:i]
		blanks()
		from, to, quoted = i, i, false
		switch tag[i] {
		case '/':
			i++
		case '=':
			i++
			blanks()
			switch q := tag[i]; q {
			case '>':
				from, to = i, i
			case '"', '\'':
				from, quoted = i+1, true
				to = from + strings.IndexByte(tag[from:], q)
				i = to + 1
			default:
				from = i
				for strings.IndexByte(" \n\r\t\f>", tag[i]) < 0 {
					i++
				}
				to = i
			}
		}
		if strings.EqualFold(name, "href") {
			return from, to, quoted
		}
	}
	return i, i, false
}

// targetOf returns where a link leads, in the form in which it can stand in a header; ok is false for one that is not tracked: it is no
// absolute address of the web, or one that programs may read in different ways.
func targetOf(value string) (target string, ok bool) {
	// What browsers leave out (WHATWG URL, basic URL parser).
	value = strings.TrimFunc(value, func(r rune) bool { return r <= ' ' })
	value = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(value)
	if len(value) > maxURL {
		return "", false
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	host := u.Host
	if !isASCII(host) {
		name, err := idna.Lookup.ToASCII(u.Hostname())
		if err != nil || !isASCII(name) || !strings.Contains(value, u.Hostname()) {
			return "", false
		}
		value = strings.Replace(value, u.Hostname(), name, 1)
		host = strings.Replace(host, u.Hostname(), name, 1)
	}
	target = escaped(value)
	led, err := url.Parse(target)
	return target, err == nil && led.Host == host && len(target) <= maxURL
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// escaped is an address with what may not stand in one escaped, and nothing else changed.
func escaped(s string) string {
	const digits = "0123456789ABCDEF"
	plain := func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '<' && c != '>' }
	for i := range len(s) {
		if plain(s[i]) {
			continue
		}
		out := make([]byte, 0, len(s)+32)
		for k := range len(s) {
			if c := s[k]; plain(c) {
				out = append(out, c)
			} else {
				out = append(out, '%', digits[c>>4], digits[c&15])
			}
		}
		return string(out)
	}
	return s
}
