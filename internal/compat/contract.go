// Package compat holds SendPost's public API as data, as its documentation and its official clients have it, and speaks in the clients'
// wire forms. It was written from what is published, and knows nothing of the code that it checks. It is for tests: nothing of the product
// uses it.
package compat

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed contract.yaml
var contractFile []byte

// Contract is what SendPost's clients call, and what they can read.
type Contract struct {
	Operations []Operation
	Types      map[string]map[string]string // the type of each key
}

// Operation is one method of one path.
type Operation struct {
	ID       string // as the clients name it
	Method   string
	Path     string   // under Base, as the clients spell it: with a slash at its end or without
	Key      string   // account, subaccount
	Query    []string // parameters; required ones end with !
	Body     string   // the type of what is sent, "" when nothing is
	Status   int      // of success
	Answer   string   // the type of the answer
	Refusals []int    // documented statuses that Postyard gives
	Message  string   // what the answer to a deletion says, with %s for the name
	Note     string   // for the document
}

// Base is what stands before every path.
const Base = "/api/v1"

// Load reads the contract.
func Load() (*Contract, error) {
	var c Contract
	decoder := yaml.NewDecoder(bytes.NewReader(contractFile))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("read SendPost's contract: %w", err)
	}
	return &c, nil
}

// Operation returns the one with that id; it panics when there is none, which is a slip of the test.
func (c *Contract) Operation(id string) *Operation {
	i := slices.IndexFunc(c.Operations, func(o Operation) bool { return o.ID == id })
	if i < 0 {
		panic("SendPost has no operation " + id)
	}
	return &c.Operations[i]
}

// Check tells everything in an answer's body that one of the official clients would stumble over: keys that are unknown (Java) or missing,
// other JSON types (Python), numbers that are not whole or do not fit (Go), null where nothing allows it.
func (c *Contract) Check(o *Operation, body []byte) error { return c.checkAs(o.ID, o.Answer, body) }

// CheckWebhook is Check for what a receiver of webhooks gets.
func (c *Contract) CheckWebhook(body []byte) error {
	return c.checkAs("webhook", "WebhookObject", body)
}

func (c *Contract) checkAs(what, kind string, body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if decoder.More() {
		return fmt.Errorf("%s: there is more after the answer", what)
	}
	if problems := c.check(kind, value, kind); len(problems) > 0 {
		return fmt.Errorf("%s: %w", what, errors.Join(problems...))
	}
	return nil
}

// check compares a value with a type. at is where it stands.
func (c *Contract) check(kind string, value any, at string) []error {
	if of, nullable := strings.CutSuffix(kind, "?"); nullable {
		if value == nil {
			return nil
		}
		return c.check(of, value, at)
	}
	switch {
	case value == nil:
		return []error{fmt.Errorf("%s is null", at)}
	case strings.HasPrefix(kind, "["):
		return c.checkList(strings.Trim(kind, "[]"), value, at)
	case strings.HasPrefix(kind, "{"):
		return c.checkMap(strings.Trim(kind, "{}"), value, at)
	}
	if fields, known := c.Types[kind]; known {
		return c.checkObject(fields, value, at)
	}
	return checkScalar(kind, value, at)
}

func (c *Contract) checkList(of string, value any, at string) (problems []error) {
	list, ok := value.([]any)
	if !ok {
		return []error{fmt.Errorf("%s is no list: %v", at, value)}
	}
	for i, one := range list {
		problems = append(problems, c.check(of, one, at+"["+strconv.Itoa(i)+"]")...)
	}
	return problems
}

func (c *Contract) checkMap(of string, value any, at string) (problems []error) {
	values, ok := value.(map[string]any)
	if !ok {
		return []error{fmt.Errorf("%s is no object: %v", at, value)}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		problems = append(problems, c.check(of, values[key], at+"."+key)...)
	}
	return problems
}

func (c *Contract) checkObject(fields map[string]string, value any, at string) (problems []error) {
	object, ok := value.(map[string]any)
	if !ok {
		return []error{fmt.Errorf("%s is no object: %v", at, value)}
	}
	left := maps.Clone(object)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		kind, optional := strings.CutSuffix(fields[key], "*")
		one, there := object[key]
		delete(left, key)
		switch {
		case there:
			problems = append(problems, c.check(kind, one, at+"."+key)...)
		case !optional:
			problems = append(problems, fmt.Errorf("%s.%s is missing", at, key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(left)) {
		problems = append(problems, fmt.Errorf("%s.%s is not documented", at, key))
	}
	return problems
}

func checkScalar(kind string, value any, at string) []error {
	wrong := []error{fmt.Errorf("%s is no %s: %v", at, kind, value)}
	switch kind {
	case "string":
		if _, ok := value.(string); !ok {
			return wrong
		}
	case "bool":
		if _, ok := value.(bool); !ok {
			return wrong
		}
	case "object":
		if _, ok := value.(map[string]any); !ok {
			return wrong
		}
	case "number":
		if _, ok := value.(json.Number); !ok {
			return wrong
		}
	case "date":
		text, _ := value.(string)
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return wrong
		}
	case "bit", "int32", "int64":
		bits := map[string]int{"bit": 2, "int32": 32, "int64": 64}[kind]
		n, _ := value.(json.Number)
		if whole, err := strconv.ParseInt(string(n), 10, bits); err != nil || kind == "bit" && whole < 0 {
			return wrong
		}
	default:
		return []error{fmt.Errorf("the contract has no type %s", kind)}
	}
	return nil
}
