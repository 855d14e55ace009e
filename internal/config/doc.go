// Package config reads the program's configuration. One table (table.go) holds every option with its type, default,
// limits and meaning; the flags ([Flags]), the environment variables, the keys of the file, the checks ([Load]) and the
// printed reference ([Reference]) all come from it, so they cannot differ.
//
// An option named batch-size is the flag --batch-size, the variable POSTYARD_BATCH_SIZE and the YAML key batch-size. The
// flag goes before the variable, the variable before the file, the file before the default. A variable that is set to
// nothing counts as not set.
//
// One file and one environment may serve all commands: what belongs to another command is passed over. A key that no
// command knows is an error in the file, where it is a slip, and is passed over in the environment, where others put
// POSTYARD_ variables too (Kubernetes does so for a service of that name).
//
// Invariants: no error and no formatted [Config] shows a secret. Nothing here opens anything but the configuration
// file. The package imports only package secret of this module.
package config
