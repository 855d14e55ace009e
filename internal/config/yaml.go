package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// plainText returns a value from any source in the form in which it would stand in a flag.
func plainText(v any, list bool) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int, int64, uint64:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case nil:
		return "", errors.New("has no value; leave the key out to get the default")
	case []any:
		if !list {
			return "", errors.New("takes one value, not a list")
		}
		return joinTexts(v)
	}
	return "", errors.New("takes a plain value")
}

func joinTexts(items []any) (string, error) {
	texts := make([]string, len(items))
	for i, item := range items {
		text, err := plainText(item, false)
		if err != nil {
			return "", fmt.Errorf("item %d of the list: %w", i+1, err)
		}
		texts[i] = text
	}
	return strings.Join(texts, ","), nil
}
