package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// canned is a server that answers each message with the next of some answers, and then
// with the last one. It knows the bot.
type canned struct {
	answers []cannedAnswer

	mu    sync.Mutex // guards what follows
	asked int
}

type cannedAnswer struct {
	status     int // 0: there is none, but err
	body       string
	retryAfter string // the header
	err        error
}

func (c *canned) Do(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	io.Copy(io.Discard, r.Body)
	a := cannedAnswer{status: http.StatusOK, body: `{"ok":true,"result":{}}`}
	if strings.HasSuffix(r.URL.Path, "/sendMessage") {
		c.mu.Lock()
		a = c.answers[min(c.asked, len(c.answers)-1)]
		c.asked++
		c.mu.Unlock()
	}
	if a.err != nil {
		return nil, a.err
	}
	header := http.Header{}
	if a.retryAfter != "" {
		header.Set("Retry-After", a.retryAfter)
	}
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprint(a.status, " ", http.StatusText(a.status)),
		Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}, nil
}

const delivered = `{"ok":true,"result":{}}`

// gatewayPage is what nginx says.
const gatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
	"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"

// A message is delivered if the server says ok, whatever else the answer says.
func TestOKDecides(t *testing.T) {
	for _, body := range []string{
		`{"ok":true,"result":{"message_id":1,"date":"Monday"}}`,
		`{"ok":true,"result":{"message_id":"one"}}`,
		`{"ok":true,"result":true}`,
		`{"ok":true,"result":[1]}`,
		`{"ok":true,"result":null}`,
		`{"ok":true}`,
		`{"ok":true,"error_code":"none","description":7}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &canned{answers: []cannedAnswer{{status: 200, body: body}}}
			_, r := conductVia(t, t.Context(), numbered("7", 1), server)
			if r.sent != 1 || r.failed != 0 || server.asked != 1 {
				t.Errorf("%s: %d sent and %d failed after %d requests, want 1, 0 and 1", body, r.sent, r.failed, server.asked)
			}
		})
	}
}

// An answer that never came, or that is not the Bot API's, says nothing about the
// message: it was perhaps delivered. It is not sent again, and told apart from what failed.
func TestPerhapsDelivered(t *testing.T) {
	for name, a := range map[string]cannedAnswer{
		"a reset":                         {err: &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}},
		"an end":                          {err: io.ErrUnexpectedEOF},
		"another page":                    {status: 200, body: "<html><title>Welcome to our Wi-Fi</title></html>"},
		"nothing":                         {status: 200},
		"a cut answer":                    {status: 200, body: `{"ok":tr`},
		"an ok that is none":              {status: 200, body: `{"result":{}}`},
		"a gateway that was not answered": {status: 504, body: "<html><title>504 Gateway Time-out</title></html>"},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &canned{answers: []cannedAnswer{a}}
			c, r := conductVia(t, t.Context(), numbered("7", 1), server)
			table := strings.Join(strings.Fields(written(t, r)), " ")
			if server.asked != 1 || r.failed != 0 || r.sent != 0 || !strings.Contains(table, " perhaps sent 1 ") {
				t.Errorf("%s: %d requests, %d sent, %d failed, want 1, 0 and 0, and 1 perhaps sent:\n%s",
					name, server.asked, r.sent, r.failed, written(t, r))
			}
			var said bytes.Buffer
			c.writeFailures(&said)
			if !strings.HasPrefix(said.String(), "perhaps sent: 1 message to chat 7: ") || strings.ContainsAny(said.String(), "<>") {
				t.Errorf("%s: writeFailures said %q", name, &said)
			}
		})
	}
}

// A message that was certainly not delivered is sent again.
func TestSurelyNotDelivered(t *testing.T) {
	for name, a := range map[string]cannedAnswer{
		"a page":                  {status: 502, body: gatewayPage},
		"a bare 503":              {status: 503},
		"a redirect":              {status: 302, body: "<a href=x>moved</a>"},
		"a 500 that is the API's": {status: 500, body: `{"ok":false,"error_code":500,"description":"Internal Server Error"}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := &canned{answers: []cannedAnswer{a, a, {status: 200, body: delivered}}}
			if _, r := conductVia(t, t.Context(), numbered("7", 1), server); r.sent != 1 || server.asked != 3 {
				t.Errorf("%s: %d sent after %d requests, want 1 after 3", name, r.sent, server.asked)
			}
		})
	}
}

// A server that says 429 is left alone for as long as it says, in whatever form.
func TestRetryAfterForms(t *testing.T) {
	const body = `{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":%s}}`
	for _, c := range []struct {
		name  string
		a     cannedAnswer
		least time.Duration
	}{
		{"a number", cannedAnswer{status: 429, body: fmt.Sprintf(body, "5")}, 5 * time.Second},
		{"a fraction", cannedAnswer{status: 429, body: fmt.Sprintf(body, "4.5")}, 4500 * time.Millisecond},
		{"a text", cannedAnswer{status: 429, body: fmt.Sprintf(body, `"6"`)}, 6 * time.Second},
		{"a page with a header", cannedAnswer{status: 429, body: "<html>slow down</html>", retryAfter: "7"}, 7 * time.Second},
		{"a header of the API", cannedAnswer{status: 429, body: fmt.Sprintf(body, "null"), retryAfter: "1.5"}, 1500 * time.Millisecond},
		{"none", cannedAnswer{status: 429}, time.Second},
		{"below zero", cannedAnswer{status: 429, body: fmt.Sprintf(body, "-5")}, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			server := &canned{answers: []cannedAnswer{c.a, {status: 200, body: delivered}}}
			_, r := conductVia(t, t.Context(), numbered("7", 1), server)
			if took := time.Since(begin); r.sent != 1 || r.tooMany != 1 || took < c.least || took > c.least+2*time.Second {
				t.Errorf("%s: %d sent, %d answers of 429, after %v, want 1 and 1 after %v", c.name, r.sent, r.tooMany, took, c.least)
			}
		})
	}
}

// A time that is too long for a Duration is a long time, not none.
func TestRetryAfterIsHuge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		server := &canned{answers: []cannedAnswer{{status: 429, body: `{"ok":false,"error_code":429,"parameters":{"retry_after":9223372037}}`}, {status: 200, body: delivered}}}
		_, r := conductVia(t, ctx, numbered("7", 1), server)
		if r.sent != 0 || r.tooMany != 1 || r.notSent != 1 {
			t.Errorf("within an hour %d are sent, after %d answers of 429, and %d not, want 0, 1 and 1", r.sent, r.tooMany, r.notSent)
		}
	})
}

// An error that comes as an HTML page is shortened to its message, in one line.
func TestFailuresAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages []message
		for i := range 20 {
			messages = append(messages, numbered(fmt.Sprint(100+i), 1)...)
		}
		server := &canned{answers: []cannedAnswer{{status: 502, body: gatewayPage + strings.Repeat("<p>\x1b[31mpadding", 1000)}}}
		c, r := conductVia(t, t.Context(), messages, server)
		var said bytes.Buffer
		c.writeFailures(&said)
		if want := "failed: 20 messages to chats 100, 101, 102 and 17 more: 502 Bad Gateway\n"; r.failed != 20 || said.String() != want {
			t.Errorf("%d failed; writeFailures said %.300q, want %q", r.failed, &said, want)
		}
	})
}

// An error that would fail every message stops the campaign, and leaves the rest to be sent.
func TestWhatCannotGetBetterStops(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusNotFound} {
		synctest.Test(t, func(t *testing.T) {
			var messages []message
			for i := range 300 {
				messages = append(messages, numbered(fmt.Sprint(100+i), 1)...)
			}
			answers := slices.Repeat([]cannedAnswer{{status: 200, body: delivered}}, 50)
			answers = append(answers, cannedAnswer{status: code, body: fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, code, http.StatusText(code))})
			server := &canned{answers: answers}
			c, r := conductVia(t, t.Context(), messages, server)
			if server.asked > 50+c.workers || r.sent != 50 || r.failed != 0 || r.notSent != 250 {
				t.Errorf("%d: %d requests, %d sent, %d failed, %d not sent, want few more than 50, 50, 0 and 250",
					code, server.asked, r.sent, r.failed, r.notSent)
			}
		})
	}
}
