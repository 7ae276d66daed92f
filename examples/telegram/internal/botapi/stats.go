package botapi

import (
	"slices"
	"time"
)

// Stats counts what a [Server] has answered to messages.
type Stats struct {
	Accepted        int // delivered
	TooManyRequests int // 429, storms included
	Forbidden       int // 403
	BadGateway      int // 502
	BadRequest      int // 400
	Lost            int // without an answer

	// Hasty counts the messages to a chat that came before the retry_after of
	// that chat's last 429 was over, whatever became of them.
	Hasty int

	// PerChat is Accepted by chat. Chats without any are left out.
	PerChat map[string]int
}

// Accepted is a message that was delivered.
type Accepted struct {
	ChatID string
	Text   string
	At     time.Duration // arrival, since the server was made
}

// Messages is how many have come.
func (s Stats) Messages() int {
	return s.Accepted + s.TooManyRequests + s.Forbidden + s.BadGateway + s.BadRequest + s.Lost
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.PerChat = make(map[string]int, len(s.chats))
	for id, c := range s.chats {
		if c.count > 0 {
			stats.PerChat[id] = c.count
		}
	}
	return stats
}

// Log returns the accepted messages in the order of their arrival, if the
// Config says to Record them.
func (s *Server) Log() []Accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}
