package provider

import "testing"

func TestMetadata(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{"TPSP_METADATA_order": "order", "tpsp_Metadata_X": "X", "TPSP_METADATA_": ""} {
		if key, ok := MetadataKey(header); !ok || key != want {
			t.Errorf("%s: %q, %t", header, key, ok)
		}
	}
	for _, header := range []string{"", "TPSP_METADATA", "X-TPSP_METADATA_order"} {
		if key, ok := MetadataKey(header); ok {
			t.Errorf("%s is the metadata %q", header, key)
		}
	}
}
