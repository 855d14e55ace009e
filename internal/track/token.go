package track

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"postyard/internal/event"
	"postyard/internal/mail"
	"postyard/internal/route"
)

// action is what following a token's address does. The numbers are in mail that was sent.
type action byte

const (
	open        action = 1
	click       action = 2
	unsubscribe action = 3
)

// paths of the actions.
var paths = map[action]string{open: "/track/tpsp/open/", click: "/track/tpsp/click/", unsubscribe: "/track/tpsp/unsubscribe/"}

// prefix begins all paths.
const prefix = "/track/tpsp/"

// claim is what a token says.
type claim struct {
	action    action
	family    event.Family // of the events
	message   mail.ID
	accountID int32
	egress    route.Egress
	url       string // of a click
}

// Form of a token: base64url without padding of
//
//	1 byte    version
//	1 byte    action
//	1 byte    family of events
//	16 bytes  message id
//	varint    account id
//	varint    egress
//	rest      the link's target
//	16 bytes  the first half of HMAC-SHA256 of all before it
//
// Tokens stand in mail that is read years later: a version that was used keeps its meaning.
const (
	version1  = 1
	macSize   = 16
	idSize    = len(mail.ID{})
	maxURL    = 2000 // bytes of a link's target; longer ones are not tracked, as many programs cut addresses beyond that
	maxBinary = 3 + idSize + 2*binary.MaxVarintLen32 + maxURL + macSize
)

// encoding refuses other spellings of the same bytes.
var encoding = base64.RawURLEncoding.Strict()

var errToken = errors.New("this is not a token of this server")

func (s *Service) mac(signed []byte) []byte {
	h := hmac.New(sha256.New, s.Key)
	h.Write(signed)
	return h.Sum(nil)[:macSize]
}

// sign makes a token.
func (s *Service) sign(c *claim) string {
	b := make([]byte, 0, maxBinary-maxURL+len(c.url))
	b = append(b, version1, byte(c.action), byte(c.family))
	b = append(b, c.message[:]...)
	b = binary.AppendVarint(b, int64(c.accountID))
	b = binary.AppendVarint(b, int64(c.egress))
	b = append(b, c.url...)
	return encoding.EncodeToString(append(b, s.mac(b)...))
}

// read reads a token for an action. Nothing of it is looked at before its signature.
func (s *Service) read(token string, want action) (*claim, error) {
	if encoding.DecodedLen(len(token)) > maxBinary || strings.ContainsAny(token, "\r\n") { // the decoder passes over line breaks
		return nil, errToken
	}
	b, err := encoding.DecodeString(token)
	if err != nil || len(b) < macSize {
		return nil, errToken
	}
	signed, sum := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(sum, s.mac(signed)) {
		return nil, errToken
	}
	if len(signed) < 3+idSize || signed[0] != version1 || action(signed[1]) != want {
		return nil, errToken
	}
	c := &claim{action: want, family: event.Family(signed[2]), message: mail.ID(signed[3 : 3+idSize])}
	rest := signed[3+idSize:]
	account, n := binary.Varint(rest)
	if n <= 0 {
		return nil, errToken
	}
	egress, m := binary.Varint(rest[n:])
	if m <= 0 {
		return nil, errToken
	}
	c.accountID, c.egress, c.url = int32(account), route.Egress(egress), string(rest[n+m:])
	return c, nil
}
