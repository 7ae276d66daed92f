package wakeup

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timerfd is a timer of the kernel that sends to a channel. A goroutine reads it, by
// way of the runtime's network poller, which is told of it at once and does not
// count in milliseconds.
type timerfd struct {
	fd    int // of file, not to be asked of it: that could make it blocking
	file  *os.File
	fired chan struct{} // holds a token if it has fired; closed if it is broken
}

// newTimerfd returns nil if a timerfd is not possible.
func newTimerfd() *timerfd {
	if !clockIsReal() {
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	b := &timerfd{fd: fd, file: os.NewFile(uintptr(fd), "timerfd"), fired: make(chan struct{}, 1)}
	go b.read()
	return b
}

func (b *timerfd) read() {
	defer close(b.fired)
	var times [8]byte
	for {
		if _, err := b.file.Read(times[:]); err != nil {
			return
		}
		select {
		case b.fired <- struct{}{}:
		default:
		}
	}
}

// arm sets the timerfd to fire in d, which must be above zero. It reports
// whether it could.
func (b *timerfd) arm(d time.Duration) bool {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	return unix.TimerfdSettime(b.fd, 0, &spec, nil) == nil
}

// close returns when the goroutine has nothing more to do.
func (b *timerfd) close() {
	_ = b.file.Close()
	for range b.fired { // until it is closed
	}
}

// clockIsReal reports whether the clock of package time is the kernel's. In
// the bubble of a testing/synctest test it is a fake one, which moves on when all
// goroutines of the bubble wait for each other or for that clock. One that reads a
// file does not count as waiting, and while one watches the clock, it stands
// still: the wait would never end. By that standing still it is found out: between
// two looks at it, the clock of the kernel moves on.
func clockIsReal() bool {
	before := time.Now()
	start, err := kernelClock()
	for now := start; now == start && err == nil; {
		now, err = kernelClock()
	}
	return err == nil && time.Since(before) > 0
}

// kernelClock returns the clock that package time reads outside of bubbles.
func kernelClock() (int64, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano(), err
}
