package ses_test

import (
	"testing"

	"postyard/internal/provider"
	"postyard/internal/provider/ses"
	"postyard/internal/secret"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		endpoint, domain, key, secret  string
		private                        bool
		wantEndpoint, wantDomain, code string // code: of the field that follows it
		field                          string
	}{
		"a region":            {" eu-west-1 ", "example.com", keyID, secretKey, false, "https://email.eu-west-1.amazonaws.com", "example.com", "", ""},
		"China":               {"cn-north-1", "", keyID, secretKey, false, "https://email.cn-north-1.amazonaws.com.cn", "", "", ""},
		"Amazon's URL":        {"https://EMAIL.us-gov-west-1.amazonaws.com/", "", keyID, secretKey, false, "https://email.us-gov-west-1.amazonaws.com", "", "", ""},
		"in clear":            {"http://email.eu-west-1.amazonaws.com", "", keyID, secretKey, true, "", "", "invalid_endpoint", "endpoint"},
		"a path":              {"https://email.eu-west-1.amazonaws.com/v2", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"no region of Amazon": {"https://email.evil.amazonaws.com", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"another URL":         {"https://ses.example.com/x/", "eu-west-1", keyID, secretKey, false, "https://ses.example.com/x", "eu-west-1", "", ""},
		"its usual region":    {"http://127.0.0.1:8026", "", keyID, secretKey, true, "http://127.0.0.1:8026", "us-east-1", "", ""},
		"a private URL":       {"http://127.0.0.1:8026", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"a private host":      {"https://10.0.0.1", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"no region":           {"https://ses.example.com", "example.com", keyID, secretKey, false, "", "", "invalid_domain", "domain"},
		"nothing":             {"", "", keyID, secretKey, false, "", "", "missing_endpoint", "endpoint"},
		"no URL":              {"Ireland", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"a host":              {"email.eu-west-1.amazonaws.com", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"a query":             {"https://ses.example.com/?x", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"a user":              {"https://a:b@ses.example.com", "", keyID, secretKey, false, "", "", "invalid_endpoint", "endpoint"},
		"no key":              {"eu-west-1", "", " ", secretKey, false, "", "", "invalid_token", "key"},
		"no secret":           {"eu-west-1", "", keyID, "", false, "", "", "invalid_token", "secret"},
		"a broken secret":     {"eu-west-1", "", keyID, "a b", false, "", "", "invalid_token", "secret"},
		"a scope in the key":  {"eu-west-1", "", keyID + "/x", secretKey, false, "", "", "invalid_token", "key"},
		"a key for an hour":   {"eu-west-1", "", "ASIAEXAMPLEEXAMPLE00", secretKey, false, "", "", "invalid_token", "key"},
	} {
		adapter := ses.New(ses.Config{AllowPrivate: tc.private})
		given := provider.Connection{Endpoint: tc.endpoint, Domain: tc.domain, Key: secret.NewString(tc.key), Secret: secret.NewString(tc.secret)}
		got, bad := adapter.Normalize(given)
		if tc.code != "" {
			if bad == nil || bad.Code != tc.code || bad.Field != tc.field {
				t.Errorf("%s: %+v, want %s at %s", name, bad, tc.code, tc.field)
			}
			continue
		}
		if bad != nil || got.Endpoint != tc.wantEndpoint || got.Domain != tc.wantDomain {
			t.Errorf("%s: %+v, %v", name, got, bad)
		}
		if again, bad := adapter.Normalize(got); bad != nil || again.Endpoint != got.Endpoint || again.Domain != got.Domain {
			t.Errorf("%s again: %+v, %v", name, again, bad)
		}
	}
}

// The same key in the same region is the same account, whatever else was given for it.
func TestDistinguish(t *testing.T) {
	t.Parallel()
	adapter := ses.New(ses.Config{})
	conn := func(endpoint, domain, key, secretKey string) string {
		return adapter.Distinguish(provider.Connection{Endpoint: endpoint, Domain: domain, Key: secret.NewString(key), Secret: secret.NewString(secretKey)})
	}
	one := conn("https://email.eu-west-1.amazonaws.com", "", keyID, secretKey)
	if one != conn("eu-west-1", "example.com", keyID, "another") {
		t.Error("one account is told apart from itself")
	}
	for name, other := range map[string]string{
		"another region": conn("eu-west-2", "", keyID, secretKey), "another key": conn("eu-west-1", "", "AKIAEXAMPLEEXAMPLE01", secretKey),
		"another place": conn("https://ses.example.com", "eu-west-1", keyID, secretKey),
	} {
		if other == one {
			t.Errorf("%s is the same", name)
		}
	}
	if conn("", "", keyID, secretKey) == conn("", "", "AKIAEXAMPLEEXAMPLE01", secretKey) {
		t.Error("what cannot be used is all the same")
	}
}
