package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// witness is a server that is watched.
type witness struct {
	*botapi.Server
	begin time.Time

	mu    sync.Mutex // guards what follows
	asked []time.Duration

	// harm is by how much a chat is slowed at most by its own requests that were
	// answered with 5xx or not at all: what each took, and a slot of the chat. The
	// backoff is shorter than that the first two times that a message fails.
	harm map[string]time.Duration
}

// Do implements bot.HttpClient.
func (w *witness) Do(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/sendMessage") {
		return w.Server.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	began := time.Now()
	w.mu.Lock()
	w.asked = append(w.asked, began.Sub(w.begin))
	w.mu.Unlock()
	response, err := w.Server.Do(r)
	if err != nil || response.StatusCode >= 500 {
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		chat := again.FormValue("chat_id")
		w.mu.Lock()
		w.harm[chat] += time.Since(began) + used.PerChat.Interval()
		w.mu.Unlock()
	}
	return response, err
}
