package api

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// A body is read whole up to its limit, however it comes and however long it is said to be; of a longer one just enough to know.
func TestReadUpTo(t *testing.T) {
	t.Parallel()
	const limit = 2 * initialBody
	for _, n := range []int{0, 1, bytes.MinRead, bytes.MinRead + 1, initialBody, initialBody + 1, limit - 1, limit, limit + 1, limit + 9} {
		want := bytes.Repeat([]byte("0123456"), n/7+1)[:n]
		for name, as := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "its end with the last bytes": iotest.DataErrReader, "in halves": iotest.HalfReader,
		} {
			for _, size := range []int64{-1, 0, int64(n), limit} {
				got, err := readUpTo(as(bytes.NewReader(want)), limit, size)
				if err != nil || !bytes.Equal(got, want[:min(n, limit+1)]) || got == nil {
					t.Errorf("%d bytes, said to be %d, %s: %d bytes, %v", n, size, name, len(got), err)
				}
			}
		}
	}
	broken := errors.New("broken")
	if got, err := readUpTo(io.MultiReader(bytes.NewReader([]byte("x")), iotest.ErrReader(broken)), limit, 9); !errors.Is(err, broken) {
		t.Errorf("a broken body is %q, %v", got, err)
	}
}
