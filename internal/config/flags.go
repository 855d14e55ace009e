package config

import (
	"github.com/spf13/pflag"

	"postyard/internal/secret"
)

// Flags registers the flags of scope's options in fs. It panics, as pflag does, when a name is taken.
func Flags(fs *pflag.FlagSet, scope Scope) {
	for _, o := range table() {
		def, ok := o.defaults[scope]
		if !ok || o.noFlag {
			continue
		}
		f := fs.VarPF(&flagText{text: def, value: o.value}, o.name, "", o.doc)
		if o.value.flip {
			f.NoOptDefVal = "true"
		}
	}
}

// flagText is the value of a flag as it was written. [Load] checks it, with the other sources' values.
type flagText struct {
	text  string
	value value
}

// String implements [pflag.Value]. pflag prints it in help and errors.
func (f *flagText) String() string {
	if f.value.key && f.text != "" {
		return secret.Redacted
	}
	return f.text
}

// Set implements [pflag.Value]. It takes every text, because pflag would quote a refused one.
func (f *flagText) Set(text string) error {
	if f.value.more && f.text != "" {
		text = f.text + "," + text
	}
	f.text = text
	return nil
}

// Type implements [pflag.Value]; help shows it behind the name of the flag.
func (f *flagText) Type() string {
	if f.value.flip {
		return "bool" // pflag's own name, by which it leaves the type out of the help
	}
	return f.value.typ
}
