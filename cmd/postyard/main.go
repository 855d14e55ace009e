// Command postyard is a switchyard for email: one API in front of many email service providers.
package main

import (
	"os"

	"postyard/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr, os.Environ()))
}
