package engine

import (
	"context"
	"testing"
	"testing/synctest"
)

// One who waits for room in memory takes no token from one who waits for room in the queue.
func TestRoomIsToldToBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := newEngine(t, nil)
		e.waiting.Store(10)
		load, submit := make(chan bool, 1), make(chan error, 1)
		go func() { load <- e.AwaitResident(t.Context(), 5) }()
		synctest.Wait()
		full := true
		go func() {
			submit <- e.WithRoom(context.Background(), func() (bool, error) { return full, nil })
		}()
		synctest.Wait()
		full = false
		e.leave(1) // room in the queue, and not yet in memory
		synctest.Wait()
		select {
		case <-submit:
		default:
			t.Error("WithRoom waits although there is room")
		}
		select {
		case <-load:
			t.Error("AwaitResident does not wait although memory is full")
		default:
		}
		e.leave(5)
		if ok := <-load; !ok {
			t.Error("AwaitResident() = false, want true")
		}
	})
}
