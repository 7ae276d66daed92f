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

// A message is the id of the backend that sent it, a letter and what that says.
const (
	idSize = 16

	aboutHold    = 'h' // for how many microseconds, 8 bytes, and the key
	aboutRelease = 'r' // the key in Redis
	aboutClear   = 'c' // nothing
)

// hear takes in a message, unless it is of this backend, or none.
func (b *Backend) hear(message string) {
	if len(message) <= idSize || message[:idSize] == b.news.id {
		return
	}
	about, what := message[idSize], message[idSize+1:]
	switch about {
	case aboutHold:
		if len(what) >= 8 {
			// It may have been on its way for long: the hold ends later, never earlier.
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

// announceHold tells others of a hold, and notes it for those who come later. An error
// means that the server could not be asked.
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

// told takes in what came of telling others. It returns an error that the server has not
// replied with.
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
	b.logOnce(&b.news.untold, "goredis: other processes can't be told: holds apply there to requests alone, and slots that are given back are noticed late", err)
}

// announceClear tells others that all keys were forgotten.
func (b *Backend) announceClear(ctx context.Context) error {
	b.news.watchers.Tell(backend.Change{Kind: backend.ChangeClear})
	return b.told(b.client.Publish(ctx, b.news.channel, b.news.id+string(aboutClear)).Err())
}

// releaseNews returns the channel and the beginning of a message about a limit that gets
// a slot back; no channel if nobody can be told.
func (n *news) releaseNews() (channel, head string) {
	if n.untold.Load() {
		return "", ""
	}
	return n.channel, n.id + string(aboutRelease)
}
