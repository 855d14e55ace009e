//go:build !race

package web_test

var buildFlags []string
