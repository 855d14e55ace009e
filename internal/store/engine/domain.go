package engine

import (
	"encoding/json"
	"fmt"

	"postyard/internal/directory"
)

// PackChecks returns the checks of a domain as they are stored.
func PackChecks(c *directory.DomainChecks) (string, error) {
	packed, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode checks of a domain: %w", err)
	}
	return string(packed), nil
}

// UnpackChecks is the inverse of PackChecks; "" is of a domain that was never looked at.
func UnpackChecks(packed string) (c directory.DomainChecks, err error) {
	if packed == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(packed), &c); err != nil {
		return c, fmt.Errorf("decode checks of a domain: %w", err)
	}
	return c, nil
}
