package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	yamlv3 "go.yaml.in/yaml/v3"
)

// maxFile is the largest configuration file that is read, in bytes.
const maxFile = 1 << 20

// keyDelim separates nested keys in koanf. No option is nested.
const keyDelim = "."

// Load returns the configuration of a command: from the flags that [Flags] registered in fs and that were parsed since,
// from environ (as os.Environ returns it), from the file that --config or POSTYARD_CONFIG names, and from the defaults.
//
// The error joins one *[Error] for each option that is unknown or has a bad value, or that does not fit another; the
// Config is to be used only without error.
func Load(fs *pflag.FlagSet, scope Scope, environ []string) (Config, error) {
	l := loader{scope: scope, options: table(), values: koanf.New(keyDelim), sources: make(map[string]Source)}
	cfg, err := l.load(fs, environ)
	if err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// loader collects the layers, the lowest first.
type loader struct {
	scope   Scope
	options []option
	values  *koanf.Koanf
	sources map[string]Source // of the values; defaults are not in it
}

func (l *loader) load(fs *pflag.FlagSet, environ []string) (Config, error) {
	environment, flags := koanf.New(keyDelim), koanf.New(keyDelim)
	if err := environment.Load(l.envProvider(environ), nil); err != nil {
		return Config{}, fmt.Errorf("read environment: %w", err)
	}
	if err := flags.Load(flagProvider(fs), nil); err != nil {
		return Config{}, fmt.Errorf("read flags: %w", err)
	}
	path := environment.String(configOption)
	if flags.Exists(configOption) {
		path = flags.String(configOption)
	}
	fromFile, errs := l.readFile(path)
	for _, layer := range []struct {
		k      *koanf.Koanf
		source func(name string) Source
	}{
		{fromFile, func(string) Source { return Source("file " + path) }},
		{environment, func(name string) Source { return Source("environment variable " + option{name: name}.env()) }},
		{flags, func(name string) Source { return Source("flag --" + name) }},
	} {
		if err := l.values.Merge(layer.k); err != nil {
			return Config{}, fmt.Errorf("merge configuration: %w", err)
		}
		for _, name := range layer.k.Keys() {
			l.sources[name] = layer.source(name)
		}
	}
	var cfg Config
	for _, o := range l.options {
		if err := l.setOption(&cfg, o); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 { // else what is missing would break rules of its own
		errs = l.checkTogether(cfg)
	}
	return cfg, errors.Join(errs...)
}

func (l *loader) envProvider(environ []string) koanf.Provider {
	names := make(map[string]string)
	for _, o := range l.options {
		if _, ok := o.defaults[l.scope]; ok {
			names[o.env()] = o.name
		}
	}
	return env.Provider(keyDelim, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, text string) (string, any) {
			if text == "" {
				return "", nil
			}
			return names[name], text
		},
	})
}

// flagProvider gives the flags of ours that were set; a command may have others in the same set.
func flagProvider(fs *pflag.FlagSet) koanf.Provider {
	return posflag.ProviderWithFlag(fs, keyDelim, nil, func(f *pflag.Flag) (string, any) {
		text, ok := f.Value.(*flagText)
		if !ok {
			return "", nil
		}
		return f.Name, text.text
	})
}

// readFile returns what stands in the configuration file, if there is one, and an error for each key that no command
// knows.
func (l *loader) readFile(path string) (*koanf.Koanf, []error) {
	k := koanf.New(keyDelim)
	if path == "" {
		return k, nil
	}
	if err := loadYAML(k, path); err != nil {
		return koanf.New(keyDelim), []error{&Error{Option: configOption, Source: Source("file " + path), Rule: err.Error()}}
	}
	var errs []error
	for _, name := range k.Keys() {
		known := slices.ContainsFunc(l.options, func(o option) bool { return o.name == name && !o.noFile })
		if !known {
			errs = append(errs, &Error{Option: name, Source: Source("file " + path), Rule: "is no option that a file can set"})
			k.Delete(name)
		}
	}
	return k, errs
}

func loadYAML(k *koanf.Koanf, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if info.Size() > maxFile {
		return fmt.Errorf("must be at most %d bytes long", maxFile)
	}
	err = k.Load(file.Provider(path), yaml.Parser())
	if typeErr, ok := errors.AsType[*yamlv3.TypeError](err); ok {
		return errors.New(describe(typeErr))
	}
	if err != nil {
		return fmt.Errorf("must be valid YAML: %w", err)
	}
	return nil
}

// describe returns what is wrong with the form of a file, in one line. Where the parser quotes the content, it does not:
// somebody may have named the key file.
func describe(err *yamlv3.TypeError) string {
	for _, e := range err.Errors {
		if strings.Contains(e, "cannot unmarshal") {
			return "must be a YAML mapping of options to values"
		}
	}
	return "must be valid YAML: " + strings.Join(err.Errors, "; ")
}

// setOption gives cfg the value of o that goes before the others, or the default.
func (l *loader) setOption(cfg *Config, o option) error {
	if o.name == configOption {
		return nil
	}
	def, settable := o.defaults[l.scope]
	if !settable {
		if fixed, ok := o.fixed[l.scope]; ok {
			return l.apply(cfg, o, fixed)
		}
		return nil
	}
	source, ok := l.sources[o.name]
	if !ok {
		return l.apply(cfg, o, def)
	}
	text, err := plainText(l.values.Get(o.name), o.value.list)
	if err != nil {
		return &Error{Option: o.name, Source: source, Rule: err.Error()}
	}
	return l.apply(cfg, o, text)
}

func (l *loader) apply(cfg *Config, o option, text string) error {
	err := o.value.set(cfg, text)
	if err == nil {
		return nil
	}
	e := &Error{Option: o.name, Source: l.source(o.name), Rule: err.Error()}
	if !o.value.hide {
		e.Value = text
	}
	return e
}

func (l *loader) source(name string) Source {
	if s, ok := l.sources[name]; ok {
		return s
	}
	return Default
}
