package botapi

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultToken is the token that a server accepts when its Config names none.
const DefaultToken = "1234567890:AAF4keT0kenOfTheServerOnLoopback00"

// Config says how a [Server] behaves. The zero value is a server with
// Telegram's limits and no mishaps.
type Config struct {
	// Token is the only bot token that is let in. Defaults to [DefaultToken].
	Token string

	// Overall limits the messages to all chats together. Defaults to 30 in a
	// second.
	Overall Window

	// PerChat limits the messages to each chat, groups included. Defaults to 1
	// in a second.
	PerChat Window

	// PerGroup limits the messages to each group, besides PerChat. Defaults to
	// 20 in a minute.
	PerGroup Window

	// Blocked reports whether the user of a chat has blocked the bot. Defaults
	// to nobody.
	Blocked func(chatID string) bool

	// FailShare is the share of messages that are answered with 502, from 0 to
	// 1. Defaults to 0.
	FailShare float64

	// MinLatency and MaxLatency bound the time, drawn at random, from the
	// arrival of a message to its answer. Default to none.
	MinLatency, MaxLatency time.Duration

	// Seed sets what is drawn at random. Every value is as good as another.
	Seed uint64

	// RetryAfter holds, for a chat, the retry_after in seconds of successive
	// 429 answers that it gets whatever its traffic. A message that comes
	// before the time named is answered with 429 and what is left of that time;
	// the first one after it gets the next 429, until all have been given.
	RetryAfter map[string][]int

	// Storm is bad weather, drawn at random. Defaults to none.
	Storm *Storm

	// Record keeps every accepted message for [Server.Log].
	Record bool
}

// Server is a fake Bot API. It is safe for concurrent use.
type Server struct {
	cfg   Config
	botID int64
	epoch time.Time // monotonic; arrivals are measured from it

	mu      sync.Mutex
	overall arrivals
	chats   map[string]*chat
	stats   Stats
	log     []Accepted

	http    *http.Server // nil until Start
	serving sync.WaitGroup
}

// New returns a server, which needs no Start to be used as a handler.
func New(cfg Config) *Server {
	cfg.Token = cmp.Or(cfg.Token, DefaultToken)
	cfg.Overall = cmp.Or(cfg.Overall, Window{Limit: 30, Length: time.Second})
	cfg.PerChat = cmp.Or(cfg.PerChat, Window{Limit: 1, Length: time.Second})
	cfg.PerGroup = cmp.Or(cfg.PerGroup, Window{Limit: 20, Length: time.Minute})
	return &Server{
		cfg:   cfg,
		botID: botID(cfg.Token),
		epoch: time.Now(),
		chats: make(map[string]*chat),
	}
}

// Start serves on a free port of the loopback interface and returns the URL to
// give to a client. [Server.Close] ends it. It is called once at most.
func (s *Server) Start() (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("botapi: %w", err)
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.serving.Go(func() { // until Close
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("botapi: %v", err)) // the listener is ours alone
		}
	})
	return "http://" + listener.Addr().String(), nil
}

// Close breaks all connections and frees the port. Without a Start it does
// nothing.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	err := s.http.Close()
	s.serving.Wait()
	return err
}
