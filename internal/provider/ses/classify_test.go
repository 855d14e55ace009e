package ses_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postyard/internal/provider"
)

// What SES says of a message that it does not take.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const unverified = "Email address is not verified. The following identities failed the check in region US-EAST-1: shop@example.com"
	account := func(kind string) provider.Outcome { return provider.Outcome{Class: provider.Account, Code: kind} }
	for name, tc := range map[string]struct {
		status     int
		kind, text string
		want       provider.Outcome
	}{
		"rate":                     {400, "ThrottlingException", "Maximum sending rate exceeded.", provider.Outcome{Class: provider.Throttled, Code: "Throttling"}},
		"calls":                    {429, "TooManyRequestsException", "Rate exceeded", provider.Outcome{Class: provider.Throttled, Code: "TooManyRequests"}},
		"daily quota":              {400, "ThrottlingException", "Daily message quota exceeded.", account("Throttling")},
		"daily quota, 429":         {429, "TooManyRequestsException", "Daily message quota exceeded", account("TooManyRequests")},
		"limit":                    {400, "LimitExceededException", "There are too many instances of the specified resource type.", account("LimitExceeded")},
		"suspended":                {400, "AccountSuspendedException", "The account's ability to send email has been permanently restricted.", account("AccountSuspended")},
		"paused":                   {400, "SendingPausedException", "Email sending is paused for the account.", account("SendingPaused")},
		"MAIL FROM":                {400, "MailFromDomainNotVerifiedException", "The sending domain isn't verified.", provider.Outcome{Class: provider.Account, SenderOnly: true, Code: "MailFromDomainNotVerified"}},
		"not verified":             {400, "MessageRejected", unverified, provider.Outcome{Class: provider.Account, SenderOnly: true, Code: "MessageRejected"}},
		"content":                  {400, "MessageRejected", "Message contains a virus.", provider.Outcome{Class: provider.Rejected, Code: "MessageRejected"}},
		"no set":                   {404, "NotFoundException", "Configuration set sendpost-events does not exist.", account("NotFound")},
		"no set, 400":              {400, "BadRequestException", "Configuration set <sendpost-events> does not exist.", account("BadRequest")},
		"no template":              {404, "NotFoundException", "Template welcome does not exist.", provider.Outcome{Class: provider.Rejected, Code: "NotFound"}},
		"bad request":              {400, "BadRequestException", "Local address contains control or whitespace", provider.Outcome{Class: provider.Rejected, Code: "BadRequest"}},
		"validation":               {400, "ValidationError", "1 validation error detected", provider.Outcome{Class: provider.Rejected, Code: "ValidationError"}},
		"validation exception":     {400, "ValidationException", "1 validation error detected", provider.Outcome{Class: provider.Rejected, Code: "Validation"}},
		"no right":                 {403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail", account("AccessDenied")},
		"no such key":              {403, "UnrecognizedClientException", "The security token included in the request is invalid.", account("UnrecognizedClient")},
		"expired token":            {403, "ExpiredTokenException", "The security token included in the request is expired", account("ExpiredToken")},
		"incomplete":               {403, "IncompleteSignature", "Authorization header requires 'Credential' parameter.", account("IncompleteSignature")},
		"opt in":                   {403, "OptInRequired", "The AWS Access Key Id needs a subscription for the service", account("OptInRequired")},
		"not authorised":           {401, "NotAuthorized", "You do not have permission to perform this action.", account("NotAuthorized")},
		"too large":                {413, "RequestEntityTooLargeException", "The request is too large.", provider.Outcome{Class: provider.Rejected, Code: "RequestEntityTooLarge"}},
		"time-out":                 {408, "RequestTimeoutException", "The request timed out.", provider.Outcome{Class: provider.Transient, Code: "RequestTimeout"}},
		"failure":                  {500, "InternalFailure", "", provider.Outcome{Class: provider.Ambiguous, Code: "InternalFailure"}},
		"service error":            {500, "InternalServiceErrorException", "", provider.Outcome{Class: provider.Ambiguous, Code: "InternalServiceError"}},
		"unavailable":              {503, "ServiceUnavailable", "", provider.Outcome{Class: provider.Transient, Code: "ServiceUnavailable"}},
		"modified":                 {500, "ConcurrentModificationException", "", provider.Outcome{Class: provider.Transient, Code: "ConcurrentModification"}},
		"a name of 5xx says no":    {500, "MessageRejected", "", provider.Outcome{Class: provider.Ambiguous, Code: "MessageRejected"}},
		"new, 400":                 {400, "SomethingNewException", "no", provider.Outcome{Class: provider.Rejected, Code: "SomethingNew"}},
		"new, 403":                 {403, "SomethingNewException", "no", account("SomethingNew")},
		"new, 502":                 {502, "SomethingNewException", "no", provider.Outcome{Class: provider.Ambiguous, Code: "SomethingNew"}},
		"nothing, 404":             {404, "", "", provider.Outcome{Class: provider.Account}},
		"throttled by what is new": {400, "Throttling", "Rate exceeded", provider.Outcome{Class: provider.Throttled, Code: "Throttling"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quoted := strings.NewReplacer(`"`, `\"`).Replace(tc.text)
			want := tc.want
			want.HTTPStatus = tc.status
			for form, answer := range map[string]struct {
				header http.Header
				body   string
			}{
				"header":            {http.Header{"X-Amzn-Errortype": {tc.kind}}, `{"message":"` + quoted + `"}`},
				"header with a URL": {http.Header{"X-Amzn-Errortype": {tc.kind + ":http://internal.amazon.com/coral/"}}, `{"Message":"` + quoted + `"}`},
				"body":              {nil, `{"__type":"com.amazonaws.ses#` + tc.kind + `","message":"` + quoted + `"}`},
			} {
				o := newAdapter(t).Send(t.Context(), scripted(t, tc.status, answer.header, answer.body), batch(1))[0]
				if diff := cmp.Diff(want, o, cmpopts.IgnoreFields(provider.Outcome{}, "Text")); diff != "" || !strings.HasPrefix(o.Text, tc.text) || o.Text == "" {
					t.Errorf("%s (-want +got):\n%s\n%q", form, diff, o.Text)
				}
			}
		})
	}
}

// A key that looks wrong may be a clock that is.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Signature expired: 20260302T120000Z is now earlier than 20260302T130000Z (20260302T130500Z - 5 min.)",
		"Signature not yet current: 20260302T140000Z is still later than 20260302T130500Z", strings.Repeat("Signature expired ", 100)} {
		o := newAdapter(t).Send(t.Context(), scripted(t, 403, http.Header{"X-Amzn-Errortype": {"InvalidSignatureException"}}, `{"message":"`+text+`"}`), batch(1))[0]
		if o.Class != provider.Account || !strings.Contains(o.Text, "machine's clock") || len(o.Text) > provider.MaxText {
			t.Errorf("%+v", o)
		}
	}
}

// An answer that ends early may have said that it is not the message.
func TestCutAnswers(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]provider.Class{
		"MessageRejected": provider.Transient, "AccountSuspendedException": provider.Account, "ThrottlingException": provider.Throttled, "": provider.Ambiguous,
	} {
		o := newAdapter(t).Send(t.Context(), scripted(t, 400, http.Header{"X-Amzn-Errortype": {kind}, "Content-Length": {"1000"}}, `{"mess`), batch(1))[0]
		if o.Class != want {
			t.Errorf("%s: %+v", kind, o)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-Amzn-Errortype": {"ThrottlingException"}, "Retry-After": {"3"}}
	o := newAdapter(t).Send(t.Context(), scripted(t, 400, h, `{"message":"Maximum sending rate exceeded."}`), batch(1))[0]
	if o.Class != provider.Throttled || o.RetryAfter != 3*time.Second {
		t.Errorf("%+v", o)
	}
}
