package api

import (
	"encoding/csv"
	"io"
	"strings"
)

// Media types of files.
const (
	mediaCSV    = "text/csv; charset=utf-8; header=present" // RFC 4180
	mediaNDJSON = "application/x-ndjson"
)

// csvFile writes rows of a CSV file whose cells no spreadsheet takes for formulas.
type csvFile struct{ *csv.Writer }

func newCSV(w io.Writer) csvFile { return csvFile{csv.NewWriter(w)} }

// row writes cells. The buffer below never fails.
func (f csvFile) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = guarded(cell)
	}
	_ = f.Write(cells)
}

// formula are the characters that begin a formula in a spreadsheet.
const formula = "=+-@\t\r"

// guarded puts an apostrophe before what a spreadsheet would take for a formula, and before what has one there, so that unguarded gives
// every text back.
func guarded(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); rest != "" && strings.IndexByte(formula, rest[0]) >= 0 {
		return "'" + cell
	}
	return cell
}

// unguarded takes away what guarded puts there.
func unguarded(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); len(rest) < len(cell) && rest != "" && strings.IndexByte(formula, rest[0]) >= 0 {
		return cell[1:]
	}
	return cell
}
