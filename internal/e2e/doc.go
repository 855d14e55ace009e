// Package e2e tests the real program: it builds the binary, starts it as a user would, talks to it over HTTP, and kills it.
// It has no code but tests.
package e2e
