// Package dkimtest verifies DKIM signatures for tests, by RFC 6376 and without the library that makes them.
package dkimtest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	spaces = regexp.MustCompile(`[ \t]+`)
	folds  = regexp.MustCompile(`\r\n[ \t]`)
	value  = regexp.MustCompile(`(;\s*b=)[^;]*`)
)

// Verify verifies the signature that a message begins with, and returns its tags. txt looks up TXT records. Only rsa-sha256 with the
// relaxed forms is known.
func Verify(message []byte, txt func(name string) ([]string, error)) (map[string]string, error) {
	head, body, ok := bytes.Cut(message, []byte("\r\n\r\n"))
	if !ok {
		return nil, errors.New("the message has no end of its header")
	}
	for line := range bytes.SplitSeq(message, []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n") || len(line) > 998 {
			return nil, fmt.Errorf("not a line of mail: %q", line[:min(len(line), 100)])
		}
	}
	fields := strings.Split(folds.ReplaceAllString(string(head), " "), "\r\n")
	name, rest, _ := strings.Cut(fields[0], ":")
	if !strings.EqualFold(name, "DKIM-Signature") {
		return nil, fmt.Errorf("the message begins with %s and not with a signature", name)
	}
	tags, err := parse(rest)
	if err != nil {
		return nil, err
	}
	if tags["v"] != "1" || tags["a"] != "rsa-sha256" || tags["c"] != "relaxed/relaxed" || tags["l"] != "" {
		return tags, fmt.Errorf("the signature is of another kind: %v", tags)
	}
	sum := sha256.Sum256(relaxedBody(body))
	if bh := base64.StdEncoding.EncodeToString(sum[:]); bh != tags["bh"] {
		return tags, fmt.Errorf("the body has the hash %s, and %s was signed", bh, tags["bh"])
	}

	hash := sha256.New()
	left := slices.Clone(fields[1:])
	for name := range strings.SplitSeq(tags["h"], ":") {
		for i := len(left) - 1; i >= 0; i-- { // from the bottom, each once (section 5.4.2)
			if field, _, _ := strings.Cut(left[i], ":"); strings.EqualFold(strings.TrimSpace(field), strings.TrimSpace(name)) {
				hash.Write([]byte(relaxedField(left[i]) + "\r\n"))
				left = slices.Delete(left, i, i+1)
				break
			}
		}
	}
	hash.Write([]byte(relaxedField(value.ReplaceAllString(fields[0], "$1"))))
	signature, err := base64.StdEncoding.DecodeString(tags["b"])
	if err != nil {
		return tags, err
	}
	texts, err := txt(tags["s"] + "._domainkey." + tags["d"])
	if err != nil || len(texts) != 1 {
		return tags, fmt.Errorf("the key is not in DNS: %q, %w", texts, err)
	}
	published, err := parse(texts[0])
	if err != nil {
		return tags, err
	}
	der, err := base64.StdEncoding.DecodeString(published["p"])
	if err != nil {
		return tags, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return tags, err
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return tags, fmt.Errorf("a key of type %T", key)
	}
	return tags, rsa.VerifyPKCS1v15(public, crypto.SHA256, hash.Sum(nil), signature)
}

func parse(list string) (map[string]string, error) {
	tags := map[string]string{}
	for part := range strings.SplitSeq(list, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !ok || tags[name] != "" {
			return nil, fmt.Errorf("a tag %q in %q", part, list)
		}
		tags[name] = strings.Join(strings.Fields(value), "")
	}
	return tags, nil
}

// relaxedField is section 3.4.2, of a field that was unfolded.
func relaxedField(field string) string {
	name, value, _ := strings.Cut(field, ":")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.TrimSpace(spaces.ReplaceAllString(value, " "))
}

// relaxedBody is section 3.4.4.
func relaxedBody(body []byte) []byte {
	lines := strings.Split(string(body), "\r\n")
	for i := range lines {
		lines[i] = strings.TrimRight(spaces.ReplaceAllString(lines[i], " "), " ")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}
