package ses

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SNS signs with it where nobody asked for better; we ask, and what is on its way then is still read
	"crypto/sha256"
	"errors"

	"postyard/internal/provider"
	"postyard/internal/secret"
)

// Authentic implements provider.Adapter: SNS must have signed the request, for our topic and no other. The certificate is fetched only when
// everything else is right; when it cannot be had, or its time is not now, nobody can tell.
func (a *Adapter) Authentic(ctx context.Context, conn provider.Connection, hook provider.Hook, d provider.Delivery) (bool, error) {
	e, err := readEnvelope(d.Body)
	if err != nil {
		return false, nil //nolint:nilerr // it is nothing that SNS says
	}
	if hook.Ref == "" || !secret.Equal(e.TopicArn, hook.Ref) || !e.agrees(d.Header) {
		return false, nil
	}
	t, bad := parse(conn)
	if bad != nil {
		return false, errors.New(bad.Message)
	}
	text, known := e.signed()
	hash, sum, readable := digestOf(e.SignatureVersion, text)
	signature := e.signature()
	if !known || !readable || len(signature) == 0 || !t.certifies(e.SigningCertURL) {
		return false, nil
	}
	key, err := a.signingKey(ctx, t, e.SigningCertURL)
	if err != nil {
		return false, err
	}
	return rsa.VerifyPKCS1v15(key, hash, sum, signature) == nil, nil
}

// digestOf hashes what is signed, as the version of the signature has it.
func digestOf(version, text string) (hash crypto.Hash, sum []byte, known bool) {
	switch version {
	case "1":
		digest := sha1.Sum([]byte(text)) //nolint:gosec // see the import
		return crypto.SHA1, digest[:], true
	case "2":
		digest := sha256.Sum256([]byte(text))
		return crypto.SHA256, digest[:], true
	}
	return 0, nil, false
}
