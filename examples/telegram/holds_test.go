package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// Chats that are held for long are shown, and until when.
func TestDisplayOfHeldChats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages []message
		for i := range 100 {
			messages = append(messages, message{fmt.Sprint(100 + i), "a"})
		}
		messages = append(messages, numbered("7", 2)...)
		server := &scripted{Server: botapi.New(botapi.Config{RetryAfter: map[string][]int{"7": {10_072}}}), begin: time.Now()}
		c := newCampaign(t, messages, server)
		c.progress.finish()
		var out bytes.Buffer
		c.progress = newProgress(&out, false, len(messages))
		time.Sleep(time.Second / 64) // so that no message comes with a line
		begin := time.Now()
		r, err := c.run(t.Context())
		c.progress.finish()
		if err != nil || r.sent != 102 || time.Since(begin) < 10_072*time.Second {
			t.Errorf("run() = %v, %d sent, after %v", err, r.sent, time.Since(begin))
		}
		lines := strings.Split(out.String(), "\n")
		until := begin.Add(10_072 * time.Second).Format("15:04:05")
		for i, want := range []string{"2h47m48s", "2h47m43s", "2h47m38s", "2h47m33s"} {
			line := lines[i]
			if !strings.HasPrefix(line, "telegram: 100/102 done, ") || !strings.HasSuffix(line, ", "+want+" left, 2 held for chat 7 until "+until) {
				t.Errorf("after %ds it says %q, want that %s are left, and 2 held until %s", 5*(i+1), line, want, until)
			}
		}
	})
}

func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolds()
		h.expect(append(numbered("7", 3), numbered("8", 1)...))
		now := time.Now()
		h.hold("7", now.Add(time.Minute))
		h.hold("7", now.Add(time.Second)) // it only extends
		h.hold("9", now.Add(time.Second)) // not for long
		if got, want := h.now().String(), "3 held for chat 7 until "+now.Add(time.Minute).Format("15:04:05"); got != want {
			t.Errorf("held: %q, want %q", got, want)
		}
		h.hold("8", now.Add(40*24*time.Hour))
		h.done("7")
		if got, want := h.now().String(), "3 held for 2 chats, for chat 8 until "+now.Add(40*24*time.Hour).Format("2 Jan 2006 15:04"); got != want {
			t.Errorf("held: %q, want %q", got, want)
		}
		h.done("8")
		time.Sleep(time.Minute)
		if got := h.now(); got != (held{}) {
			t.Errorf("held: %v, want nothing", got)
		}
	})
}
