package botapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-telegram/bot"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// serve starts a server on loopback and returns its URL.
func serve(t *testing.T, srv *botapi.Server) string {
	t.Helper()
	url, err := srv.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return url
}

// Over a real connection: every kind of answer, from many goroutines at once.
func TestLoopback(t *testing.T) {
	srv := botapi.New(botapi.Config{
		Overall: botapi.Window{Limit: 50, Length: time.Hour},
		PerChat: botapi.Window{Limit: 1, Length: time.Hour},
		Blocked: func(chatID string) bool { return chatID == "1" },
	})
	b, err := bot.New(botapi.DefaultToken, bot.WithServerURL(serve(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t, b, 1, "hello"); !errors.Is(err, bot.ErrorForbidden) {
		t.Errorf("send to a blocked chat = %v, want ErrorForbidden", err)
	}
	sent(t, b, 2)
	tooMany(t, b, 2, 3600)

	var wg sync.WaitGroup
	var ok, refused atomic.Int32
	for i := range 100 {
		wg.Go(func() {
			err := send(t, b, 100+i, "hello")
			if _, is := errors.AsType[*bot.TooManyRequestsError](err); is {
				refused.Add(1)
			} else if err == nil {
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 49 || refused.Load() != 51 {
		t.Errorf("of 100 messages %d were accepted and %d refused, want 49 and 51", ok.Load(), refused.Load())
	}
}

func TestHTTPStatusIsErrorCode(t *testing.T) {
	srv := botapi.New(botapi.Config{RetryAfter: map[string][]int{"7": {3}}})
	base := serve(t, srv) + "/bot" + botapi.DefaultToken
	tests := []struct {
		path     string
		form     url.Values
		wantCode int
		wantText string
	}{
		{"/getMe", nil, 200, ""},
		{"/getUpdates", nil, 404, "Not Found"},
		{"x/getMe", nil, 401, "Unauthorized"},
		{"/sendMessage", url.Values{"text": {"hello"}}, 400, "Bad Request: chat_id is empty"},
		{"/sendMessage", url.Values{"chat_id": {"7"}}, 400, "Bad Request: message text is empty"},
		{"/sendMessage", url.Values{"chat_id": {"7"}, "text": {"hello"}}, 429, "Too Many Requests: retry after 3"},
		{"/sendMessage", url.Values{"chat_id": {"8"}, "text": {"hello"}}, 200, ""},
	}
	for _, tt := range tests {
		resp, err := http.PostForm(base+tt.path, tt.form)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			OK          bool
			ErrorCode   int `json:"error_code"`
			Description string
			Parameters  struct {
				RetryAfter int `json:"retry_after"`
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		if err != nil {
			t.Fatalf("%s %v: %v", tt.path, tt.form, err)
		}
		wantError := tt.wantCode
		if wantError == 200 {
			wantError = 0
		}
		if resp.StatusCode != tt.wantCode || got.OK != (tt.wantCode == 200) ||
			got.ErrorCode != wantError || got.Description != tt.wantText {
			t.Errorf("%s %v = HTTP %d %+v, want %d %q", tt.path, tt.form, resp.StatusCode, got, tt.wantCode, tt.wantText)
		}
		if tt.wantCode == 429 && got.Parameters.RetryAfter != 3 {
			t.Errorf("retry_after = %d, want 3", got.Parameters.RetryAfter)
		}
	}
}

func TestCloseWithoutStart(t *testing.T) {
	if err := botapi.New(botapi.Config{}).Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
}

func TestBadGateway(t *testing.T) {
	b := dial(t, botapi.New(botapi.Config{FailShare: 1}))
	err := send(t, b, 7, "hello")
	want := "error response from telegram for method sendMessage, 502 Bad Gateway"
	if err == nil || err.Error() != want {
		t.Errorf("send = %v, want %s", err, want)
	}
}
