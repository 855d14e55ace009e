package postmark

import (
	"errors"
	"strings"

	"postyard/internal/provider"
)

// testToken is the key of everybody's: with it Postmark checks mail and sends none. It opens no route that reads.
const testToken = "POSTMARK_API_TEST"

// trialStream is the stream of a connection with the test token: nobody can be asked, and every server has it.
const trialStream = "outbound"

var (
	_ provider.Trier = (*Adapter)(nil)

	errTrial = errors.New("with Postmark's test token nothing can be asked")
)

func isTrial(conn provider.Connection) bool {
	return strings.EqualFold(strings.TrimSpace(conn.Key.Reveal()), testToken)
}

// Trial implements provider.Trier.
func (*Adapter) Trial(conn provider.Connection) string {
	if !isTrial(conn) {
		return ""
	}
	return "this is Postmark's test token, " + testToken + ": mail is checked and not sent, and nothing is reported"
}

func trialStreams() []provider.Stream {
	return []provider.Stream{{ID: trialStream, Name: "Default Transactional Stream", Type: "Transactional"}}
}
