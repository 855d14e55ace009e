package postmark

import (
	"strings"
	"testing"
)

// PM-sim 27: which rule an element gets its style from.
func TestInlineCSS(t *testing.T) {
	t.Parallel()
	sheet := func(css, body string) string { return "<style>" + css + "</style>" + body }
	for name, c := range map[string]struct{ css, body, want string }{
		"by name":         {"p{color:red}", "<p>x</p>", `<p style="color: red">x</p>`},
		"nothing to do":   {"b{color:red}", "<p>x</p>", `<p>x</p>`},
		"class and id":    {".a{color:red}#b{top:0}", `<i class="a" id="b"></i>`, `<i class="a" id="b" style="color: red; top: 0"></i>`},
		"specificity":     {"#b{color:red}p{color:blue}", `<p id="b"></p>`, `<p id="b" style="color: red"></p>`},
		"the later":       {"p{color:red}p{color:blue}", `<p></p>`, `<p style="color: blue"></p>`},
		"own style":       {"p{color:red;top:0}", `<p style="color:blue"></p>`, `<p style="color: blue; top: 0"></p>`},
		"important":       {"p{color:red !important}", `<p style="color:blue"></p>`, `<p style="color: red"></p>`},
		"groups":          {"p, b > i {color:red}", `<b><i></i></b>`, `<b><i style="color: red"></i></b>`},
		"comments":        {"/* p{top:0} */p{/* x */color:red}", `<p></p>`, `<p style="color: red"></p>`},
		"media":           {"@media print{p{top:0}}@import url(x);p{color:red}", `<p></p>`, `<p style="color: red"></p>`},
		"pseudo":          {"p::before{top:0}p:hover{top:1}", `<p></p>`, `<p></p>`},
		"semicolons":      {`p{background:url("a;b");content:';'}`, `<p></p>`, `<p style="background: url(&#34;a;b&#34;); content: &#39;;&#39;"></p>`},
		"an open block":   {"p{color:red", `<p></p>`, `<p style="color: red"></p>`},
		"a bad selector":  {"p[{top:0}p{color:red}", `<p></p>`, `<p style="color: red"></p>`},
		"no declarations": {"p{;:;top}", `<p></p>`, `<p></p>`},
	} {
		if got, want := inlineCSS(sheet(c.css, c.body)), sheet(c.css, c.want); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	document := inlineCSS("<!DOCTYPE html><html><head><style>p{color:red}</style></head><body><p>x</p></body></html>")
	if !strings.HasPrefix(document, "<!DOCTYPE html><html>") || !strings.Contains(document, `<p style="color: red">`) {
		t.Error(document)
	}
	wide := sheet("*{top:"+strings.Repeat("0", 1<<20)+"}", strings.Repeat("<p></p>", 100))
	if inlineCSS(wide) != wide {
		t.Error("the message has become too large")
	}
	large := sheet(strings.Repeat("p{top:0}", 5000), strings.Repeat("<p></p>", 5000))
	if inlineCSS(large) != large {
		t.Error("too much work is done")
	}
}

// Whatever the message is like, it gets through; without styles, as it is.
func FuzzInlineCSS(f *testing.F) {
	for _, seed := range []string{"<style>p{color:red}</style><p>x</p>", "<STYLE>}{;@{</STYLE><html>", "<style>/*", "<style>a{b:\"", "<style>:not(p){a:b}</style><svg><p>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		got := inlineCSS(source)
		if !strings.Contains(strings.ToLower(source), "<style") && got != source {
			t.Errorf("%q became %q", source, got)
		}
	})
}
