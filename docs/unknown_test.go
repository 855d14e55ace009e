package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"postyard/internal/record"
)

// TestUnknownOfPostmark: the table has every question that the recorder asks, with the code that takes something for granted, and
// whatever it names exists.
func TestUnknownOfPostmark(t *testing.T) {
	t.Parallel()
	rows := map[int][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|(.+)\|$`).FindAllStringSubmatch(read(t, "postmark/unknown.md"), -1) {
		number, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		rows[number] = strings.Split(m[2], "|")
	}
	questions := record.Questions()
	if len(rows) != len(questions) {
		t.Errorf("%d rows for %d questions", len(rows), len(questions))
	}
	known := declarations{}
	for _, q := range questions {
		row := rows[q.Number]
		if len(row) != 6 {
			t.Errorf("question %d: %d cells", q.Number, len(row))
			continue
		}
		where, tests, file := row[2], row[4], row[5]
		for _, d := range q.Defaults {
			if !strings.Contains(where, "`"+d.Where+"`") {
				t.Errorf("question %d does not name %s, which %s is about", q.Number, d.Where, d.ID)
			}
		}
		if !strings.Contains(file, "`"+q.File()+"`") {
			t.Errorf("question %d does not name %s", q.Number, q.File())
		}
		if !strings.Contains(tests, ".Test") {
			t.Errorf("question %d names no test", q.Number)
		}
		for _, cell := range []string{where, tests} {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				if isTest := strings.Contains(m[1], ".Test"); !known.has(t, m[1]) || isTest != (cell == tests) {
					t.Errorf("question %d names %s, which is not there", q.Number, m[1])
				}
			}
		}
	}
}

// declarations are the names of packages' declarations, tests included, by directory: "name" and "Type.method".
type declarations map[string]map[string]bool

// has looks up "internal/provider/postmark.Adapter.Check".
func (d declarations) has(t *testing.T, name string) bool {
	t.Helper()
	slash := strings.LastIndexByte(name, '/')
	dir, decl, ok := strings.Cut(name[slash+1:], ".")
	if !ok {
		return false
	}
	dir = name[:slash+1] + dir
	if d[dir] == nil {
		d[dir] = declared(t, dir)
	}
	return d[dir][decl]
}

func declared(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				names[receiver(decl)+decl.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names[spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							names[name.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// receiver is the type of a method and a dot.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return fmt.Sprintf("%T.", of)
}
