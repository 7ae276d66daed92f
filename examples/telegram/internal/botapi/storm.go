package botapi

import (
	"slices"
	"time"
)

// Storm is a server in trouble. All shares are from 0 to 1, and drawn by
// Config.Seed.
type Storm struct {
	// Chats are the few that are told off over and over: the share TooMany of the
	// messages to them that get as far is answered with 429, whatever their
	// traffic. The retry_after of a chat's n-th such answer is n seconds, at most
	// MaxRetryAfter if that is not 0. A message that comes sooner is told what is
	// left of it.
	Chats         []string
	TooMany       float64
	MaxRetryAfter int

	// Fail is the share of the messages, to whatever chat, that are answered with
	// 502, besides Config.FailShare.
	Fail float64

	// Lose is the share of the messages, to whatever chat, that are lost: they are
	// not delivered, and the client hears nothing for as long as it waits.
	Lose float64
}

// toldOffLocked returns the retry_after that a chat gets whatever its traffic, or 0.
// mu is held.
func (s *Server) toldOffLocked(c *chat, chatID string) time.Duration {
	if script := s.cfg.RetryAfter[chatID]; c.scripted < len(script) {
		c.scripted++
		return time.Duration(script[c.scripted-1]) * time.Second
	}
	storm := s.cfg.Storm
	if storm == nil || !slices.Contains(storm.Chats, chatID) || c.random.Float64() >= storm.TooMany {
		return 0
	}
	c.toldOff++
	n := c.toldOff
	if storm.MaxRetryAfter > 0 {
		n = min(n, storm.MaxRetryAfter)
	}
	return time.Duration(n) * time.Second
}
