package main

import (
	"io"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

const (
	fleet     = 300 // chats
	toldOff   = 12  // of them
	perMember = 6   // messages to each chat
)

// fleetMessages is a campaign in rounds, a message to each chat in each.
func fleetMessages() []message {
	var all []message
	for i := range perMember {
		for chat := range fleet {
			all = append(all, message{ChatID: strconv.Itoa(1000 + chat), Text: strconv.Itoa(i)})
		}
	}
	return all
}

// fleetLimits are those that are used, with n times as much for all chats together.
func fleetLimits(n int) limits {
	l := used
	l.Overall.Limit *= n
	return l
}

// voyage is what became of a campaign.
type voyage struct {
	report report
	stats  botapi.Stats
	last   map[string]time.Duration // by chat: its last message
	asked  []time.Duration          // every request, in order
	harm   map[string]time.Duration // by chat: see witness
}

// requests returns how many requests there were until an instant.
func (v *voyage) requests(until time.Duration) int {
	n, _ := slices.BinarySearch(v.asked, until+1)
	return n
}

// sail sends the fleet's messages, and checks that each of them has one outcome, is
// accepted once, and in order.
func sail(t *testing.T, l limits, storm *botapi.Storm) *voyage {
	t.Helper()
	v := &voyage{last: make(map[string]time.Duration)}
	synctest.Test(t, func(t *testing.T) {
		w := &witness{begin: time.Now(), harm: make(map[string]time.Duration)}
		w.Server = botapi.New(botapi.Config{
			Overall:    botapi.Window{Limit: l.Overall.Limit + 2, Length: time.Second},
			MinLatency: 20 * time.Millisecond, MaxLatency: 60 * time.Millisecond,
			Storm: storm, Seed: 7, Record: true,
		})
		s, err := newSender(botapi.DefaultToken, "http://fake", w)
		if err != nil {
			t.Fatal(err)
		}
		s.timeout, s.resend = stormTimeout, true
		messages := fleetMessages()
		c := &campaign{
			messages: messages, sender: s, limits: l, storm: storm,
			backend:  memory.New(memory.Config{}),
			workers:  128, // some wait for answers that never come
			progress: newProgress(io.Discard, false, len(messages)),
		}
		v.report, err = c.run(t.Context())
		c.progress.finish()
		if err != nil {
			t.Fatal(err)
		}
		v.stats, v.asked, v.harm = w.Stats(), w.asked, w.harm
		for i, n := range c.ended {
			if n != 1 {
				t.Errorf("message %v has %d outcomes, want 1", messages[i], n)
			}
		}
		if v.report.sent != len(messages) || v.report.unaccounted() != 0 || v.stats.Hasty != 0 {
			t.Errorf("%d sent, %d unaccounted for, %d before the retry_after of their chat, want %d, 0 and 0",
				v.report.sent, v.report.unaccounted(), v.stats.Hasty, len(messages))
		}
		sent, got := make(map[string][]string), make(map[string][]string)
		for _, m := range messages {
			sent[m.ChatID] = append(sent[m.ChatID], m.Text)
		}
		for _, a := range w.Log() {
			got[a.ChatID] = append(got[a.ChatID], a.Text)
			v.last[a.ChatID] = a.At
		}
		if len(got) != len(sent) {
			t.Errorf("%d chats got messages, want %d", len(got), len(sent))
		}
		for chat, want := range sent { // each once, and in order
			if !slices.Equal(got[chat], want) {
				t.Errorf("chat %s got %v, want %v", chat, got[chat], want)
			}
		}
	})
	return v
}

// In a storm every message is delivered once and in order, and no chat is slowed
// down by more than 5% but those that are told off.
//
// A retry takes a slot like any other request. So where the limit over all chats is
// what a campaign waits for, it takes longer in a storm, with any sender: as much
// longer as there are more requests. There the time in calm is stretched to
// the time of a calm campaign with as many requests. Where that limit has room,
// nothing is.
//
// A chat whose own requests fail, or get no answer, waits for them to be retried,
// and the messages behind must not overtake. Such a chat is allowed that time, and
// no more; see witness.
func TestStormSparesOthers(t *testing.T) {
	for _, c := range []struct {
		name      string
		limits    limits
		stretched bool
	}{
		{"Telegram's limits", used, true},
		{"room over all chats", fleetLimits(20), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			storm := newStorm(fleetMessages(), toldOff, 4)
			calm, stormy := sail(t, c.limits, nil), sail(t, c.limits, storm)
			checkStorm(t, calm, stormy)

			// The chats to compare, and when the last of them was done.
			var others []string
			var calmEnd, stormyEnd time.Duration
			for chat, at := range calm.last {
				if !slices.Contains(storm.Chats, chat) {
					others = append(others, chat)
					calmEnd, stormyEnd = max(calmEnd, at), max(stormyEnd, stormy.last[chat])
				}
			}
			stretch := 1.0
			if c.stretched {
				stretch = float64(stormy.requests(stormyEnd)) / float64(calm.requests(calmEnd))
			}
			unharmed, worst := 0, 0.0
			for _, chat := range others {
				was, is, harm := calm.last[chat], stormy.last[chat], stormy.harm[chat]
				fair := time.Duration(stretch * float64(was))
				if is > fair+fair/20+harm {
					t.Errorf("chat %s was done after %v, which %v are fair for, and %v of its own failures; in the storm after %v",
						chat, was, fair, harm, is)
				}
				if harm == 0 {
					unharmed++
					worst = max(worst, float64(is)/float64(fair))
				}
			}
			if len(others) != fleet-toldOff || unharmed < fleet/2 {
				t.Errorf("%d chats are compared, %d of them had no failures, want %d and most", len(others), unharmed, fleet-toldOff)
			}
			t.Logf("stretch %.3f; of %d others %d had no failures, and were slowed by %.2f%% at most",
				stretch, len(others), unharmed, 100*(worst-1))
		})
	}
}

// checkStorm checks that one campaign was in a storm and the other was not.
func checkStorm(t *testing.T, calm, stormy *voyage) {
	t.Helper()
	if n := calm.stats.Messages(); n != calm.stats.Accepted || n != len(calm.asked) {
		t.Errorf("in calm %d of %d requests were accepted, want all", calm.stats.Accepted, n)
	}
	s, r := stormy.stats, stormy.report
	all := float64(s.Messages())
	for _, c := range []struct {
		name        string
		n, told     int // what the server and the report say
		least, most float64
	}{
		{"429", s.TooManyRequests, r.tooMany, 0.08, 0.13},
		{"5xx", s.BadGateway, r.storm.broken, 0.015, 0.03},
		{"without an answer", s.Lost, r.storm.timeouts, 0.005, 0.02},
	} {
		share := float64(c.n) / all
		if share < c.least || share > c.most || c.told != c.n {
			t.Errorf("%s: %d of %.0f answers, %.1f%%, the report says %d, want %.1f%% to %.1f%%",
				c.name, c.n, all, 100*share, c.told, 100*c.least, 100*c.most)
		}
		t.Logf("%s: %d of %.0f answers, %.1f%%", c.name, c.n, all, 100*share)
	}
	if want := s.TooManyRequests + s.BadGateway + s.Lost; r.retries != want {
		t.Errorf("%d retries, want one for each of %d answers", r.retries, want)
	}
}

// A storm needs no more chats than there are, and tells off those with the most
// messages.
func TestNewStorm(t *testing.T) {
	messages := slices.Concat(numbered("1", 1), numbered("2", 5), numbered("3", 3))
	for n, want := range map[int][]string{0: nil, 2: {"2", "3"}, 9: {"2", "3", "1"}} {
		if s := newStorm(messages, n, 4); !slices.Equal(s.Chats, want) || !(s.TooMany > 0 && s.TooMany < 1) {
			t.Errorf("newStorm with %d chats tells off %v, a share of %v, want %v", n, s.Chats, s.TooMany, want)
		}
	}
}
