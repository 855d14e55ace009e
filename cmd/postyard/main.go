// Command postyard is the server, the provider simulators, and the tools around them; see postyard --help.
package main

import (
	"os"

	"postyard/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr, os.Environ()))
}
