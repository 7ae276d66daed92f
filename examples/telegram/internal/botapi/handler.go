package botapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

const (
	maxBody = 1 << 20
	maxText = 4096 // UTF-16 code units
)

// ServeHTTP implements [net/http.Handler]. It answers /bot<token>/<method>,
// with parameters in a form of any kind.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/bot")
	token, method, ok2 := strings.Cut(rest, "/")
	switch {
	case !ok || !ok2:
		refuse(w, http.StatusNotFound, "Not Found")
	case token != s.cfg.Token:
		refuse(w, http.StatusUnauthorized, "Unauthorized")
	case strings.EqualFold(method, "getMe"):
		answer(w, s.me())
	case strings.EqualFold(method, "sendMessage"):
		s.sendMessage(w, r)
	default:
		refuse(w, http.StatusNotFound, "Not Found")
	}
}

func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request) {
	chatID, text, reason := messageParams(w, r)
	if reason != "" {
		s.mu.Lock()
		s.stats.BadRequest++
		s.mu.Unlock()
		refuse(w, http.StatusBadRequest, "Bad Request: "+reason)
		return
	}

	v := s.judge(chatID, text)
	if v.outcome == lost {
		<-r.Context().Done() // until the client leaves
		return
	}
	date := time.Now().Unix()
	if !sleep(r.Context(), v.latency) {
		return // the client has left and hears no answer
	}
	switch v.outcome {
	case accepted:
		answer(w, message{
			MessageID: v.messageID,
			From:      s.me(),
			Chat:      describe(chatID),
			Date:      date,
			Text:      text,
		})
	case badGateway:
		refuse(w, http.StatusBadGateway, "Bad Gateway")
	case blocked:
		refuse(w, http.StatusForbidden, "Forbidden: bot was blocked by the user")
	case tooMany:
		refuseUntil(w, v.retryAfter)
	}
}

// messageParams reads the parameters of sendMessage, or gives the reason why
// they are no good.
func messageParams(w http.ResponseWriter, r *http.Request) (chatID, text, reason string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := r.ParseMultipartForm(maxBody)
	if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return "", "", "can't read the form: " + err.Error()
	}
	chatID, text = r.FormValue("chat_id"), r.FormValue("text")
	switch {
	case chatID == "":
		return "", "", "chat_id is empty"
	case strings.TrimSpace(text) == "":
		return "", "", "message text is empty"
	case len(utf16.Encode([]rune(text))) > maxText:
		return "", "", "message is too long"
	case strings.HasPrefix(chatID, "@") && len(chatID) > 1:
		// @Name and @name are one chat.
		return strings.ToLower(chatID), text, ""
	}
	id, err := strconv.ParseInt(chatID, 10, 64)
	if err != nil || id == 0 {
		return "", "", "chat not found"
	}
	return strconv.FormatInt(id, 10), text, ""
}

// sleep waits for d and reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
