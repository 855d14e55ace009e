package sqlite

import "strings"

// bulk is an INSERT of many rows. Statements of a few sizes stay prepared, because to begin one costs about as much as to
// insert a row into a small table.
type bulk struct {
	width   int // columns
	queries [len(bulkSizes)]string
}

// bulkSizes are how many rows a statement has, the largest first.
var bulkSizes = [...]int{32, 8, 1}

// newBulk makes one of `table (columns)`. A row that is refused leaves those before it behind, which saves SQLite a journal of
// the statement; the transaction ends with the error in any case.
func newBulk(into string) *bulk {
	b := &bulk{width: strings.Count(into, ",") + 1}
	row := "(?" + strings.Repeat(", ?", b.width-1) + ")"
	for i, n := range bulkSizes {
		b.queries[i] = "INSERT OR FAIL INTO " + into + " VALUES " + row + strings.Repeat(", "+row, n-1)
	}
	return b
}

// insertAll writes rows, whose values follow one another.
func (t *tx) insertAll(b *bulk, values []any) error {
	for i, n := range bulkSizes {
		for size := n * b.width; len(values) >= size; values = values[size:] {
			if _, err := t.exec(b.queries[i], values[:size]...); err != nil {
				return err
			}
		}
	}
	return nil
}
