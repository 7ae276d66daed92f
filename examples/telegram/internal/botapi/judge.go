package botapi

import (
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// verdict is what becomes of one message.
type verdict struct {
	outcome    outcome
	retryAfter int           // seconds, with tooMany
	messageID  int           // with accepted
	latency    time.Duration // before the answer
}

type outcome int

const (
	accepted outcome = iota
	badGateway
	blocked
	tooMany
	lost
)

// chat is what the server knows of one chat.
type chat struct {
	second arrivals // within PerChat
	minute arrivals // within PerGroup
	random *rand.Rand
	count  int // messages accepted

	scripted   int           // answers given of Config.RetryAfter
	toldOff    int           // answers of 429 by Config.Storm
	stormUntil time.Duration // the retry_after of the last of both ends here
	askedUntil time.Duration // the retry_after of the last 429 ends here
}

// judge decides on a message that arrives now, and counts it if it is accepted.
func (s *Server) judge(chatID, text string) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()

	// Read under the lock, so that arrivals are in order.
	now := time.Since(s.epoch)
	c := s.chatLocked(chatID)
	fails, loses := s.cfg.FailShare, 0.0
	if storm := s.cfg.Storm; storm != nil {
		fails, loses = fails+storm.Fail, storm.Lose
	}
	luck := c.random.Float64()
	latency := s.cfg.MinLatency
	if spread := s.cfg.MaxLatency - s.cfg.MinLatency; spread > 0 {
		latency += time.Duration(c.random.Int64N(int64(spread) + 1))
	}
	if now < c.askedUntil {
		s.stats.Hasty++
	}

	v := verdict{latency: latency}
	switch {
	case luck < fails:
		v.outcome = badGateway
		s.stats.BadGateway++
	case luck < fails+loses:
		v.outcome = lost
		s.stats.Lost++
	case s.cfg.Blocked != nil && s.cfg.Blocked(chatID):
		v.outcome = blocked
		s.stats.Forbidden++
	default:
		if wait := s.waitLocked(c, chatID, now); wait > 0 {
			v.outcome = tooMany
			v.retryAfter = wholeSeconds(wait)
			c.askedUntil = now + time.Duration(v.retryAfter)*time.Second
			s.stats.TooManyRequests++
			break
		}
		v.messageID = s.acceptLocked(c, chatID, text, now)
	}
	return v
}

// waitLocked is how long after now a message to the chat would be let in; 0
// when it is let in now. mu is held.
func (s *Server) waitLocked(c *chat, chatID string, now time.Duration) time.Duration {
	if now >= c.stormUntil {
		c.stormUntil = now + s.toldOffLocked(c, chatID)
	}
	wait := max(
		c.stormUntil-now,
		s.overall.wait(now, s.cfg.Overall),
		c.second.wait(now, s.cfg.PerChat),
	)
	if isGroup(chatID) {
		wait = max(wait, c.minute.wait(now, s.cfg.PerGroup))
	}
	return wait
}

// acceptLocked counts a message and returns its id. mu is held.
func (s *Server) acceptLocked(c *chat, chatID, text string, now time.Duration) (messageID int) {
	s.overall.add(now)
	c.second.add(now)
	if isGroup(chatID) {
		c.minute.add(now)
	}
	c.count++
	s.stats.Accepted++
	if s.cfg.Record {
		s.log = append(s.log, Accepted{ChatID: chatID, Text: text, At: now})
	}
	return s.stats.Accepted
}

// chatLocked returns the chat, which it makes if it is new. mu is held.
func (s *Server) chatLocked(chatID string) *chat {
	c, ok := s.chats[chatID]
	if !ok {
		// A source per chat, so that chats don't disturb each other's luck.
		h := fnv.New64a()
		h.Write([]byte(chatID))
		c = &chat{random: rand.New(rand.NewPCG(s.cfg.Seed, h.Sum64()))}
		s.chats[chatID] = c
	}
	return c
}

// isGroup reports whether PerGroup holds for a chat.
func isGroup(chatID string) bool {
	return strings.HasPrefix(chatID, "-") || strings.HasPrefix(chatID, "@")
}

// wholeSeconds rounds up, to what retry_after can say.
func wholeSeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}
