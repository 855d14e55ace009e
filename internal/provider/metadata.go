package provider

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"postyard/internal/mail"
)

// MetadataPrefix marks headers that are meant for a provider's metadata (PM-15), in any case of letters; they are no headers of mail.
const MetadataPrefix = "TPSP_METADATA_"

// MetadataKey returns the key of metadata that a header carries.
func MetadataKey(header string) (key string, ok bool) {
	if len(header) < len(MetadataPrefix) || !strings.EqualFold(header[:len(MetadataPrefix)], MetadataPrefix) {
		return "", false
	}
	return header[len(MetadataPrefix):], true
}

// idLength is that of the only spelling of a message's id that we give out. The parser knows others: braces, urn:uuid:.
const idLength = 36

// OwnMessageID reads our id of a message as a provider's metadata gives it back; zero when it is not one of ours.
func OwnMessageID(text string) mail.ID {
	if len(text) != idLength {
		return mail.ID{}
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return mail.ID{}
	}
	return id
}

// OwnTPSPID reads the id of our TPSP as a provider's metadata gives it back; 0 when it is not one.
func OwnTPSPID(text string) int32 {
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || id < 0 {
		return 0
	}
	return int32(id)
}
