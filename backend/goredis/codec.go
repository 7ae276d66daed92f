package goredis

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// What the scripts are told and answer is packed: little endian, instants and
// times as doubles that hold whole microseconds.

// Flags of a request.
const (
	flagUnlimited = 1 << iota
	flagHeldBy    // keys follow the limits
	flagInTurn
)

// Answers to a request.
const (
	answerRefused = iota
	answerGranted
	answerForeign
)

const (
	headerSize   = 8                 // now
	decisionSize = 1 + 4 + 1 + 8 + 8 // answer, binding, held, slot, turn
	mixedSize    = 4 + 8 + 8         // key, intervals before and now

	requestSize = 4 + 1 + 8 + 8 + 4 + 8 + 8 + 8 // of a request with one limit
)

// mostMicros is 100 years.
const mostMicros = int64(gcra.MaxSpan / time.Microsecond)

// interval is T in microseconds, rounded up.
func interval(p gcra.FreqLimitParams) int64 { return ceilMicros(p.Interval()) }

// burst is p.Burst with its default applied.
func burst(p gcra.FreqLimitParams) int64 { return int64(max(p.Burst, 1)) }

func appendNumber(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(n)))
}

func number(s string) int64 {
	return int64(math.Float64frombits(binary.LittleEndian.Uint64([]byte(s[:8]))))
}

// appendRequest appends a request but for its limits.
func appendRequest(b []byte, r *backend.Request) []byte {
	var flags byte
	horizon := min(max(r.Horizon, 0), backend.Unlimited)
	if horizon == backend.Unlimited {
		flags |= flagUnlimited
	}
	if r.InTurn {
		flags |= flagInTurn
	}
	if len(r.HeldBy) > 0 {
		flags |= flagHeldBy
	}
	before := time.Duration(0)
	if !r.NotBefore.IsZero() {
		// Beyond Unlimited, which no horizon reaches, it makes no difference by how
		// much.
		before = min(time.Until(r.NotBefore), backend.Unlimited+time.Microsecond)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Limits)))
	b = append(b, flags)
	b = appendNumber(b, int64(horizon/time.Microsecond))
	return appendNumber(b, ceilMicros(before))
}

// withdraw changes a request, which b begins with, so that it is refused, takes no
// turn and rebases nothing.
func withdraw(b []byte) {
	b[4] = b[4]&flagHeldBy | flagUnlimited
	appendNumber(b[:5], -1)
}

// appendLimit appends a limit whose key is the one with that index, from 1 on.
func appendLimit(b []byte, l *backend.Limit, key int32) []byte {
	t := interval(l.Params)
	b = appendIndex(b, key)
	b = appendNumber(b, t)
	b = appendNumber(b, burst(l.Params)*t)
	return appendNumber(b, int64(l.Units())*t)
}

// appendHeldBy appends how many keys there are of HeldBy. Of each, its index follows.
func appendHeldBy(b []byte, keys int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(keys))
}

// appendIndex appends the index of a key, from 1 on.
func appendIndex(b []byte, key int32) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(key))
}

// encodeRelease packs the slot to give back and the limits that it was of.
func encodeRelease(stamp int64, limits []backend.Limit) []byte {
	b := appendNumber(nil, stamp)
	for i := range limits {
		t := interval(limits[i].Params)
		b = appendNumber(b, t)
		b = appendNumber(b, int64(limits[i].Units())*t)
	}
	return b
}

// wellFormed reports whether a reply has that many decisions, and nothing else but limits
// that had other params.
func wellFormed(reply string, requests int) bool {
	more := len(reply) - headerSize - decisionSize*requests
	return more >= 0 && more%mixedSize == 0
}

// eachMixed calls f with each limit of a reply that had other params before: the index of
// its key, from 1 on, and its intervals before and now.
func eachMixed(reply string, requests int, f func(key int, was, is time.Duration)) {
	micros := func(s string) time.Duration { return time.Duration(number(s)) * time.Microsecond }
	for s := reply[headerSize+decisionSize*requests:]; s != ""; s = s[mixedSize:] {
		f(int(binary.LittleEndian.Uint32([]byte(s[:4]))), micros(s[4:]), micros(s[12:]))
	}
}

// decision unpacks the decision with that index, from 0 on. local makes an
// instant of the server a local one.
func decision(reply string, i int, r *backend.Request, local func(int64) time.Time) backend.Decision {
	s := reply[headerSize+decisionSize*i:]
	binding := int(int32(binary.LittleEndian.Uint32([]byte(s[1:5])))) - 1
	if s[0] == answerForeign {
		return backend.Decision{Binding: -1, Err: &backend.LimitError{
			Index: binding, Key: r.Limits[binding].Key, Err: ErrForeign,
		}}
	}
	slot := number(s[6:])
	d := backend.Decision{
		Granted: s[0] == answerGranted,
		Slot:    local(slot),
		Binding: binding,
		Held:    s[5] != 0,
		Stamp:   slot,
	}
	if r.InTurn && !d.Granted {
		d.Turn = local(number(s[14:]))
	}
	return d
}
