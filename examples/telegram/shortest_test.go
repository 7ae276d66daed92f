package main

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

func to(chatID string, n int) []message {
	messages := make([]message, n)
	for i := range messages {
		messages[i] = message{ChatID: chatID, Text: "hello"}
	}
	return messages
}

func TestShortestTime(t *testing.T) {
	telegram := limits{
		Overall:  gcra.FreqLimitParams{Limit: 25, Period: time.Second},
		PerChat:  gcra.FreqLimitParams{Limit: 1, Period: time.Second},
		PerGroup: gcra.FreqLimitParams{Limit: 20, Period: time.Minute},
	}
	bursts := telegram
	bursts.Overall.Burst, bursts.PerChat.Burst, bursts.PerGroup.Burst = 5, 2, 3

	var many []message
	for id := range 1001 {
		many = append(many, message{ChatID: string(rune('a' + id))})
	}
	tests := []struct {
		name     string
		messages []message
		limits   limits
		want     time.Duration
	}{
		{"none", nil, telegram, 0},
		{"one", to("1", 1), telegram, 0},
		{"overall", many, telegram, 40 * time.Second},
		{"a hot chat", append(to("1", 61), many...), telegram, 60 * time.Second},
		{"a group", append(to("-1", 21), many...), telegram, 60 * time.Second},
		{"a channel", append(to("@news", 21), many...), telegram, 60 * time.Second},
		{"overall, burst", many, bursts, 39840 * time.Millisecond},
		{"a hot chat, burst", to("1", 12), bursts, 10 * time.Second},
		{"a group, burst", to("-1", 12), bursts, 27 * time.Second},
		{"all within a burst", to("-1", 2), bursts, 0},
	}
	for _, tt := range tests {
		if got := shortestTime(tt.messages, tt.limits); got != tt.want {
			t.Errorf("%s: shortestTime = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// If a group's own limit is the looser one, the limit of every chat still holds.
func TestShortestTimePerChatHoldsForGroups(t *testing.T) {
	l := limits{
		Overall:  gcra.FreqLimitParams{Limit: 30, Period: time.Second},
		PerChat:  gcra.FreqLimitParams{Limit: 1, Period: 5 * time.Second},
		PerGroup: gcra.FreqLimitParams{Limit: 20, Period: time.Minute},
	}
	if got := shortestTime(to("-1", 3), l); got != 10*time.Second {
		t.Errorf("shortestTime = %v, want 10s", got)
	}
}
