package provider

// Written is a message as it is handed to a provider: MIME, or the JSON of a call.
type Written struct {
	MediaType string // message/rfc822 or application/json
	Body      []byte
}

// Writer is an Adapter that shows how it hands a message over. Nobody is called, so of the connection only what is no secret is needed.
type Writer interface {
	Write(conn Connection, out *Outgoing) (Written, error)
}

// Write shows how a message is handed to a provider of a type; ok is false where the adapter does not tell.
func (r Registry) Write(t Type, conn Connection, out *Outgoing) (w Written, ok bool, err error) {
	writer, ok := r[t].(Writer)
	if !ok {
		return Written{}, false, nil
	}
	w, err = writer.Write(conn, out)
	return w, true, err
}

// Capable tells what providers of a type can do; ok is false when no adapter is known.
func (r Registry) Capable(t Type) (c Capabilities, ok bool) {
	a, ok := r[t]
	if !ok {
		return Capabilities{}, false
	}
	return a.Capabilities(), true
}

// Media types of Written.
const (
	MediaMIME = "message/rfc822"
	MediaJSON = "application/json"
)
