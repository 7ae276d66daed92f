package goredis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// foreignValues are commands that put something else under a key.
var foreignValues = map[string][]any{
	"list":              {"RPUSH", "", "a", "b"},
	"hash":              {"HSET", "", "field", "value"},
	"set":               {"SADD", "", "a"},
	"sorted set":        {"ZADD", "", 1, "a"},
	"stream":            {"XADD", "", "*", "field", "value"},
	"empty string":      {"SET", "", ""},
	"number":            {"SET", "", "1700000000.123456"},
	"a byte too short":  {"SET", "", "\x03" + strings.Repeat("\x00", 79)},
	"a byte too long":   {"SET", "", "\x03" + strings.Repeat("\x00", 81)},
	"part of a record":  {"SET", "", "\x03" + strings.Repeat("\x00", 80+12)},
	"of another layout": {"SET", "", "\x04" + strings.Repeat("\x00", 80)},
	"an old one short":  {"SET", "", "\x01" + strings.Repeat("\x00", 47)},
	"an old one long":   {"SET", "", "\x01" + strings.Repeat("\x00", 80)},
}

// dump is the value of a key, as it is.
func dump(t *testing.T, client redis.UniversalClient, key string) string {
	t.Helper()
	value, err := client.Dump(t.Context(), key).Result()
	if err != nil {
		t.Fatalf("DUMP %q: %v, want nil", key, err)
	}
	return value
}

// wantForeign wants an error that names a limit whose key is in use.
func wantForeign(t *testing.T, what string, err error, index int, key string) {
	t.Helper()
	var at *backend.LimitError
	if !errors.Is(err, ErrForeign) || !errors.As(err, &at) || at.Index != index || at.Key != key {
		t.Errorf("%s = %v, want ErrForeign for limit %d, %q", what, err, index, key)
	}
}

// Trap 22: a key holds a value that is no limit. Only requests under that key fail, without
// charging their other limits. The rest of the batch is decided, and the value stays.
func TestForeignValues(t *testing.T) {
	eachKind(t, func(t *testing.T, client redis.UniversalClient, _ string) {
		for name, command := range foreignValues {
			b := newBackend(t, client, Config{Prefix: tagged(t)})
			key := b.prefix + "foreign"
			command = append([]any{command[0], key}, command[2:]...)
			if err := client.Do(t.Context(), command...).Err(); err != nil {
				t.Fatalf("%v: %v, want nil", command, err)
			}
			before := dump(t, client, key)

			foreign, a, c := limit("foreign", every(time.Hour, 1)), limit("a", every(time.Hour, 2)), limit("c", every(time.Hour, 2))
			for range 2 {
				ds := decide(t, b, request(a), request(foreign), request(a, c, foreign), booking(foreign, c), request(c))
				for i, index := range map[int]int{1: 0, 2: 2, 3: 0} {
					wantForeign(t, "decision on a "+name, ds[i].Err, index, "foreign")
					if ds[i].Granted || ds[i].Undecided || ds[i].Binding != -1 {
						t.Errorf("decision on a %s = %+v, want only Err", name, ds[i])
					}
				}
				for _, i := range []int{0, 4} {
					if !ds[i].Granted || ds[i].Err != nil {
						t.Errorf("decision beside a %s = %+v, want it granted", name, ds[i])
					}
				}
			}
			refused(t, b, a)
			refused(t, b, c)

			wantForeign(t, "Hold() of a "+name, b.Hold(t.Context(), "foreign", time.Hour), 0, "foreign")
			if err := b.Release(t.Context(), []backend.Limit{foreign, a}, 1); err != nil {
				t.Errorf("Release() of a %s = %v, want nil: nothing was granted", name, err)
			}
			if after := dump(t, client, key); after != before {
				t.Errorf("a %s after it was met = %q, want as before, %q", name, after, before)
			}
		}
	})
}

// Several foreign keys, among new ones, are told apart.
func TestForeignAmongManyKeys(t *testing.T) {
	client := redistest.Client(t)
	b := newBackend(t, client, Config{})
	var reqs []backend.Request
	for i := range 250 {
		key := string(rune('A' + i))
		reqs = append(reqs, request(limit(key, every(time.Hour, 1)), limit(key+"2", every(time.Hour, 1)),
			limit(key+"3", every(time.Hour, 1)), limit(key+"4", every(time.Hour, 1)), limit(key+"5", every(time.Hour, 1))))
		if i%7 == 3 {
			if err := client.RPush(t.Context(), b.prefix+key+"4", "x").Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, d := range decide(t, b, reqs...) {
		if i%7 == 3 {
			wantForeign(t, "decision on a list", d.Err, 3, reqs[i].Limits[3].Key)
		} else if !d.Granted {
			t.Errorf("decision %d = %+v, want it granted", i, d)
		}
	}
}
