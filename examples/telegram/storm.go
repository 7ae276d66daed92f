package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// What a storm makes of all answers.
const (
	stormTooMany = 0.10
	stormFail    = 0.02
	stormLose    = 0.01
)

// The storm of the demo. Its requests are given up sooner than others, so that it
// takes no longer than it needs to show something.
const (
	stormChats      = 8
	stormRetryAfter = 4 // seconds, the longest
	stormTimeout    = 3 * time.Second
)

// newStorm returns a storm that tells off so many chats, those with the most
// messages. The server draws by the messages to them, so of these as many must be
// told off as make stormTooMany of all answers.
func newStorm(messages []message, chats, maxRetryAfter int) *botapi.Storm {
	var ids []string
	perChat := make(map[string]int)
	for _, m := range messages {
		if perChat[m.ChatID]++; perChat[m.ChatID] == 1 {
			ids = append(ids, m.ChatID)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(perChat[b], perChat[a]) })
	ids = ids[:min(chats, len(ids))]
	theirs := 0
	for _, id := range ids {
		theirs += perChat[id]
	}
	answers := float64(len(messages)) / (1 - stormTooMany - stormFail - stormLose)
	tooMany := stormTooMany * answers
	return &botapi.Storm{
		Chats:         ids,
		TooMany:       tooMany / (tooMany + max(1, float64(theirs))),
		MaxRetryAfter: maxRetryAfter,
		Fail:          stormFail,
		Lose:          stormLose,
	}
}
