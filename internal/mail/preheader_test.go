package mail

import "testing"

func TestPreheader(t *testing.T) {
	t.Parallel()
	const hidden = `<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">a &lt; b</div>`
	for in, want := range map[string]string{
		"<p>x</p>": hidden + "<p>x</p>", `<html><BODY class="a">x</body>`: `<html><BODY class="a">` + hidden + "x</body>", "": "",
	} {
		if got := WithPreheader(in, "a < b"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
