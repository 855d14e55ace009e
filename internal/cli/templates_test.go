package cli

import (
	"bytes"
	"strings"
	"testing"
)

// A script must notice that nothing was done.
func TestTemplatesNeedsToKnowWhat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"templates"}, "say what to do: postyard templates list, or postyard templates sync"},
		{[]string{"templates", "bogus"}, `unknown command "bogus" for "postyard templates"`},
	} {
		var out, errOut bytes.Buffer
		if code := Main(test.args, &out, &errOut, nil); code != 1 || !strings.Contains(errOut.String(), test.want) {
			t.Errorf("%q: code %d: %s%s", test.args, code, &out, &errOut)
		}
	}
	var out, errOut bytes.Buffer
	if code := Main([]string{"templates", "--help"}, &out, &errOut, nil); code != 0 || !strings.Contains(out.String(), "sync") {
		t.Errorf("code %d: %s%s", code, &out, &errOut)
	}
}
