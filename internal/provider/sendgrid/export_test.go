package sendgrid

// SetBodyLimit makes the adapter split its calls at that many encoded bytes.
func (a *Adapter) SetBodyLimit(bytes int) { a.bodyLimit = bytes }
