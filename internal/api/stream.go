package api

import (
	"net/http"
	"time"
)

// pieceTime is how long a client may take to read one piece of an answer.
const pieceTime = time.Minute

// stream answers with pieces, so that an answer of any length needs little memory. An error before the first piece is answered as usual.
// After that the connection is broken off, so that half an answer does not look like a whole one; so it is when the key or the session of the
// request is not good any more.
func (s *server) stream(w http.ResponseWriter, r *http.Request, mediaType, filename string, next func() (piece []byte, done bool, err error)) error {
	control := http.NewResponseController(w)
	for first, done := true, false; !done; first = false {
		letIn, err := true, error(nil)
		if !first {
			letIn, err = s.stillLetIn(r)
		}
		var piece []byte
		if letIn && err == nil {
			piece, done, err = next()
		}
		switch {
		case err != nil && first:
			return err
		case err != nil && r.Context().Err() == nil:
			s.Log.ErrorContext(r.Context(), "answer broken off", "method", r.Method, "path", r.URL.Path, "requestId", requestID(r.Context()), "error", err)
			panic(http.ErrAbortHandler)
		case err != nil:
			panic(http.ErrAbortHandler) // the client is gone
		case !letIn:
			s.Log.InfoContext(r.Context(), "answer broken off, as its key or session has ended", "path", r.URL.Path, "requestId", requestID(r.Context()))
			panic(http.ErrAbortHandler)
		case first:
			h := w.Header()
			h.Set("Content-Type", mediaType)
			h["X-Content-Type-Options"], h["Cache-Control"] = contentTypeOptions, cacheControl
			if filename != "" {
				h.Set("Content-Disposition", `attachment; filename="`+filename+`"`)
			}
			w.WriteHeader(http.StatusOK)
		}
		s.allowTime(w, r, pieceTime)
		if _, err := w.Write(piece); err != nil {
			panic(http.ErrAbortHandler)
		}
		if err := control.Flush(); err != nil && !done {
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}
