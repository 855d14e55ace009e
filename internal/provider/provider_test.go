package provider

import "testing"

// The ids are SendPost's; the names stand in webhook URLs that providers keep.
func TestTypes(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]Type{"sendgrid": 1, "mailgun": 2, "ses": 3, "postmark": 4, "sparkpost": 5, "custom-smtp": 6} {
		if got, ok := TypeNamed(name); !ok || got != id || id.Name() != name {
			t.Errorf("TypeNamed(%q) = %d, %t; type %d is named %q", name, got, ok, id, id.Name())
		}
	}
	for _, name := range []string{"", "Postmark", "postmark ", "smtp"} {
		if got, ok := TypeNamed(name); ok {
			t.Errorf("TypeNamed(%q) = %d", name, got)
		}
	}
	if got := Type(99).Name(); got != "" {
		t.Errorf("type 99 is named %q", got)
	}
}

// Classes are stored as numbers, and shown by name.
func TestClasses(t *testing.T) {
	t.Parallel()
	for number, want := range []string{"accepted", "rejected", "inactive", "transient", "throttled", "account", "ambiguous", "invalid"} {
		if got := Class(number).String(); got != want {
			t.Errorf("class %d is %q, want %q", number, got, want)
		}
	}
}
