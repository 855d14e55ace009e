package postmark

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"postyard/internal/sandbox/settings"
)

// failure is an error answer of the API.
type failure struct {
	status  int
	code    int
	message string
	body    any // when the answer is more than ErrorCode and Message
}

func (f *failure) Error() string { return fmt.Sprintf("%d/%d: %s", f.status, f.code, f.message) }

// fail is a 422 with an ErrorCode: the usual way in which the API says no.
func fail(code int, format string, args ...any) *failure {
	return &failure{status: http.StatusUnprocessableEntity, code: code, message: fmt.Sprintf(format, args...)}
}

type errorBody struct {
	ErrorCode int
	Message   string
}

// removed is the answer to a deletion.
func removed(format string, args ...any) errorBody {
	return errorBody{Message: fmt.Sprintf(format, args...)}
}

// encode is JSON as the API writes it: without HTML escapes and without a newline.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// stamp is a date as the API writes it: UTC with seven digits.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// stampAs is a date of a webhook, in one of the settings' ways (PM-sim 44).
func stampAs(dates string, t time.Time) string {
	switch dates {
	case settings.DatesPlain:
		return t.UTC().Format("2006-01-02T15:04:05Z")
	case settings.DatesOffset:
		return t.In(eastern()).Format("2006-01-02T15:04:05.0000000-07:00")
	}
	return stamp(t)
}

// stampOrNil is null for the zero time.
func stampOrNil(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(stamp(t))
}

// Wording is how the API words a status that a fault asks for. errorCode 0 chooses the code that Postmark documents for the
// status; where it documents none there is no body, which is the hardest to read.
func Wording(status, errorCode int) (http.Header, []byte) {
	header := http.Header{}
	header.Set("Server", serverHeader)
	if errorCode == 0 {
		errorCode = usualCode(status)
	}
	if errorCode == 0 {
		return header, nil
	}
	body, err := encode(errorBody{ErrorCode: errorCode, Message: usualText(errorCode)})
	if err != nil {
		return header, nil
	}
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "private")
	if status != http.StatusOK {
		header.Set(headerErrorCode, strconv.Itoa(errorCode))
	}
	return header, body
}

// usualCode is 0 for a status that goes with no ErrorCode of Postmark's.
func usualCode(status int) int {
	switch status {
	case http.StatusUnauthorized:
		return codeToken
	case http.StatusUnprocessableEntity:
		return codeField
	case http.StatusInternalServerError:
		return codeUnexpected
	case http.StatusServiceUnavailable:
		return codeMaintenance
	}
	return 0
}

func usualText(code int) string {
	switch code {
	case codeToken:
		return textServerToken
	case codeMaintenance:
		return "The Postmark API is currently in maintenance mode. Please try again later."
	case codeUnexpected:
		return "An unexpected error has occurred. Error ID: 5a0db0c5-0000-4000-8000-5a5db0c50000."
	case codeField:
		return "Invalid 'To' address: 'invalid@localhost'."
	case codeSender:
		return fmt.Sprintf(textSender, "sender@unverified.example")
	case 405:
		return "Not allowed to send: you have run out of credits."
	case 412:
		return "While your account is pending approval, all recipient addresses must share the same domain as the 'From' address." +
			" The domain of the 'From' address is 'example.com'."
	case 413:
		return textNotApproved
	case 422:
		return "Invalid Server or Account."
	case 1235:
		return "The stream provided: 'outbound' does not exist on this server."
	case 1480:
		return "You are not authorized to send emails from your current IP address"
	}
	return "The sandbox was asked to fail this request."
}
