package goredis

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
)

// A message is the id of the sending backend, a letter for its kind, and its content.
const (
	idSize = 16

	aboutHold    = 'h' // the duration in microseconds, 8 bytes, and the key
	aboutRelease = 'r' // the key in Redis
	aboutClear   = 'c' // nothing
	aboutTurns   = 't' // what turns_at in line.lua packs, and the key in Redis
)

// hear handles a message of another backend. It ignores malformed messages.
func (b *Backend) hear(message string) {
	if len(message) <= idSize {
		return
	}
	about, what := message[idSize], message[idSize+1:]
	if about == aboutTurns {
		b.hearTurns(what) // also if this backend sent it: several dispatchers may use it
		return
	}
	if message[:idSize] == b.news.id {
		return
	}
	switch about {
	case aboutHold:
		if len(what) >= 8 {
			// If the message was delayed, the hold ends late, but never early.
			micros := min(binary.LittleEndian.Uint64([]byte(what[:8])), uint64(mostMicros))
			b.tellHold(what[8:], time.Now(), time.Duration(micros)*time.Microsecond)
		}
	case aboutRelease:
		if key, ok := strings.CutPrefix(what, b.prefix); ok {
			b.news.watchers.Tell(backend.Change{Kind: backend.ChangeRelease, Key: key})
		}
	case aboutClear:
		b.news.watchers.Tell(backend.Change{Kind: backend.ChangeClear})
	}
}

// announceHold publishes a hold, and stores it for processes that connect later. It returns an
// error if the server did not answer.
func (b *Backend) announceHold(ctx context.Context, key string, micros int64) error {
	message := binary.LittleEndian.AppendUint64([]byte(b.news.id+string(aboutHold)), uint64(micros))
	message = append(message, key...)
	why, err := newsScript.Run(ctx, b.client, []string{b.news.holds}, key, micros, b.news.channel, message).Text()
	if err == nil && why != "" {
		b.cantTell(errors.New(why))
		return nil
	}
	return b.told(err)
}

// told records the result of publishing. It returns err unless err is an error reply of the
// server.
func (b *Backend) told(err error) error {
	if _, said := errors.AsType[redis.Error](err); said {
		b.cantTell(err)
		return nil
	}
	if err == nil {
		b.news.untold.Store(false)
	}
	return err
}

func (b *Backend) cantTell(err error) {
	b.logOnce(&b.news.untold, "goredis: can't notify other processes: there, holds only delay requests, and slots given back are noticed late", err)
}

// announceClear publishes that all keys were forgotten.
func (b *Backend) announceClear(ctx context.Context) error {
	b.news.watchers.Tell(backend.Change{Kind: backend.ChangeClear})
	return b.told(b.client.Publish(ctx, b.news.channel, b.news.id+string(aboutClear)).Err())
}

// heading returns the channel and the beginning of a message that a script publishes. The
// channel is empty if the server does not let the backend publish.
func (n *news) heading(about byte) (channel, head string) {
	if n.untold.Load() {
		return "", ""
	}
	return n.channel, n.id + string(rune(about))
}

const (
	turnsHead = 8 + 8 + 8 + 4 + 4 // now, the TAT, the interval, the largest MinHorizon in line, the number of turns that follow
	turnSize  = 4 + 8             // the member, when its turn begins
)

// hearTurns reports to the members in line for a limit when their turns begin.
func (b *Backend) hearTurns(what string) {
	if len(what) < turnsHead {
		return
	}
	reach := time.Duration(binary.LittleEndian.Uint32([]byte(what[24:28]))) * time.Microsecond
	waiting := binary.LittleEndian.Uint32([]byte(what[28:32]))
	turns := what[turnsHead:]
	if waiting > maxLine || len(turns) < int(waiting)*turnSize {
		return
	}
	n := int(waiting)
	key, ok := strings.CutPrefix(turns[n*turnSize:], b.prefix)
	if !ok {
		return
	}
	offset := b.offsetAt(key, number(what))
	local := func(micros int64) time.Time { return b.epoch.Add(time.Duration(micros*1000 + offset)) }
	c := backend.Change{
		Kind: backend.ChangeRetryAt, Key: key, TAT: local(number(what[8:])),
		Is: time.Duration(number(what[16:])) * time.Microsecond, MinHorizon: min(reach, mostReach),
	}
	for ; n > 0; n-- {
		c.MemberID = binary.LittleEndian.Uint32([]byte(turns[:4]))
		c.Until = local(number(turns[4:]))
		b.news.watchers.Tell(c)
		turns = turns[turnSize:]
	}
}

// maxLine is LONGEST in clock.lua.
const maxLine = 256

// offsetAt returns what to add to instants of the server that has a key. now is the server's
// time.
func (b *Backend) offsetAt(key string, now int64) int64 {
	node := ""
	if b.cluster {
		node = b.nodeOf(b.prefix + key)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	latest := b.now() - now*1000 // the message can't have arrived before it was sent
	if s := b.shardAt(node); s.offset != 0 {
		return min(s.offset, latest)
	}
	return latest
}
