package botapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Do answers a client's request without a network, as an [net/http.Client]
// would through one. A goroutine that waits for network I/O keeps the clock of
// a testing/synctest bubble from moving; one that waits in Do does not.
func (s *Server) Do(r *http.Request) (*http.Response, error) {
	r = r.WithContext(r.Context()) // a copy: the request belongs to the caller
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close() // releases who still writes to it, as a transport does
	w := &reply{header: make(http.Header)}
	s.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", w.code, http.StatusText(w.code)),
		StatusCode:    w.code,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.header,
		Body:          io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}, nil
}

// reply is a ResponseWriter in memory.
type reply struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (w *reply) Header() http.Header { return w.header }

func (w *reply) WriteHeader(code int) { w.code = code }

func (w *reply) Write(p []byte) (int, error) { return w.body.Write(p) }
