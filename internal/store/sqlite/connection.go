package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"

	"modernc.org/sqlite"
)

// connection is a connection to the database past database/sql, whose locks, contexts and conversions cost about as much as
// a small statement does. It is for one goroutine.
type connection struct {
	conn  driverConn
	stmts map[string]*statement // by query
	args  []driver.NamedValue   // of the statement that runs
}

// driverConn and driverStmt are what the driver's connections and statements can do.
type (
	driverConn interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ExecerContext
		sqlite.DBStatus
	}
	driverStmt interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
)

// statement is a prepared statement.
type statement struct {
	driverStmt
	row []driver.Value // the row that it is at
}

// connect opens a connection.
func connect(ctx context.Context, dsn string) (*connection, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	opened, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(driverConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's %T cannot do what is needed", opened), opened.Close())
	}
	return &connection{conn: conn, stmts: map[string]*statement{}}, nil
}

func (c *connection) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

// run runs statements that take nothing and return nothing.
func (c *connection) run(script string) error {
	_, err := c.conn.ExecContext(forever, script, nil)
	return err
}

// forever never ends: an interrupted statement would leave the connection in doubt.
var forever = context.Background()

// prepared returns the statement of a query, which stays prepared.
func (c *connection) prepared(query string) (*statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	raw, err := c.conn.PrepareContext(forever, query)
	if err != nil {
		return nil, err
	}
	stmt, ok := raw.(driverStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's %T cannot do what is needed", raw), raw.Close())
	}
	s := &statement{driverStmt: stmt}
	c.stmts[query] = s
	return s, nil
}

func (c *connection) exec(query string, args []any) (driver.Result, error) {
	s, err := c.prepared(query)
	if err != nil {
		return nil, err
	}
	if err := c.bind(args); err != nil {
		return nil, err
	}
	return s.ExecContext(forever, c.args)
}

// query calls scan with every row until it wants no more.
func (c *connection) query(query string, args []any, scan func(*row) (more bool, err error)) (err error) {
	s, err := c.prepared(query)
	if err != nil {
		return err
	}
	if err := c.bind(args); err != nil {
		return err
	}
	rows, err := s.QueryContext(forever, c.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if s.row == nil {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	for {
		switch err := rows.Next(s.row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if more, err := scan(&row{s.row}); err != nil || !more {
			return err
		}
	}
}

// bind makes the arguments those of the statement that runs next.
func (c *connection) bind(args []any) (err error) {
	c.args = c.args[:0]
	for i, arg := range args {
		v := driver.NamedValue{Ordinal: i + 1}
		switch arg := arg.(type) {
		case int64, string, []byte, bool, nil:
			v.Value = arg
		case int:
			v.Value = int64(arg)
		case int32:
			v.Value = int64(arg)
		default:
			if v.Value, err = driver.DefaultParameterConverter.ConvertValue(arg); err != nil {
				return fmt.Errorf("argument %d: %w", i+1, err)
			}
		}
		c.args = append(c.args, v)
	}
	return nil
}

// scanner is a row, of a connection or of database/sql.
type scanner interface{ Scan(dest ...any) error }

// row is a row of a result.
type row struct{ values []driver.Value }

// Scan writes the columns to where dest points. It takes what the statements of the writer return: integers, texts and bytes
// that are not NULL, and whatever a [sql.Scanner] takes.
func (r *row) Scan(dest ...any) error {
	if len(dest) != len(r.values) {
		return fmt.Errorf("%d places for %d columns", len(dest), len(r.values))
	}
	for i, d := range dest {
		if err := scanValue(d, r.values[i]); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

func scanValue(dest any, v driver.Value) error {
	switch v := v.(type) {
	case int64:
		switch d := dest.(type) {
		case *int64:
			*d = v
			return nil
		case *int:
			*d = int(v)
			return nil
		}
	case string:
		if d, ok := dest.(*string); ok {
			*d = v
			return nil
		}
	case []byte:
		if d, ok := dest.(*[]byte); ok {
			*d = v // the driver has made it for this row
			return nil
		}
	}
	if d, ok := dest.(sql.Scanner); ok {
		return d.Scan(v)
	}
	return scanKind(reflect.ValueOf(dest).Elem(), v)
}

// scanKind scans into a type that has a name, or is narrow.
func scanKind(to reflect.Value, v driver.Value) error {
	switch v := v.(type) {
	case int64:
		switch {
		case to.CanInt() && !to.OverflowInt(v):
			to.SetInt(v)
			return nil
		case to.CanUint() && v >= 0 && !to.OverflowUint(uint64(v)):
			to.SetUint(uint64(v))
			return nil
		case to.Kind() == reflect.Bool && (v == 0 || v == 1):
			to.SetBool(v == 1)
			return nil
		}
	case string:
		if to.Kind() == reflect.String {
			to.SetString(v)
			return nil
		}
	case nil:
		if to.Kind() == reflect.Slice { // the driver's word for bytes of which there are none
			to.SetZero()
			return nil
		}
	}
	return fmt.Errorf("%T does not go into %s", v, to.Type())
}
