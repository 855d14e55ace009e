package providertest

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postyard/internal/provider"
)

// hooks returns the harness's webhooks; for a silent adapter nil, after the proof that it believes nobody.
func (h Harness) hooks(t *testing.T) (*Hooks, provider.Adapter) {
	t.Helper()
	adapter := h.adapter(t)
	if !adapter.Capabilities().Silent {
		hooks := h.Hooks(t)
		return &hooks, adapter
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("postyard:hook-password"))
	for _, body := range []string{"", "{}", `{"event":"delivered"}`} {
		d := provider.Delivery{Header: http.Header{"Authorization": {basic}}, Body: []byte(body)}
		if ok, err := adapter.Authentic(t.Context(), h.down(t), hook(), d); ok || err != nil {
			t.Errorf("a webhook of a silent provider is believed: %t, %v", ok, err)
		}
		if reports, err := adapter.Parse(d.Header, d.Body); err == nil || len(reports) > 0 {
			t.Errorf("a webhook of a silent provider says something: %d reports, %v", len(reports), err)
		}
	}
	return nil, adapter
}

// believed tells whether a delivery to a webhook is authentic. That it cannot be told now is as good as no.
func believed(t *testing.T, a provider.Adapter, conn provider.Connection, hook provider.Hook, d provider.Delivery) bool {
	t.Helper()
	ok, err := a.Authentic(t.Context(), conn, hook, d)
	if ok && err != nil {
		t.Errorf("authentic, and it cannot be told: %v", err)
	}
	if err != nil {
		hidden(t, err.Error())
	}
	return ok
}

func testAuthentic(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil {
		return
	}
	for _, f := range h.Fixtures {
		d := hooks.Deliver(hooks.Ours, f.Body)
		for range 2 { // a provider may repeat itself
			if ok, err := adapter.Authentic(t.Context(), hooks.Conn, hooks.Ours, d); !ok || err != nil {
				t.Errorf("%s: %t, %v", f.Name, ok, err)
			}
		}
	}
	d := hooks.Deliver(hooks.Others, h.Fixtures[0].Body)
	if ok, err := adapter.Authentic(t.Context(), hooks.Conn, hooks.Others, d); !ok || err != nil {
		t.Errorf("to the other webhook: %t, %v", ok, err)
	}
}

func testUnsigned(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil {
		return
	}
	none := provider.Hook{URL: hooks.Ours.URL}
	for _, f := range h.Fixtures {
		if believed(t, adapter, hooks.Conn, hooks.Ours, provider.Delivery{Header: http.Header{}, Body: f.Body}) {
			t.Errorf("%s: believed without a proof", f.Name)
		}
		if believed(t, adapter, hooks.Conn, none, hooks.Deliver(none, f.Body)) || believed(t, adapter, hooks.Conn, none, hooks.Deliver(hooks.Ours, f.Body)) {
			t.Errorf("%s: a webhook that has no credentials and no ref believes everybody", f.Name)
		}
	}
	// Each header by itself: what is missing, empty, there twice, or nonsense.
	d := hooks.Deliver(hooks.Ours, h.Fixtures[0].Body)
	for name, values := range d.Header {
		for what, odd := range map[string][]string{"missing": nil, "empty": {""}, "nonsense": {"Basic !!!"}, "cut": {values[0][:len(values[0])/2]}, "long": {string(bytes.Repeat([]byte("A"), 1<<16))}} {
			header := d.Header.Clone()
			header[name] = odd
			if name == "Content-Type" || name == "User-Agent" {
				continue
			}
			if believed(t, adapter, hooks.Conn, hooks.Ours, provider.Delivery{Header: header, Body: d.Body}) && hooks.proves(t, adapter, name) {
				t.Errorf("%s is %s: believed", name, what)
			}
		}
	}
}

// proves tells whether a header is a part of the proof: without it a delivery is not believed.
func (hooks *Hooks) proves(t *testing.T, a provider.Adapter, name string) bool {
	t.Helper()
	d := hooks.Deliver(hooks.Ours, []byte("{}"))
	d.Header = d.Header.Clone()
	d.Header.Del(name)
	return !believed(t, a, hooks.Conn, hooks.Ours, d)
}

func testForged(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil {
		return
	}
	if len(hooks.Forged) == 0 {
		t.Fatal("the harness has no forged requests")
	}
	for name, forge := range hooks.Forged {
		for _, f := range h.Fixtures {
			if believed(t, adapter, hooks.Conn, hooks.Ours, forge(f.Body)) {
				t.Errorf("%s (%s): believed", name, f.Name)
			}
		}
	}
}

func testOtherHook(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil {
		return
	}
	for _, f := range h.Fixtures {
		if believed(t, adapter, hooks.Conn, hooks.Ours, hooks.Deliver(hooks.Others, f.Body)) || believed(t, adapter, hooks.Conn, hooks.Others, hooks.Deliver(hooks.Ours, f.Body)) {
			t.Errorf("%s: a request to one webhook is believed at another", f.Name)
		}
	}
}

// testChangedByte: what is believed although a byte was changed says the same as before.
func testChangedByte(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil || !hooks.Signed {
		return // credentials say nothing of the body; TLS has to
	}
	const whole, step = 3, 17 // so many bodies are changed at every place, the others at some
	changed := 0
	for n, f := range h.Fixtures {
		d := hooks.Deliver(hooks.Ours, f.Body)
		want, err := adapter.Parse(d.Header, d.Body)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		for i := range d.Body {
			if n >= whole && i%step != n%step {
				continue
			}
			body := bytes.Clone(d.Body)
			body[i] ^= 1
			if !believed(t, adapter, hooks.Conn, hooks.Ours, provider.Delivery{Header: d.Header, Body: body}) {
				changed++
				continue
			}
			if got, err := adapter.Parse(d.Header, body); err != nil || !cmp.Equal(want, got) {
				t.Fatalf("%s with byte %d changed is believed, and says something else: %v\n%s", f.Name, i, err, cmp.Diff(want, got))
			}
		}
	}
	if changed == 0 {
		t.Error("the proof is over no byte")
	}
}

// testReplayed puts the proof of one body to another one.
func testReplayed(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil || !hooks.Signed {
		return
	}
	for i, f := range h.Fixtures {
		other := h.Fixtures[(i+1)%len(h.Fixtures)]
		one, two := hooks.Deliver(hooks.Ours, f.Body), hooks.Deliver(hooks.Ours, other.Body)
		if len(one.Header) == 0 {
			continue // the proof is in the body
		}
		if !bytes.Equal(one.Body, two.Body) && cmp.Equal(one.Header, two.Header) {
			continue
		}
		if believed(t, adapter, hooks.Conn, hooks.Ours, provider.Delivery{Header: one.Header, Body: two.Body}) &&
			!believed(t, adapter, hooks.Conn, hooks.Ours, provider.Delivery{Header: http.Header{}, Body: two.Body}) {
			t.Errorf("the proof of %s is believed for %s", f.Name, other.Name)
		}
		for _, body := range [][]byte{nil, one.Body[:len(one.Body)-1], append(bytes.Clone(one.Body), ' '), bytes.Repeat(one.Body, 2)} {
			if believed(t, adapter, hooks.Conn, hooks.Ours, provider.Delivery{Header: one.Header, Body: body}) {
				if reports, err := adapter.Parse(one.Header, body); err == nil && len(reports) != len(f.Want) {
					t.Errorf("the proof of %s is believed for another body of %d bytes", f.Name, len(body))
				}
			}
		}
	}
}

// testUntold: an error is not a no: the provider has to call again, and must not be told that it is nobody.
func testUntold(t *testing.T, h Harness) {
	hooks, adapter := h.hooks(t)
	if hooks == nil {
		return
	}
	if hooks.Untold == nil {
		for _, conn := range []provider.Connection{h.down(t), h.connection(h.Wire.Unavailable(t)), h.connection(h.Wire.Locked(t))} {
			if ok, err := adapter.Authentic(t.Context(), conn, hooks.Ours, hooks.Deliver(hooks.Ours, h.Fixtures[0].Body)); !ok || err != nil {
				t.Errorf("it can always be told, but %t, %v", ok, err)
			}
		}
		return
	}
	conn, d := hooks.Untold(t)
	if ok, err := adapter.Authentic(t.Context(), conn, hooks.Ours, d); ok || err == nil {
		t.Errorf("%t, %v; want an error", ok, err)
	} else {
		hidden(t, err.Error())
	}
}
