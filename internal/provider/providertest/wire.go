package providertest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"postyard/internal/provider"
)

// Wire plays what a provider speaks. OverHTTP makes the one of HTTP.
type Wire struct {
	// Serve starts a provider that takes each message, refuses those to the recipients in refused as invalid, and ends with the test.
	Serve func(t *testing.T, refused map[string]bool) (endpoint string)

	// Endpoint is that of a provider at an address ("127.0.0.1:2525"), encrypted from the first byte, or in clear.
	Endpoint func(address string, encrypted bool) string

	// Hear plays the provider on a connection until it has heard one call, or one message, as a whole, and returns the answer that
	// accepts it. It is not ok when the other side ends the connection before.
	Hear func(conn net.Conn) (accepts []byte, ok bool)

	// HearPart plays the provider until a part of a message was heard.
	HearPart func(conn net.Conn) (ok bool)

	// Locked and Unavailable are answers to every call: of a provider that does not accept Key, and repeats it; and of one that cannot
	// work now.
	Locked, Unavailable func(t *testing.T) (endpoint string)

	// Garbage are answers, as they leave, that do not say what became of the message.
	Garbage map[string][]byte

	// Endless begins an answer that goes on with Filler without an end.
	Endless, Filler []byte

	// Statuses are answers whose status alone says what became of the message. Some repeat Key, some have foreign words.
	Statuses []Reply

	// Later returns an answer that asks to wait, with a time in seconds or whatever stands in its place. Nil: the provider has no word for that.
	Later func(wait string) []byte

	// Elsewhere are answers that point to another address ("127.0.0.1:8080").
	Elsewhere func(address string) map[string][]byte

	// Enough is how many bytes of an answer that accepts may be taken for the whole, where the rest says nothing more; 0: none but all.
	Enough int

	// Chatty: the provider speaks before it has heard a message.
	Chatty bool
}

// DefaultStatuses is what an HTTP status alone says of a send.
func DefaultStatuses() map[int]provider.Class {
	return map[int]provider.Class{
		http.StatusUnauthorized:        provider.Account,
		http.StatusForbidden:           provider.Account,
		http.StatusNotFound:            provider.Account,
		http.StatusTooManyRequests:     provider.Throttled,
		http.StatusInternalServerError: provider.Ambiguous,
		http.StatusBadGateway:          provider.Ambiguous,
		http.StatusServiceUnavailable:  provider.Transient,
		http.StatusGatewayTimeout:      provider.Ambiguous,
	}
}

// OverHTTP is the wire of a provider that speaks HTTP. answer plays it for one send: it accepts each message, and refuses those to the
// recipients in refused as invalid; it is called from several goroutines. statuses are what answers mean that have a status and a body
// that is not the provider's language, where they differ from DefaultStatuses. locked is its answer to a wrong key, from HTTPAnswer; nil is
// a 401.
func OverHTTP(answer func(w http.ResponseWriter, r *http.Request, refused map[string]bool), statuses map[int]provider.Class, locked []byte) Wire {
	if locked == nil {
		locked = HTTPAnswer(http.StatusUnauthorized, `{"message":"`+Key+`"}`)
	}
	return Wire{
		Serve: func(t *testing.T, refused map[string]bool) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r, refused) })
		},
		Endpoint: func(address string, encrypted bool) string {
			if encrypted {
				return "https://" + address
			}
			return "http://" + address
		},
		Hear: func(conn net.Conn) ([]byte, bool) {
			r, ok := readRequest(conn)
			if !ok {
				return nil, false
			}
			recorder := httptest.NewRecorder()
			answer(recorder, r, nil)
			return render(recorder), true
		},
		HearPart: func(conn net.Conn) bool {
			_, err := conn.Read(make([]byte, 64))
			return err == nil
		},
		Locked:      func(t *testing.T) string { return always(t, locked) },
		Unavailable: func(t *testing.T) string { return always(t, HTTPAnswer(http.StatusServiceUnavailable, "")) },
		Garbage:     httpGarbage(),
		Endless:     []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[\""),
		Filler:      bytes.Repeat([]byte("x"), 64<<10),
		Statuses:    httpStatuses(statuses),
		Later: func(wait string) []byte {
			if wait == "" {
				return HTTPAnswer(http.StatusTooManyRequests, "")
			}
			return HTTPAnswer(http.StatusTooManyRequests, "", "Retry-After: "+wait)
		},
		Elsewhere: func(address string) map[string][]byte {
			answers := make(map[string][]byte)
			for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
				answers[fmt.Sprint(status)] = HTTPAnswer(status, "", "Location: http://"+address+"/elsewhere")
			}
			return answers
		},
	}
}

// HTTPAnswer renders a whole answer. Headers are lines such as "Retry-After: 7".
func HTTPAnswer(status int, body string, headers ...string) []byte {
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n", status, http.StatusText(status), len(body))
	for _, line := range headers {
		head += line + "\r\n"
	}
	return []byte(head + "\r\n" + body)
}

// render renders what a handler answered.
func render(recorder *httptest.ResponseRecorder) []byte {
	var headers []string
	for _, name := range slices.Sorted(maps.Keys(recorder.Header())) {
		for _, value := range recorder.Header()[name] {
			if name != "Content-Type" && name != "Content-Length" {
				headers = append(headers, name+": "+value)
			}
		}
	}
	return HTTPAnswer(recorder.Code, recorder.Body.String(), headers...)
}

func httpGarbage() map[string][]byte {
	garbage := map[string][]byte{
		"not HTTP":              []byte("220 mail.example ESMTP " + Key + "\r\n"),
		"half a status line":    []byte("HTTP/1.1 20"),
		"status without a body": []byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
		"status of no kind":     []byte("HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"),
	}
	for name, body := range map[string]string{
		"empty": "", "null": "null", "number": "7", "string": `"OK"`, "empty object": "{}", "empty array": "[]",
		"half": `{"message":"OK`, "html": "<html>Welcome to the hotel's network</html>", "binary": "\x00\xff\xfe\x80",
		"deep": strings.Repeat("[", 20_000), "key": Key, "long": strings.Repeat("x", 1<<20),
	} {
		garbage[name] = HTTPAnswer(http.StatusOK, body)
	}
	return garbage
}

func httpStatuses(differ map[int]provider.Class) []Reply {
	statuses := DefaultStatuses()
	maps.Copy(statuses, differ)
	var replies []Reply
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		for name, body := range map[string]string{
			"empty": "", "html": "<html><body><h1>Sorry</h1></body></html>", "key": `{"message":"` + Key + `"}`, "binary": "\x00\xff\xfe\x80" + strings.Repeat("\n", 10_000),
		} {
			replies = append(replies, Reply{Name: fmt.Sprintf("%d %s", status, name), Bytes: HTTPAnswer(status, body),
				Want: provider.Outcome{Class: statuses[status], HTTPStatus: status}})
		}
	}
	return append(replies, Reply{Name: "503 cut", Bytes: []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n<html>"),
		Want: provider.Outcome{Class: statuses[http.StatusServiceUnavailable], HTTPStatus: http.StatusServiceUnavailable}})
}

// always starts a server that gives one answer to every request.
func always(t *testing.T, answer []byte) string {
	t.Helper()
	return "http://" + Listen(t, func(conn net.Conn) {
		if _, ok := readRequest(conn); ok {
			say(conn, answer)
		}
	})
}

// say sends an answer. What becomes of it shows at the other side.
func say(conn net.Conn, answer []byte) { _, _ = conn.Write(answer) }

// readRequest reads a whole request.
func readRequest(conn net.Conn) (*http.Request, bool) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return nil, false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, err == nil
}

// serve starts a server that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}
