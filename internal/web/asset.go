package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed dist
var files embed.FS

const (
	root      = "dist"
	shell     = "index.html"
	assetPath = "/assets/"
)

// asset is a file with all that is answered with it.
type asset struct {
	media   string
	body    []byte
	gzipped []byte // nil: it would not be smaller
	version string
	shell   bool
}

// load reads the page and the assets, by path. The style and the script that begins are part of the page: it is painted before anything else is
// there. The policy allows them by their hashes.
func load(from fs.FS) (page *asset, policy string, assets map[string]*asset, err error) {
	read := func(name string) []byte {
		body, readErr := fs.ReadFile(from, root+"/"+name)
		err = errors.Join(err, readErr)
		return body
	}
	text, program, style, begin := read(shell), read("app.js"), read("app.css"), read("begin.js")
	if err != nil {
		return nil, "", nil, fmt.Errorf("read the dashboard: %w", err)
	}
	js, err := newAsset("app.js", program)
	if err != nil {
		return nil, "", nil, err
	}
	for placeholder, with := range map[string][]byte{"{{style}}": style, "{{begin}}": begin, "{{program}}": []byte(assetPath + "app.js?v=" + js.version)} {
		if bytes.Count(text, []byte(placeholder)) != 1 {
			return nil, "", nil, fmt.Errorf("the dashboard's page must hold %s once", placeholder)
		}
		text = bytes.ReplaceAll(text, []byte(placeholder), with)
	}
	if page, err = newAsset(shell, text); err != nil {
		return nil, "", nil, err
	}
	page.shell = true
	return page, policyWith(style, begin), map[string]*asset{assetPath + "app.js": js}, nil
}

// policyWith lets the page load what is ours and nothing else, hold the style and the script that are named, and nobody else put it into a frame.
func policyWith(style, script []byte) string {
	hash := func(body []byte) string {
		sum := sha256.Sum256(body)
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src 'self' " + hash(script) + "; style-src 'self' " + hash(style) + "; img-src 'self' data:; connect-src 'self'; " +
		"font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

// media are the types of what a dashboard is made of; the system's table may say something else.
var media = map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".json": "application/json", ".map": "application/json", ".woff2": "font/woff2", ".png": "image/png", ".ico": "image/x-icon"}

func newAsset(name string, body []byte) (*asset, error) {
	const hashShown = 16
	sum := sha256.Sum256(body)
	a := &asset{media: media[path.Ext(name)], body: body, version: hex.EncodeToString(sum[:])[:hashShown]}
	if a.media == "" {
		a.media = mime.TypeByExtension(path.Ext(name))
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", name, err)
	}
	if _, err := z.Write(body); err != nil {
		return nil, fmt.Errorf("compress %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress %s: %w", name, err)
	}
	if packed.Len() < len(body) {
		a.gzipped = packed.Bytes()
	}
	return a, nil
}

// serve answers with the asset. Asked for by its version it may be kept for ever; otherwise browsers ask each time whether it has changed.
func (a *asset) serve(w http.ResponseWriter, r *http.Request, status int) {
	body, tag := a.body, `"`+a.version+`"`
	h := w.Header()
	h.Set("Content-Type", a.media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if !a.shell && r.URL.Query().Get("v") == a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if a.gzipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = a.gzipped, `"`+a.version+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	if status == http.StatusOK && matches(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // that the client is gone is no error of ours
	}
}

// takesGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func takesGzip(header string) bool {
	for _, one := range strings.Split(header, ",") {
		coding, parameters, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		if name, value, _ := strings.Cut(strings.TrimSpace(parameters), "="); strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err == nil && q > 0
		}
		return true
	}
	return false
}

// matches reads If-None-Match (RFC 9110, section 13.1.2).
func matches(header, tag string) bool {
	for _, one := range strings.Split(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}
