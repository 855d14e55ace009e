package ses

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"postyard/internal/sandbox/fault"
)

// serverHeader is the Server header of every answer.
const serverHeader = "Postyard-Sandbox (Amazon SES simulator)"

// Header fields of AWS's answers. The second has a suffix after a colon where AWS's front has one.
const (
	headerRequestID = "X-Amzn-Requestid"
	headerErrorType = "X-Amzn-Errortype"
	frontSuffix     = ":http://internal.amazon.com/coral/com.amazon.coral.service/"
)

// Types of errors of SES.
const (
	typeAlreadyExists = "AlreadyExistsException"
	typeBadRequest    = "BadRequestException"
	typeInternal      = "InternalFailure"
	typeLimit         = "LimitExceededException"
	typeNotFound      = "NotFoundException"
	typePaused        = "SendingPausedException"
	typeRejected      = "MessageRejected"
	typeSuspended     = "AccountSuspendedException"
	typeThrottled     = "ThrottlingException"
	typeTooLarge      = "RequestEntityTooLargeException"
	typeTooMany       = "TooManyRequestsException"
)

// Codes of errors of SNS.
const (
	codeInternal  = "InternalError"
	codeInvalid   = "InvalidParameter"
	codeNotFound  = "NotFound"
	codeThrottled = "Throttled"
)

// failure is an error answer: kind is SES's type of it, or SNS's code.
type failure struct {
	status  int
	kind    string
	code    string // SNS's code, where that is another word
	front   bool   // it is of AWS's front
	message string
}

func (f *failure) Error() string { return fmt.Sprintf("%d %s: %s", f.status, f.kind, f.message) }

// fail is a 400 of a type: the usual way in which the services say no.
func fail(kind, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: kind, message: fmt.Sprintf(format, args...)}
}

// bad is a request that breaks a rule.
func bad(format string, args ...any) *failure { return fail(typeBadRequest, format, args...) }

func notFound(kind, format string, args ...any) *failure {
	return &failure{status: http.StatusNotFound, kind: kind, message: fmt.Sprintf(format, args...)}
}

// denied is a request that is not from whom it says; SNS and SES have their own words for it.
func denied(code, kind, format string, args ...any) *failure {
	return &failure{status: http.StatusForbidden, code: code, kind: kind, front: true, message: fmt.Sprintf(format, args...)}
}

func incomplete(format string, args ...any) *failure {
	return denied("IncompleteSignature", "IncompleteSignatureException", format, args...)
}

func mismatched(format string, args ...any) *failure {
	return denied("SignatureDoesNotMatch", "InvalidSignatureException", format, args...)
}

type errorBody struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}

// json is the failure as SES answers it.
func (f *failure) json() (http.Header, []byte) {
	header := http.Header{"Content-Type": {contentJSON}, "Server": {serverHeader}, headerRequestID: {uuid.NewString()},
		headerErrorType: {f.kind}}
	if f.front {
		header.Set(headerErrorType, f.kind+frontSuffix)
	}
	body, err := encode(errorBody{f.kind, f.message})
	if err != nil {
		return header, nil // not so: two strings
	}
	return header, body
}

const snsNamespace = "http://sns.amazonaws.com/doc/2010-03-31/"

type xmlError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// xml is the failure as SNS answers it.
func (f *failure) xml() (http.Header, []byte) {
	id := uuid.NewString()
	header := http.Header{"Content-Type": {contentXML}, "Server": {serverHeader}, headerRequestID: {id}}
	e := xmlError{Namespace: snsNamespace, Type: "Sender", Code: f.code, Message: f.message, RequestID: id}
	if e.Code == "" {
		e.Code = f.kind
	}
	if f.status >= 500 {
		e.Type = "Receiver"
	}
	body, err := xml.Marshal(e)
	if err != nil {
		return header, nil // not so: strings
	}
	return header, body
}

// encode is JSON without HTML escapes and without a newline.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// usualTexts are the words of errors that faults can name.
var usualTexts = map[string]string{
	typeThrottled:                        textRate,
	typeTooMany:                          "Too many requests have been made to the operation.",
	typeLimit:                            "There are too many instances of the specified resource type.",
	typeSuspended:                        textSuspended,
	typePaused:                           textPaused,
	typeRejected:                         "Email address is not verified. The following identities failed the check in region US-EAST-1: sender@unverified.example",
	typeNotFound:                         "Configuration set <sendpost-events> does not exist.",
	typeTooLarge:                         "The request is too large.",
	"MailFromDomainNotVerifiedException": "The sending domain isn't verified.",
	"UnrecognizedClientException":        "The security token included in the request is invalid.",
	"InvalidSignatureException":          "Signature expired.",
	"ExpiredTokenException":              "The security token included in the request is expired",
	"AccessDeniedException":              "User: arn:aws:iam::" + accountID + ":user/sandbox is not authorized to perform: ses:SendEmail",
}

// usualType is the type of error that goes with a status when a fault names none.
func usualType(status int) string {
	switch status {
	case http.StatusForbidden:
		return "AccessDeniedException"
	case http.StatusNotFound:
		return typeNotFound
	case http.StatusRequestTimeout:
		return "RequestTimeoutException"
	case http.StatusRequestEntityTooLarge:
		return typeTooLarge
	case http.StatusTooManyRequests:
		return typeTooMany
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	}
	if status >= 500 {
		return typeInternal
	}
	return typeBadRequest
}

// Wording is how the services word a status that a fault asks for, with the fault's errorType or the one that is usual for the status.
func Wording(r *http.Request, rule fault.Rule) (http.Header, []byte) {
	f := &failure{status: rule.Status, kind: rule.ErrorType, message: "The sandbox was asked to fail this request."}
	if f.kind == "" {
		f.kind = usualType(rule.Status)
	}
	if text, ok := usualTexts[f.kind]; ok {
		f.message = text
	}
	if isREST(r) {
		return f.json()
	}
	return f.xml()
}
