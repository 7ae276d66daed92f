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

// Each process publishes its changes on a channel. A process that starts later, or was not
// connected, reads the holds in force from a sorted set.

const (
	// usualProbe is how often a listener subscribes again, to detect a dead connection and
	// to read the holds again.
	usualProbe = 10 * time.Second

	// syncPatience is how long reading the holds may take.
	syncPatience = 5 * time.Second

	// A lost subscription is retried after a delay that doubles from firstRetry to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// news receives the changes of other processes for a Backend.
type news struct {
	watchers   backend.Watchers
	channel    string
	holds      string // the key in Redis of the set
	id         string // of this backend, in its messages
	probeEvery time.Duration
	untold     atomic.Bool // the server does not let the backend publish
	unread     atomic.Bool // the server does not let the backend read the holds

	mu       sync.Mutex // guards what follows
	watching []*watcher
	listener *listener // nil without watchers
	lost     bool      // the listener has no subscription, which was logged
}

// watcher is one call of Watch.
type watcher struct {
	f    func(backend.Change)
	told bool // f got a ChangeCurrent
}

// listener is the goroutine that receives the messages of other processes.
type listener struct {
	b     *Backend
	probe chan struct{} // holds a token to have the holds read again
	heard atomic.Bool   // a message arrived since the last probe
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

// Watch implements [backend.Watcher]. It reports changes of this Backend at once. While there
// are watchers, changes of others arrive over an additional connection. Without that
// connection, or without the rights that it needs, holds of other processes only delay
// requests; Config.Logger gets a warning then. Watch panics if f is nil.
func (b *Backend) Watch(f func(backend.Change)) (stop func()) {
	if f == nil {
		panic("goredis: Watch: f is nil: must be given")
	}
	if b.client == nil {
		f(backend.Change{Kind: backend.ChangeCurrent}) // a zero Backend has no news
		return func() {}
	}
	remove := b.news.watchers.Add(f)
	w := &watcher{f: f}
	if b.join(w) {
		f(backend.Change{Kind: backend.ChangeCurrent}) // there is no connection to wait for
	}
	return sync.OnceFunc(func() {
		remove()
		if l := b.part(w); l != nil {
			l.stop()
			<-l.done
		}
	})
}

// join adds a watcher, and reports whether the subscription is lost.
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
		case n.listener.probe <- struct{}{}: // so that it gets the holds
		default:
		}
	}
	return n.lost
}

// part removes a watcher. If that was the last one, part returns the listener to stop.
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

// takeWaiting returns the watchers that wait for a ChangeCurrent, or all of them after an
// interruption. Holds read from now on reach them.
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

// current sends a ChangeCurrent to some watchers.
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

// lose records that the subscription is lost.
func (l *listener) lose(err error) {
	n := &l.b.news
	n.mu.Lock()
	fresh := !n.lost && n.listener == l
	n.lost = n.lost || fresh
	n.mu.Unlock()
	if fresh {
		l.b.log().Warn("goredis: news from other processes unavailable: their holds only delay requests, and slots that they give back are noticed late",
			slog.String("channel", n.channel), slog.Any("error", err))
	}
	n.current(n.takeWaiting(false))
}

// find records that there is a subscription.
func (l *listener) find() {
	n := &l.b.news
	n.mu.Lock()
	was := n.lost
	n.lost = n.lost && n.listener != l
	n.mu.Unlock()
	if was {
		l.b.log().Info("goredis: news from other processes recovered", slog.String("channel", n.channel))
	}
}

// listen subscribes, and handles messages until ctx ends or the connection is lost. It calls
// subscribed when Redis has confirmed the subscription.
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

// keep probes the connection, and closes it when it is dead or ctx ends.
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

// sync reads the holds in force and reports them. It returns an error if the server did not
// answer.
func (l *listener) sync(ctx context.Context) error {
	b := l.b
	ctx, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	reply, err := holdsScript.Run(ctx, b.client, []string{b.news.holds}).StringSlice()
	received := time.Now()
	if _, said := errors.AsType[redis.Error](err); said {
		b.logOnce(&b.news.unread, "goredis: can't read the holds of other processes: earlier holds only delay requests", err)
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
		var end float64 // a whole number, unless something else wrote it
		if end, err = strconv.ParseFloat(reply[1], 64); err == nil {
			f(strings.TrimPrefix(reply[0], "k"), time.Duration(int64(math.Ceil(end))-now)*time.Microsecond)
		}
	}
	return err
}

// tellHold reports a hold that had the duration left to go at time at.
func (b *Backend) tellHold(key string, at time.Time, left time.Duration) {
	b.news.watchers.Tell(backend.Change{Kind: backend.ChangeHold, Key: key, Until: at.Add(left)})
}

// logOnce logs a refusal of the server if known is not set yet, and sets it.
func (b *Backend) logOnce(known *atomic.Bool, message string, err error) {
	if !known.Swap(true) {
		b.log().Warn(message, slog.Any("error", err))
	}
}
