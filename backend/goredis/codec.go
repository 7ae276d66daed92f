package goredis

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Arguments and answers of the scripts are packed in little endian. Instants and durations
// are doubles that hold whole microseconds.

// Flags of a request.
const (
	flagUnlimited = 1 << iota
	flagHeldBy    // keys follow the limits
	flagInTurn    // the request has a MemberID, and wants a RetryAt
)

// Answers to a request.
const (
	answerRefused = iota
	answerGranted
	answerForeign
)

const (
	headerSize   = 8                     // now
	decisionSize = 1 + 4 + 1 + 8 + 8 + 4 // answer, binding, held, slot, retry at, minimum horizon
	mixedSize    = 4 + 8 + 8             // key, intervals before and now

	requestSize = 4 + 1 + 8 + 8 + 4 + 4 + 1 + 4 + 8 + 8 + 8 // of a request with one limit
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

// appendRequest appends a request without its limits.
func appendRequest(b []byte, r *backend.Request) []byte {
	var flags byte
	horizon := min(max(r.Horizon, 0), backend.Unlimited)
	if horizon == backend.Unlimited {
		flags |= flagUnlimited
	}
	if r.MemberID != 0 {
		flags |= flagInTurn
	}
	if len(r.HeldBy) > 0 {
		flags |= flagHeldBy
	}
	before := time.Duration(0)
	if !r.NotBefore.IsZero() {
		// No horizon reaches beyond Unlimited, so anything later is cut to that.
		before = min(time.Until(r.NotBefore), backend.Unlimited+time.Microsecond)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Limits)))
	b = append(b, flags)
	b = appendNumber(b, int64(horizon/time.Microsecond))
	b = appendNumber(b, ceilMicros(before))
	b = binary.LittleEndian.AppendUint32(b, r.MemberID)
	b = binary.LittleEndian.AppendUint32(b, uint32(min(max(r.MinHorizon, 0), mostReach)/time.Microsecond))
	main := r.BusiestLimit
	if main < 0 || main > len(r.Limits) || main > math.MaxUint8 {
		main = 0
	}
	return append(b, byte(main))
}

// mostReach is the largest MinHorizon. Half of it is how long before its slot a turn begins.
const mostReach = time.Second

// withdraw changes the request at the beginning of b so that it is refused, joins no line and
// rebases nothing.
func withdraw(b []byte) {
	b[4] = b[4]&flagHeldBy | flagUnlimited
	appendNumber(b[:5], -1)
}

// appendLimit appends a limit. key is the index of its key, counted from 1.
func appendLimit(b []byte, l *backend.Limit, key int32) []byte {
	t := interval(l.Params)
	b = appendIndex(b, key)
	b = appendNumber(b, t)
	b = appendNumber(b, burst(l.Params)*t)
	return appendNumber(b, int64(l.Units())*t)
}

// appendHeldBy appends the number of keys in HeldBy. The index of each key follows.
func appendHeldBy(b []byte, keys int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(keys))
}

// appendIndex appends the index of a key, counted from 1.
func appendIndex(b []byte, key int32) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(key))
}

// encodeRelease packs the slot to give back and its limits.
func encodeRelease(token int64, limits []backend.Limit) []byte {
	b := appendNumber(nil, token)
	for i := range limits {
		t := interval(limits[i].Params)
		b = appendNumber(b, t)
		b = appendNumber(b, int64(limits[i].Units())*t)
	}
	return b
}

// wellFormed reports whether a reply has a decision for each request, followed by nothing
// except limits that had other params.
func wellFormed(reply string, requests int) bool {
	more := len(reply) - headerSize - decisionSize*requests
	return more >= 0 && more%mixedSize == 0
}

// eachMixed calls f for each limit of a reply that had other params before, with the index of
// its key, counted from 1, and its old and new interval.
func eachMixed(reply string, requests int, f func(key int, was, is time.Duration)) {
	micros := func(s string) time.Duration { return time.Duration(number(s)) * time.Microsecond }
	for s := reply[headerSize+decisionSize*requests:]; s != ""; s = s[mixedSize:] {
		f(int(binary.LittleEndian.Uint32([]byte(s[:4]))), micros(s[4:]), micros(s[12:]))
	}
}

// decision unpacks decision i, counted from 0. local converts an instant of the server to
// local time.
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
		Token:   slot,
	}
	if r.MemberID != 0 && !d.Granted {
		d.RetryAt = local(number(s[14:]))
		d.MinHorizon = time.Duration(binary.LittleEndian.Uint32([]byte(s[22:26]))) * time.Microsecond
	}
	return d
}
