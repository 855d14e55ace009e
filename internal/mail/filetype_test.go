package mail

import "testing"

func TestFileType(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"terms.pdf": "application/pdf", "Terms.PDF ": "application/pdf", "a.b.txt": "text/plain", "photo.jpeg": "image/jpeg",
		"unknown.zzz": "application/octet-stream", "nothing": "application/octet-stream", ".": "application/octet-stream", "": "application/octet-stream",
	} {
		if got := FileType(name); got != want {
			t.Errorf("FileType(%q) = %q, want %q", name, got, want)
		}
	}
}
