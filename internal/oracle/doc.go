// Package oracle is a module of its own, with tests only: they hold our signatures, and how we check those of others, against the code that
// the providers publish. That code is to be in no go.mod but this one, and in no binary.
package oracle
