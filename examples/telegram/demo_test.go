package main

import (
	"strings"
	"testing"
)

func demo(t *testing.T) []message {
	t.Helper()
	messages, err := demoMessages()
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func TestDemoMessages(t *testing.T) {
	messages := demo(t)
	if len(messages) != 980 {
		t.Errorf("%d messages, want 980", len(messages))
	}

	perChat := make(map[string]int)
	groups, blocked := 0, 0
	for _, m := range messages {
		perChat[m.ChatID]++
		if m.group() && !strings.HasPrefix(m.ChatID, "-100") {
			t.Errorf("chat %s is no supergroup", m.ChatID)
		}
	}
	chatsWith := make(map[int]int)
	for chatID, n := range perChat {
		chatsWith[n]++
		if (message{ChatID: chatID}).group() {
			groups++
			if n != 8 {
				t.Errorf("group %s has %d messages, want 8", chatID, n)
			}
		}
		if demoBlocked(chatID) {
			blocked++
			if n != 1 {
				t.Errorf("chat %s with %d messages is blocked", chatID, n)
			}
		}
	}
	if chatsWith[1] != 700 || chatsWith[25] != 8 || chatsWith[8] != 10 || groups != 10 || len(perChat) != 718 {
		t.Errorf("chats by number of messages = %v, of which %d groups", chatsWith, groups)
	}
	if blocked != 14 {
		t.Errorf("%d chats are blocked, want 14", blocked)
	}
}

// The campaign is mixed: every tenth of it holds private chats, drivers and
// groups.
func TestDemoIsInterleaved(t *testing.T) {
	messages := demo(t)
	for i := 0; i < len(messages); i += 98 {
		drivers, groups := 0, 0
		for _, m := range messages[i : i+98] {
			if m.group() {
				groups++
			} else if strings.HasPrefix(m.Text, "Stop ") {
				drivers++
			}
		}
		if drivers == 0 || groups == 0 || drivers+groups > 60 {
			t.Errorf("messages %d to %d: %d to drivers, %d to groups", i, i+97, drivers, groups)
		}
	}
}

func TestDemoBlocked(t *testing.T) {
	for chatID, want := range map[string]bool{"57": true, "58": false, "-57": false, "-43": false, "@news": false} {
		if got := demoBlocked(chatID); got != want {
			t.Errorf("demoBlocked(%s) = %t, want %t", chatID, got, want)
		}
	}
}
