package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/go-telegram/bot"
)

// maxAnswer is as much of an answer as is read.
const maxAnswer = 1 << 20

// refusal is an answer by which the server has not delivered a message.
type refusal struct {
	code       int           // of HTTP, or of the Bot API
	reason     string        // one line
	retryAfter time.Duration // with 429: 0 if the server does not say
}

func (e *refusal) Error() string { return e.reason }

// unsure is the error of a message that was perhaps delivered.
type unsure struct{ err error }

func (e *unsure) Error() string {
	if isTimeout(e.err) {
		return "no answer in time"
	}
	return e.err.Error()
}

func (e *unsure) Unwrap() error { return e.err }

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}

// understanding is a client of the Bot API whose errors say what became of a request: it
// was refused, it is unsure, or, for any other error, it was not sent. A request is done
// when the server says ok, whatever its result looks like.
type understanding struct{ client bot.HttpClient }

// Do implements bot.HttpClient.
func (u understanding) Do(r *http.Request) (*http.Response, error) {
	// In memory, so that the transport may send it over another connection when the
	// server has closed the first one.
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	var began, sent atomic.Bool
	r = r.Clone(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { began.Store(true) },
		WroteHeaders: func() { sent.Store(true) },
	}))
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()

	res, err := u.client.Do(r)
	if err != nil {
		if whole, ok := errors.AsType[*url.Error](err); ok {
			err = whole.Err // without the address, which holds the token
		}
		if began.Load() && !sent.Load() {
			return nil, err
		}
		return nil, &unsure{err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err := understand(res, text, err); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(strings.NewReader(`{"ok":true,"result":{}}`))
	return res, nil
}

// understand returns nil if an answer says that the request is done. The error is that
// of reading it.
func understand(res *http.Response, text []byte, err error) error {
	var answer struct {
		OK          *bool           `json:"ok"`
		Code        json.RawMessage `json:"error_code"`
		Description json.RawMessage `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	}
	if err != nil || json.Unmarshal(text, &answer) != nil || answer.OK == nil {
		return notOfTheAPI(res, text, err)
	}
	if *answer.OK {
		return nil
	}
	var parameters struct {
		RetryAfter json.RawMessage `json:"retry_after"`
	}
	json.Unmarshal(answer.Parameters, &parameters) // or there are none
	e := &refusal{code: res.StatusCode}
	var code int
	if json.Unmarshal(answer.Code, &code) == nil && code != 0 {
		e.code = code
	}
	var description string
	json.Unmarshal(answer.Description, &description) // or there is none
	e.reason = reason(e.code, description)
	e.retryAfter = retryAfter(strings.Trim(string(parameters.RetryAfter), `"`), res.Header)
	return e
}

// notOfTheAPI is about an answer that is something else's: a gateway's, or a Wi-Fi's. If it
// could not be read to its end, err is why.
func notOfTheAPI(res *http.Response, text []byte, err error) error {
	why := reason(res.StatusCode, plainText(text))
	switch code := res.StatusCode; {
	case code == http.StatusGatewayTimeout || code == 524: // Cloudflare's
		return &unsure{errors.New(why)}
	case code >= 300:
		return &refusal{code: code, reason: why, retryAfter: retryAfter("", res.Header)}
	case err != nil:
		return &unsure{err}
	}
	return &unsure{fmt.Errorf("no answer of the Bot API: %s", why)}
}

// retryAfter is what the Bot API says or else the header.
func retryAfter(said string, header http.Header) time.Duration {
	wait, err := dispatcher.ParseRetryAfter(said)
	if err != nil {
		wait, _ = dispatcher.ParseRetryAfter(header.Get("Retry-After")) // 0 if there is none
	}
	return wait
}

// reason is a line like "400 Bad Request: chat not found".
func reason(code int, description string) string {
	status := strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code)))
	description = plainText([]byte(description))
	for _, same := range []string{status, http.StatusText(code), ": "} {
		description = strings.TrimPrefix(description, same)
	}
	if description == "" {
		return status
	}
	return status + ": " + description
}
