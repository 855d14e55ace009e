package track

import (
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	xhtml "golang.org/x/net/html"
	"pgregory.net/rapid"
)

// replaced names a link by its target.
func replaced(target string) string { return "T(" + target + ")" }

func TestLinks(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		// What changes.
		`<a href="https://a.example/">x</a>`:                           `<a href="T(https://a.example/)">x</a>`,
		`<a href='http://a.example'>x</a>`:                             `<a href='T(http://a.example)'>x</a>`,
		`<a href=http://a.example/b/>x</a>`:                            `<a href="T(http://a.example/b/)">x</a>`,
		`<A CLASS=y HREF = "HTTPS://A.example" >x</A>`:                 `<A CLASS=y HREF = "T(HTTPS://A.example)" >x</A>`,
		`<area href="https://a.example/1"/>`:                           `<area href="T(https://a.example/1)"/>`,
		"<a\nhref=\"https://a.example/1\"\n>":                          "<a\nhref=\"T(https://a.example/1)\"\n>",
		`<a/href="https://a.example/1">`:                               `<a/href="T(https://a.example/1)">`,
		`<a title="href='https://b.example'"href="https://a.example">`: `<a title="href='https://b.example'"href="T(https://a.example)">`,
		`<a href="https://a.example/?x=1&amp;copy=2">`:                 `<a href="T(https://a.example/?x=1&amp;copy=2)">`,
		`<a href="https://a.example/?x=1&copy=2">`:                     `<a href="T(https://a.example/?x=1&amp;copy=2)">`, // as browsers read it in an attribute
		`<a href=" https://a.example/a&#10;b ">`:                       `<a href="T(https://a.example/ab)">`,
		`<a href="https://a.example/a b/ü?ü">`:                         `<a href="T(https://a.example/a%20b/%C3%BC?%C3%BC)">`,
		`<a href="https://Bücher.example/ü">`:                          `<a href="T(https://xn--bcher-kva.example/%C3%BC)">`,
		`<a href="https://a.example:8443/x#y">`:                        `<a href="T(https://a.example:8443/x#y)">`,
		`<a href="https://a.example" href="https://b.example">`:        `<a href="T(https://a.example)" href="https://b.example">`,
		`<a =href href="https://a.example">`:                           `<a =href href="T(https://a.example)">`,
		`<a x= href="https://a.example">`:                              `<a x= href="https://a.example">`, // the value of x
		`<a / href="https://a.example">`:                               `<a / href="T(https://a.example)">`,
		`<a href="https://a.example/&quot;>">`:                         `<a href="T(https://a.example/%22%3E)">`,

		// What stays.
		`<a href="mailto:a@b.example">`: "", `<a href="tel:1">`: "", `<a href="#top">`: "", `<a href="/x">`: "", `<a href="//a.example/x">`: "",
		`<a href="">`: "", `<a href>`: "", `<a href=>`: "", `<a>`: "", `<a name="https://a.example">`: "", `<a data-href="https://a.example">`: "",
		`<a href="javascript:alert(1)//https://a.example">`: "", `<a href="data:text/html,x">`: "", `<a href="https:a.example">`: "",
		`<a href="https:///a.example">`: "", `<a href="https://">`: "", `<a href="https://:80/">`: "", `<a href="https:\\a.example">`: "",
		`<a href="https://u:p@a.example/">`: "", `<a href="https://good.example\@evil.example/">`: "", `<a href="https://a.example/%zz">`: "",
		`<a href="https://a.example:x/">`: "", `<a href="ftp://a.example">`: "", `<a href="https://%C3%BC.example/">`: "",
		`<a href="https://a.example/` + strings.Repeat("x", maxURL) + `">`: "",
		`<link href="https://a.example">`:                                  "", `<base href="https://a.example">`: "", `<img src="https://a.example">`: "",
		`<!-- <a href="https://a.example"> -->`: "", `<script>"<a href='https://a.example'>"</script>`: "", `<style><a href="https://a.example"></style>`: "",
		`<textarea><a href="https://a.example"></textarea>`: "", `<abbr href="https://a.example">`: "", `</a href="https://a.example">`: "",
		`<a href="https://a.example`: "", `<a href=https://a.example`: "", "\x00\xff<a\x00 href": "",
	} {
		if want == "" {
			want = in
		}
		for _, around := range []string{"", "<p>a &amp; b</P\n>", "<!doctype html><html>"} {
			if got := rewrite(around+in, replaced, ""); got != around+want {
				t.Errorf("%s\nbecomes\n%s\nwant\n%s", around+in, got, around+want)
			}
		}
	}
}

func TestPixel(t *testing.T) {
	t.Parallel()
	const img = `<img src="P&amp;Q" alt="" width="1" height="1" style="display:block;border:0;width:1px;height:1px">`
	for in, want := range map[string]string{
		"":                              img,
		"<p>x":                          "<p>x" + img,
		"<body>x</body>":                "<body>x" + img + "</body>",
		"<HTML><BODY>x</BODY\n></HTML>": "<HTML><BODY>x" + img + "</BODY\n></HTML>",
		"<html>x</html>":                "<html>x" + img + "</html>",
		"<body>a</body></body>b":        "<body>a</body>" + img + "</body>b",
		"<!-- </body> -->x":             "<!-- </body> -->x" + img,
		`<script>"</body>"</script>x`:   `<script>"</body>"</script>x` + img,
		`<body></body><a href="https://a.example">`: `<body>` + img + `</body><a href="T(https://a.example)">`,
		`<a href="https://a.example"></body>`:       `<a href="T(https://a.example)">` + img + `</body>`,
	} {
		if got := rewrite(in, replaced, "P&Q"); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestManyLinks(t *testing.T) {
	t.Parallel()
	const one = `<a href="https://a.example">`
	got := rewrite(strings.Repeat(one, maxLinks+50), replaced, "")
	if n := strings.Count(got, "T("); n != maxLinks || !strings.HasSuffix(got, strings.Repeat(one, 50)) {
		t.Errorf("%d links changed", n)
	}
}

// linksOf reads the targets of a body as the tokenizer does.
func linksOf(body string) (list []string) {
	z := xhtml.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case xhtml.ErrorToken:
			return list
		case xhtml.StartTagToken, xhtml.SelfClosingTagToken:
			if t := z.Token(); t.Data == "a" || t.Data == "area" {
				for _, a := range t.Attr {
					if a.Key == "href" {
						list = append(list, a.Val)
						break
					}
				}
			}
		}
	}
}

// checkRewrite: every link that is tracked gets its address, every other one keeps its own, and taking the addresses out again gives
// the body back, byte by byte.
func checkRewrite(t interface{ Errorf(string, ...any) }, body string) {
	var taken []string
	marked := rewrite(body, func(target string) string {
		taken = append(taken, target)
		return "https://t.example/" + strings.Repeat("x", len(taken))
	}, "")
	before, after := linksOf(body), linksOf(marked)
	if len(before) != len(after) {
		t.Errorf("%q has %d links, %q has %d", body, len(before), marked, len(after))
		return
	}
	n := 0
	for i := range before {
		target, ok := targetOf(before[i])
		want := before[i]
		if ok && n < maxLinks {
			if target != taken[n] {
				t.Errorf("link %d leads to %q, want %q", n, taken[n], target)
			}
			n++
			want = "https://t.example/" + strings.Repeat("x", n)
			checkTarget(t, before[i], target)
		}
		if after[i] != want {
			t.Errorf("%q: link %d is %q, want %q", marked, i, after[i], want)
		}
	}
	if n != len(taken) {
		t.Errorf("%d links were taken, of %d", len(taken), n)
	}
	if len(taken) == 0 && marked != body {
		t.Errorf("%q became %q", body, marked)
	}
	places, end := scan(body, replaced)
	at := 0
	for _, p := range places {
		if p.from < at || p.to < p.from || p.to > len(body) {
			t.Errorf("place %+v after %d of %q", p, at, body)
			return
		}
		at = p.to
	}
	if end < 0 || end > len(body) {
		t.Errorf("ends at %d of %q", end, body)
	}
}

// checkTarget: what is redirected to is an address of the web, fit for a header, with the host that the link had.
func checkTarget(t interface{ Errorf(string, ...any) }, link, target string) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(target) > maxURL {
		t.Errorf("%q leads to %q (%v)", link, target, err)
		return
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			t.Errorf("%q leads to %q", link, target)
			return
		}
	}
	if again, ok := targetOf(target); !ok || again != target {
		t.Errorf("%q leads to %q, and that to %q", link, target, again)
	}
}

var pieces = []string{"<a", "<A", "<area", " href", "HREF", "=", "\"", "'", ">", "/", " ", "\n", "\t", "https://a.example/", "http://b.example?x=1&amp;y", "&", "&amp;",
	"&#x3c;", "mailto:x", "</a>", "</body>", "<!--", "-->", "<script>", "</script>", "\x00", "\xff", "ü", "<", "?", "\\", "@", ":", "%", "x", "&quot;", "\r"}

func TestRewriteKeepsTheRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkRewrite(t, strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), ""))
	})
}

func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{`<a href="https://a.example/">x</a>`, `<a href=https://a.example/ x>`, "<a href='https://ü.example/\x00'>", `<a/href=x href="https://b.example">`,
		"<!-- <a href='https://a.example'> --></body>", html.EscapeString("<a>")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) { checkRewrite(t, body) })
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"https://a.example/b?c#d", "HTTP://ü.example", " https://a\n.example", "https://a.example\\@b", "https://[::1]:80/", "https://%C3%BC/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, link string) {
		if target, ok := targetOf(link); ok {
			checkTarget(t, link, target)
			if utf8.ValidString(link) && len(target) < len(strings.TrimSpace(link))/3 {
				t.Errorf("%q lost most of itself: %q", link, target)
			}
		}
	})
}

func BenchmarkRewrite(b *testing.B) {
	body := "<html><body>" + strings.Repeat(`<table class="x" style="border:0"><tr><td><p style="margin:0">Some words of a letter &amp; more of them.</p></td></tr></table>`+"\n", 150) +
		strings.Repeat(`<p><a href="https://shop.example.com/products/12345?utm_source=mail&amp;utm_campaign=spring">look</a></p>`, 20) + "</body></html>"
	s := signer("key")
	m := &mint{s, "https://mail.example.com", sample}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		rewrite(body, func(target string) string { return m.address(click, target) }, m.address(open, ""))
	}
}
