package mailbox

import "testing"

// The ids are part of the API: pools are stored with them.
func TestIDs(t *testing.T) {
	t.Parallel()
	want := map[Class]int{
		"gmail": 0, "yahoo": 1, "aol": 2, "microsoft": 3, "comcast": 4, "yandex": 5, "gmx": 6, "mailru": 7, "icloud": 8,
		"zoho": 9, "qq": 10, "default": 11, "att": 12, "office365": 13, "googleworkspace": 14, "proofpoint": 15,
		"mimecast": 16, "barracuda": 17, "ciscoironport": 18, "rackspace": 19, "zohobusiness": 20, "amazonworkmail": 21,
		"symantec": 22, "fortinet": 23, "sophos": 24, "trendmicro": 25, "checkpoint": 26,
	}
	all := Classes()
	if len(all) != len(want) {
		t.Fatalf("%d classes, want %d", len(all), len(want))
	}
	for i, c := range all {
		if id, ok := want[c]; !ok || id != i || c.ID() != i {
			t.Errorf("class %s: index %d, ID %d, want %d", c, i, c.ID(), id)
		}
		if got, err := ByID(i); err != nil || got != c {
			t.Errorf("ByID(%d) = %q, %v", i, got, err)
		}
		if got, err := Parse(string(c)); err != nil || got != c {
			t.Errorf("Parse(%q) = %q, %v", c, got, err)
		}
	}
}

func TestUnknownClasses(t *testing.T) {
	t.Parallel()
	if got := Class("acme").ID(); got != Default.ID() {
		t.Errorf("ID of an unknown class = %d, want that of default", got)
	}
	for _, id := range []int{-1, 27} {
		if c, err := ByID(id); err == nil {
			t.Errorf("ByID(%d) = %q", id, c)
		}
	}
	for _, key := range []string{"", "Gmail", "acme", "others"} {
		if c, err := Parse(key); err == nil {
			t.Errorf("Parse(%q) = %q", key, c)
		}
	}
}

func TestClassesGivesACopy(t *testing.T) {
	t.Parallel()
	Classes()[0] = "changed"
	if Classes()[0] != Gmail {
		t.Error("a caller can change the list")
	}
}
