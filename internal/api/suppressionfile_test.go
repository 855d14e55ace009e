package api

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSuppressionsFromAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lines := []string{
		"\xef\xbb\xbfName;E-Mail Address;Reason",
		"Jared;jared@piedpiper.com;unsubscribe",
		"", // passed over
		"Gavin;gavin@hooli;HardBounce",
		"Russ;RUSS@gmail.com;SpamComplaint\r",
		`"Big; Head";bighead@hooli.com;`,
		"nobody",
		"Jian;jian@example.com;because",
		"Jared;jared@piedpiper.com;2",
		strings.Repeat("x", maxImportLine+10),
		"Bad\xff;bad@example.com;manual",
		`Monica;monica@raviga.com;0`,
	}
	file := strings.Join(lines, "\n")
	var got importAnswer
	a := w.asSub("POST", suppressionPath+"/bulk?dryRun=true", file).ok(200, &got)
	wantKeys(t, a.body, "dryRun", "read", "suppressed", "refusedCount", "refused")
	if !got.DryRun || got.Read != 5 || got.Suppressed != 0 || got.RefusedCount != 5 || len(w.listed("")) != 0 {
		t.Errorf("dry run: %s", a.body)
	}
	got = importAnswer{}
	a = w.asSub("POST", suppressionPath+"/bulk/", file).ok(200, &got)
	var refused []int
	for _, r := range got.Refused {
		refused = append(refused, r.Line)
	}
	if got.DryRun || got.Read != 5 || got.Suppressed != 4 || got.RefusedCount != 5 || !slices.Equal(refused, []int{4, 7, 8, 10, 11}) {
		t.Errorf("%s", a.body)
	}
	list := w.listed("")
	slices.Sort(list)
	if want := []string{"bighead@hooli.com 0", "jared@piedpiper.com 2", "monica@raviga.com 0", "russ@gmail.com 3"}; !slices.Equal(list, want) {
		t.Errorf("%v", list)
	}

	// A form, with a file that names no columns, and the reason beside it.
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	_ = parts.WriteField("comment", "from the old system")
	part, _ := parts.CreateFormFile("upload", "list.csv")
	_, _ = io.WriteString(part, "erlich@aviato.com\ndinesh@piedpiper.com,spam\n")
	_ = parts.Close()
	w.call("POST", suppressionPath+"/bulk?type=unsubscribe", map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": parts.FormDataContentType()},
		form.String()).ok(200, &got)
	if got.Suppressed != 2 || len(w.listed("&type=unsubscribe")) != 1 || len(w.listed("&search=dinesh&type=spamComplaint")) != 1 {
		t.Errorf("%+v, %v", got, w.listed(""))
	}

	w.asSub("POST", suppressionPath+"/bulk", "").refused(http.StatusNotAcceptable, "empty_list", "")
	w.asSub("POST", suppressionPath+"/bulk", "\n\n").refused(http.StatusNotAcceptable, "empty_list", "")
	w.asSub("POST", suppressionPath+"/bulk", "a,b\nc,d\n").refused(422, "missing_column", "email")
	w.asSub("POST", suppressionPath+"/bulk?type=x", "a@example.com").refused(400, "invalid_parameter", "type")
	w.asSub("POST", suppressionPath+"/bulk?dryRun=x", "a@example.com").refused(400, "invalid_parameter", "dryRun")
	w.call("POST", suppressionPath+"/bulk", map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "multipart/form-data"}, "x").refused(422, "malformed_form", "")
	w.call("POST", suppressionPath+"/bulk", map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "multipart/form-data; boundary=x"},
		"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n").refused(422, "missing_file", "file")
	w.call("POST", suppressionPath+"/bulk", map[string]string{"X-SubAccount-ApiKey": w.subKey, "Content-Type": "multipart/form-data; boundary=x"},
		"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na@example.com\n").refused(400, "body_unreadable", "")
	w.asSub("POST", suppressionPath+"/bulk", strings.Repeat("\n", maxImport+1)).refused(http.StatusRequestEntityTooLarge, "body_too_large", "")
}

// What is exported can be imported, whatever stands in it, and no cell is a formula.
func TestSuppressionsToAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var b strings.Builder
	const n = suppressedPiece + 7
	for i := range n {
		fmt.Fprintf(&b, "u%d@example.com,%d\n", i, i%4)
	}
	b.WriteString("+plus@example.com\n=cmd@example.com\n'quoted@example.com\n'=both@example.com\n")
	var got importAnswer
	if w.asSub("POST", suppressionPath+"/bulk", b.String()).ok(200, &got); got.Suppressed != n+4 {
		t.Fatalf("%+v", got)
	}
	a := w.asSub("POST", suppressionPath+"/export", nil)
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") || a.header.Get("Content-Disposition") != `attachment; filename="suppressions.csv"` {
		t.Fatalf("%d %v", a.status, a.header)
	}
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) != n+5 || !slices.Equal(rows[0], []string{"email", "reason", "smtp_error", "created"}) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		if seen[row[0]] || strings.IndexByte(formula, row[0][0]) >= 0 {
			t.Errorf("%q", row)
		}
		seen[row[0]] = true
	}
	for query, want := range map[string]int{"?type=hardBounce": n/4 + 2, "?search=u1000@": 2, "?from=2020-01-01&to=2020-01-02": 1, "?from=2020-01-01": n + 5} {
		a := w.asSub("POST", suppressionPath+"/export"+query, nil)
		if rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll(); err != nil || len(rows) != want && len(rows) != want-1 {
			t.Errorf("%s: %d rows, want %d, %v", query, len(rows), want, err)
		}
	}
	w.asSub("POST", suppressionPath+"/export?from=2020-01-02&to=2019-01-01", nil).refused(400, "invalid_parameter", "from")

	var sub subAccountAnswer
	w.asAccount("POST", "/api/v1/account/subaccount", `{"name":"other"}`).ok(201, &sub)
	w.subKey = sub.APIKey
	if other := w.asSub("POST", suppressionPath+"/export", nil); strings.Count(string(other.body), "\n") != 1 {
		t.Errorf("another sub-account exports %s", other.body)
	}
	if w.asSub("POST", suppressionPath+"/bulk", string(a.body)).ok(200, &got); got.Suppressed != n+4 || got.RefusedCount != 0 {
		t.Errorf("imported again: %+v", got)
	}
	again := w.asSub("POST", suppressionPath+"/export", nil)
	reread, err := csv.NewReader(bytes.NewReader(again.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	key := func(rows [][]string) (list []string) {
		for _, row := range rows {
			list = append(list, row[0]+" "+row[1])
		}
		slices.Sort(list)
		return list
	}
	if !slices.Equal(key(rows), key(reread)) {
		t.Error("the exports differ")
	}
}

func TestGuardedCells(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringMatching(`['=+@\t\r-]{0,3}.*`).Draw(t, "cell")
		safe := guarded(cell)
		if safe != "" && strings.IndexByte(formula, safe[0]) >= 0 {
			t.Errorf("%q is a formula", safe)
		}
		if back := unguarded(safe); back != cell {
			t.Errorf("%q came back as %q", cell, back)
		}
	})
}

// FuzzAddressFile: whatever is uploaded, every line is read once, and an address is one.
func FuzzAddressFile(f *testing.F) {
	f.Add([]byte("email,reason\na@example.com,manual\n"))
	f.Add([]byte("\xef\xbb\xbfa@example.com;3\r\n\"unclosed@example.com\n"))
	f.Add([]byte("reason\temail\nbounce\tb@example.com"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := addressFile{lines: bufio.NewReaderSize(bytes.NewReader(raw), 64)}
		for n := 0; ; n++ {
			e, err := file.next()
			var wrong *lineError
			switch {
			case errors.Is(err, io.EOF):
				if lines := bytes.Count(raw, []byte("\n")); file.line < lines || file.line > lines+1 {
					t.Errorf("%d lines were read of %q", file.line, raw)
				}
				return
			case err == nil:
				if !strings.Contains(e.Email, "@") || e.Email != strings.ToLower(e.Email) || e.Reason > 3 {
					t.Errorf("%+v", e)
				}
			case !errors.As(err, &wrong):
				return // no columns
			}
			if n > len(raw)+1 {
				t.Fatal("it never ends")
			}
		}
	})
}
