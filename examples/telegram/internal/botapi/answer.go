package botapi

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
)

// The types below are the parts of Telegram's own that a sender looks at. They
// are written from the API's documentation, not taken from a client's package,
// so that a client is tested against something other than itself.

type response struct {
	OK          bool        `json:"ok"`
	Result      any         `json:"result,omitempty"`
	ErrorCode   int         `json:"error_code,omitempty"`
	Description string      `json:"description,omitempty"`
	Parameters  *parameters `json:"parameters,omitempty"`
}

type parameters struct {
	RetryAfter int `json:"retry_after"`
}

type user struct {
	ID        int64  `json:"id"`
	IsBot     bool   `json:"is_bot"`
	FirstName string `json:"first_name"`
	Username  string `json:"username"`
}

type message struct {
	MessageID int      `json:"message_id"`
	From      user     `json:"from"`
	Chat      chatInfo `json:"chat"`
	Date      int64    `json:"date"` // Unix seconds
	Text      string   `json:"text"`
}

type chatInfo struct {
	ID       int64  `json:"id"`
	Type     string `json:"type"`
	Title    string `json:"title,omitempty"`
	Username string `json:"username,omitempty"`
}

// me is the bot itself.
func (s *Server) me() user {
	return user{ID: s.botID, IsBot: true, FirstName: "Loopback", Username: "loopback_bot"}
}

// botID is the number that a token begins with.
func botID(token string) int64 {
	number, _, _ := strings.Cut(token, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 1
	}
	return id
}

// describe makes up what Telegram would say of a chat. The id is a number
// other than 0, or "@" and a username.
func describe(chatID string) chatInfo {
	if name, ok := strings.CutPrefix(chatID, "@"); ok {
		h := fnv.New32a()
		h.Write([]byte(name))
		return chatInfo{
			ID:       -1_000_000_000_000 - int64(h.Sum32()),
			Type:     "channel",
			Title:    name,
			Username: name,
		}
	}
	id, _ := strconv.ParseInt(chatID, 10, 64)
	switch {
	case strings.HasPrefix(chatID, "-100"):
		return chatInfo{ID: id, Type: "supergroup", Title: "Group " + chatID}
	case id < 0:
		return chatInfo{ID: id, Type: "group", Title: "Group " + chatID}
	}
	return chatInfo{ID: id, Type: "private"}
}

func answer(w http.ResponseWriter, result any) {
	write(w, http.StatusOK, response{OK: true, Result: result})
}

func refuse(w http.ResponseWriter, code int, description string) {
	write(w, code, response{ErrorCode: code, Description: description})
}

func refuseUntil(w http.ResponseWriter, retryAfter int) {
	write(w, http.StatusTooManyRequests, response{
		ErrorCode:   http.StatusTooManyRequests,
		Description: fmt.Sprintf("Too Many Requests: retry after %d", retryAfter),
		Parameters:  &parameters{RetryAfter: retryAfter},
	})
}

func write(w http.ResponseWriter, code int, r response) {
	body, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("botapi: %v", err)) // every type above can be marshalled
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(body) // a client that has left is no concern of ours
}
