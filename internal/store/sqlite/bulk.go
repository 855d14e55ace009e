package sqlite

import "strings"

// bulk is a statement about many rows, in a few sizes that stay prepared: to begin a statement costs about as much as to do
// with a row what it is for.
type bulk struct {
	width   int // values for each row
	queries [len(bulkSizes)]string
}

// bulkSizes are how many rows a statement is about, the largest first.
var bulkSizes = [...]int{32, 8, 1}

// newBulk makes one of a statement in which row stands for every row, between before and after.
func newBulk(before, row, after string) *bulk {
	b := &bulk{width: strings.Count(row, "?")}
	for i, n := range bulkSizes {
		b.queries[i] = before + row + strings.Repeat(", "+row, n-1) + after
	}
	return b
}

// newInsert makes an INSERT into `table (columns)`. A row that is refused leaves those before it behind, which saves SQLite a
// journal of the statement; the transaction ends with the error in any case.
func newInsert(into string) *bulk {
	return newBulk("INSERT OR FAIL INTO "+into+" VALUES ", "(?"+strings.Repeat(", ?", strings.Count(into, ","))+")", "")
}

// each calls run with every statement that it takes, and its part of the values of all rows, which follow one another.
func (b *bulk) each(values []any, run func(query string, values []any) error) error {
	for i, n := range bulkSizes {
		for size := n * b.width; len(values) >= size; values = values[size:] {
			if err := run(b.queries[i], values[:size]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) execAll(b *bulk, values []any) error {
	return b.each(values, func(query string, values []any) error {
		_, err := t.exec(query, values...)
		return err
	})
}
