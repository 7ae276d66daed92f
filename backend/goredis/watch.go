package goredis

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
)

// What one process changes is told to the others by messages on a channel. Who comes
// later, or was not connected, reads the holds that are in force from a sorted set.

const (
	// usualProbe is how often a listener subscribes again: so it learns that the
	// connection is dead, and reads the holds again.
	usualProbe = 10 * time.Second

	// syncPatience is how long the holds may take to be read.
	syncPatience = 5 * time.Second

	// A lost subscription is tried again after a time that doubles between these.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// news is what a Backend knows of the changes that others make.
type news struct {
	watchers   backend.Watchers
	channel    string
	holds      string // the key in Redis of the set
	id         string // of this backend, in its messages
	probeEvery time.Duration
	untold     atomic.Bool // the server lets the backend tell nobody
	unread     atomic.Bool // the server does not let it read the holds

	mu       sync.Mutex // guards what follows
	watching []*watcher
	listener *listener // nil without watchers
	lost     bool      // the listener has no subscription, and that was logged
}

// watcher is who was told, or waits for, a ChangeCurrent.
type watcher struct {
	f    func(backend.Change)
	told bool
}

// listener is the goroutine that hears what others tell.
type listener struct {
	b     *Backend
	probe chan struct{} // holds a token if the holds are to be read again
	heard atomic.Bool   // something has come since the last probe
	stop  context.CancelFunc
	done  chan struct{}
}

// init requires that client and prefix are set.
func (n *news) init(client redis.UniversalClient, prefix string) {
	db := 0
	if single, ok := client.(interface{ Options() *redis.Options }); ok {
		db = single.Options().DB // channels are those of all databases
	}
	n.channel = prefix + "news:" + strconv.Itoa(db)
	n.holds = prefix + "\x00holds"
	n.probeEvery = usualProbe
	n.id = rand.Text()[:idSize]
}

// Watch implements [backend.Watcher]. What this Backend changes is told at once. What
// others change comes over a connection of its own, as long as there are watchers.
// Without it, or without the rights that it takes, holds of other processes apply to
// requests alone; Config.Logger says so. It panics if f is nil.
func (b *Backend) Watch(f func(backend.Change)) (stop func()) {
	if f == nil {
		panic("goredis: Watch: f is nil: must be given")
	}
	if b.client == nil {
		f(backend.Change{Kind: backend.ChangeCurrent}) // there is nobody to hear from
		return func() {}
	}
	remove := b.news.watchers.Add(f)
	w := &watcher{f: f}
	if b.join(w) {
		f(backend.Change{Kind: backend.ChangeCurrent}) // there is nothing to wait for
	}
	return sync.OnceFunc(func() {
		remove()
		if l := b.part(w); l != nil {
			l.stop()
			<-l.done
		}
	})
}

// join adds a watcher, and reports whether it can't be told anything now.
func (b *Backend) join(w *watcher) (lost bool) {
	n := &b.news
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watching = append(n.watching, w)
	if n.listener == nil {
		n.lost = false
		ctx, cancel := context.WithCancel(context.Background())
		n.listener = &listener{b: b, probe: make(chan struct{}, 1), stop: cancel, done: make(chan struct{})}
		go n.listener.run(ctx)
		return false
	}
	if w.told = n.lost; !n.lost {
		select {
		case n.listener.probe <- struct{}{}: // so that it hears of the holds
		default:
		}
	}
	return n.lost
}

// part removes a watcher. If it was the last one, it returns the listener to stop.
func (b *Backend) part(w *watcher) (l *listener) {
	n := &b.news
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watching = slices.DeleteFunc(n.watching, func(o *watcher) bool { return o == w })
	if len(n.watching) == 0 {
		l, n.listener = n.listener, nil
	}
	return l
}

// takeWaiting returns those who wait for a ChangeCurrent; if there was an interruption, all. Holds
// that are read from here on reach them.
func (n *news) takeWaiting(all bool) (waiting []*watcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.watching {
		if all || !w.told {
			waiting = append(waiting, w)
		}
	}
	return waiting
}

// current tells some watchers that they know what there is to know.
func (n *news) current(waiting []*watcher) {
	n.mu.Lock()
	for _, w := range waiting {
		w.told = true
	}
	n.mu.Unlock()
	for _, w := range waiting {
		w.f(backend.Change{Kind: backend.ChangeCurrent})
	}
}

// run listens until ctx ends.
func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	retry := firstRetry
	for {
		err := l.listen(ctx, func() { retry = firstRetry })
		if ctx.Err() != nil {
			return
		}
		l.lose(err)
		l.b.reloadCluster()
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		retry = min(2*retry, lastRetry)
	}
}

// lose notes that there is no subscription.
func (l *listener) lose(err error) {
	n := &l.b.news
	n.mu.Lock()
	fresh := !n.lost && n.listener == l
	n.lost = n.lost || fresh
	n.mu.Unlock()
	if fresh {
		l.b.log().Warn("goredis: no news from other processes: their holds apply to requests alone, and slots that they give back are noticed late",
			slog.String("channel", n.channel), slog.Any("error", err))
	}
	n.current(n.takeWaiting(false))
}

// find notes that there is one.
func (l *listener) find() {
	n := &l.b.news
	n.mu.Lock()
	was := n.lost
	n.lost = n.lost && n.listener != l
	n.mu.Unlock()
	if was {
		l.b.log().Info("goredis: news from other processes comes again", slog.String("channel", n.channel))
	}
}

// listen subscribes, and takes in messages until ctx ends or the connection is lost. It
// calls subscribed when Redis has confirmed the subscription.
func (l *listener) listen(ctx context.Context, subscribed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	l.heard.Store(true)
	sub := l.b.client.Subscribe(ctx, l.b.news.channel)
	defer sub.Close()
	probes.Go(func() { l.keep(ctx, sub) })
	for first := true; ; {
		message, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		l.heard.Store(true)
		switch m := message.(type) {
		case *redis.Message:
			l.b.hear(m.Payload)
		case *redis.Subscription:
			waiting := l.b.news.takeWaiting(first)
			if err := l.sync(ctx); err != nil {
				return err
			}
			if first {
				first = false
				subscribed()
				l.find()
			}
			l.b.news.current(waiting)
		}
	}
}

// keep probes the connection, and closes it when it is dead or ctx has ended.
func (l *listener) keep(ctx context.Context, sub *redis.PubSub) {
	defer sub.Close() // ends Receive
	ticker := time.NewTicker(l.b.news.probeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !l.heard.Swap(false) {
				return
			}
		case <-l.probe:
		}
		if err := sub.Subscribe(ctx, l.b.news.channel); err != nil {
			return
		}
	}
}

// sync reads the holds that are in force and tells them. An error means that the server
// could not be asked.
func (l *listener) sync(ctx context.Context) error {
	b := l.b
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	reply, err := holdsScript.Run(ctx, b.client, []string{b.news.holds}).StringSlice()
	received := time.Now()
	if _, said := errors.AsType[redis.Error](err); said {
		b.logOnce(&b.news.unread, "goredis: the holds of other processes can't be read: those from before apply to requests alone", err)
		return nil
	}
	if err != nil {
		return err
	}
	b.news.unread.Store(false)
	return eachHold(reply, func(key string, left time.Duration) { b.tellHold(key, received, left) })
}

// eachHold calls f with each hold in a reply of holds.lua.
func eachHold(reply []string, f func(key string, left time.Duration)) error {
	if len(reply)%2 != 1 {
		return errReply
	}
	now, err := strconv.ParseInt(reply[0], 10, 64)
	for reply = reply[1:]; err == nil && len(reply) > 0; reply = reply[2:] {
		var end float64 // a whole number, unless somebody else has written it
		if end, err = strconv.ParseFloat(reply[1], 64); err == nil {
			f(strings.TrimPrefix(reply[0], "k"), time.Duration(int64(math.Ceil(end))-now)*time.Microsecond)
		}
	}
	return err
}

// tellHold tells the watchers of a hold that had so long to go at an instant.
func (b *Backend) tellHold(key string, at time.Time, left time.Duration) {
	b.news.watchers.Tell(backend.Change{Kind: backend.ChangeHold, Key: key, Until: at.Add(left)})
}

// logOnce logs a refusal of the server, unless it was the last that is known of the matter.
func (b *Backend) logOnce(known *atomic.Bool, message string, err error) {
	if !known.Swap(true) {
		b.log().Warn(message, slog.Any("error", err))
	}
}
