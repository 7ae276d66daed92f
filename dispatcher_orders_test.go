package dispatcher_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// batch is some keys with some jobs each.
type batch struct {
	name string
	keys int
	each int
}

// play runs a row of the table in the design: the batches, submitted at 0, under
// 30 per second over all and 1 per second for each key, with handlers that take
// no time. That every limit is kept is checked by drain.
func play(t *testing.T, order dispatcher.Order, batches ...batch) *stage {
	s := prepare(t, inMemory(), config{
		Order: order,
		Limits: func(key, _ string) []dispatcher.Limit {
			return []dispatcher.Limit{limit("shared", perSecond(30)), limit(key, perSecond(1))}
		},
	}, nil)
	for _, b := range batches {
		for k := range b.keys {
			for range b.each {
				s.submit(fmt.Sprint(b.name, k), b.name)
			}
		}
	}
	s.run()
	s.drain()
	return s
}

// lastOf is when the last job of a batch starts.
func (s *stage) lastOf(name string) time.Duration {
	at := s.startsOf(name)
	return at[len(at)-1]
}

func TestTable20HotKeysThen600Cold(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := play(t, order, batch{"hot", 20, 60}, batch{"cold", 600, 1})
		if order == dispatcher.Fair {
			wantAbout(t, "last cold key", s.lastOf("cold"), 20630*time.Millisecond)
			wantAbout(t, "all done", s.last(), 79300*time.Millisecond)
			return
		}
		wantAbout(t, "last cold key", s.lastOf("cold"), 59970*time.Millisecond)
		wantAbout(t, "all done", s.last(), 59970*time.Millisecond)
	})
}

// Trap 24: one hot key does not starve another.
func TestTableTrap24OneHotKeyThenOneCold(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := play(t, order, batch{"a", 1, 100}, batch{"b", 1, 1})
		s.wantStarts("b", perSecond(30).Interval())
		wantAbout(t, "all done", s.last(), 99*time.Second)
	})
}

func TestTable60KeysWith100Each(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order dispatcher.Order) {
		s := play(t, order, batch{"key", 60, 100})
		wantAbout(t, "all done", s.last(), 200*time.Second)
	})
}

func TestTableOneKeyWith600Then6000Cold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, dispatcher.Fair, batch{"hot", 1, 600}, batch{"cold", 6000, 1})
		wantAbout(t, "last cold key", s.lastOf("cold"), 200*time.Second)
		wantAbout(t, "all done", s.last(), 798*time.Second)
	})
}
