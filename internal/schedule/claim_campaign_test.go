package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// campaign is a bot that sends 30 messages a second, to 600 chats with always enough to
// send. It has five tenants, each under 20/min and a burst of 5, whose jobs cost 1 or 5
// there, in a world that sees 20 minutes of it.
type campaign struct {
	name  string
	under func(job, cost int) bool // which of the tenants' jobs are under the bot's limit too
	lanes int                      // of each tenant; 0: as many as jobs, which come one by one
}

func campaigns() []campaign {
	return []campaign{
		{"all under the bot's limit", func(_, _ int) bool { return true }, 0},
		{"the costly ones under the tenant's alone", func(_, cost int) bool { return cost == 1 }, 20},
		{"one here, one there", func(job, _ int) bool { return job%2 > 0 }, 0},
	}
}

const campaignLength = 20 * 60 * sec

var botRate, tenantRate = rate(30, time.Second, 1), rate(20, time.Minute, 5)

func (c campaign) run(w *world) {
	const jobs = 400 // of each tenant, more than it can have served
	random := rand.New(rand.NewPCG(1, 2))
	chats := func(n int) {
		for i := range 600 {
			key := fmt.Sprint("chat ", i)
			for range n {
				w.submit(key, limitOn("bot", botRate), limitOn(key, perKey))
			}
		}
	}
	job := func(n int) {
		for i := range 5 {
			cost := 1 + 4*random.IntN(2)
			lane := n
			if c.lanes > 0 {
				lane = n % c.lanes
			}
			limits := []backend.Limit{costly(fmt.Sprint("tenant ", i), tenantRate, cost)}
			if c.under(n, cost) {
				limits = append(limits, limitOn("bot", botRate))
			}
			w.submit(fmt.Sprint("tenant ", i, " lane ", lane), limits...)
		}
	}
	if c.lanes > 0 {
		chats(70)
		for n := range jobs {
			job(n)
		}
	} else {
		chats(5)
		for n := range jobs {
			w.runUntil(int64(n) * campaignLength / jobs)
			if n%20 == 0 {
				chats(4)
			}
			job(n)
		}
	}
	w.runUntil(campaignLength - 1)
}

// The bot's limit is the fastest, so none of it is ever lost for a tenant: it admits
// 36,000 starts in 20 minutes, and that is how many there are.
func TestCampaignLosesNothing(t *testing.T) {
	const most = 36_000
	inEachOrder(t, func(t *testing.T, order Order) {
		for _, c := range campaigns() {
			t.Run(c.name, func(t *testing.T) {
				w := newWorld(t, Config{Workers: many, Order: order})
				c.run(w)
				got := 0
				for _, s := range w.starts {
					if slices.ContainsFunc(s.limits, func(l backend.Limit) bool { return l.Key == "bot" }) {
						got++
					}
				}
				if got != most {
					t.Errorf("%d jobs under the bot's limit start, want %d", got, most)
				}
				w.wantWindows()
			})
		}
	})
}
