package goredis

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/clock.lua
var clockSource string

//go:embed scripts/state.lua
var stateSource string

//go:embed scripts/quick.lua
var quickSource string

//go:embed scripts/line.lua
var lineSource string

//go:embed scripts/reserve.lua
var reserveOwn string

//go:embed scripts/hold.lua
var holdOwn string

//go:embed scripts/release.lua
var releaseOwn string

//go:embed scripts/news.lua
var newsSource string

//go:embed scripts/holds.lua
var holdsSource string

// Redis caches scripts by the hash of their source, until SCRIPT FLUSH or a restart.
var (
	shared        = clockSource + stateSource
	reserveSource = clockSource + quickSource + stateSource + lineSource + reserveOwn
	reserveHash   = redis.NewScript(reserveSource).Hash()
	holdScript    = newScript(shared + holdOwn)
	releaseSource = shared + releaseOwn
	releaseHash   = redis.NewScript(releaseSource).Hash()
	newsScript    = newScript(newsSource)
	holdsScript   = newScript(holdsSource)
)

// script is a script with its hash.
type script struct{ source, hash string }

func newScript(source string) script { return script{source, redis.NewScript(source).Hash()} }

// Run runs the script, and loads it if the server does not have it.
func (s script) Run(ctx context.Context, client redis.UniversalClient, keys []string, args ...any) *redis.Cmd {
	run := func(command, script string) *redis.Cmd {
		all := []any{command, script, len(keys)}
		for _, key := range keys {
			all = append(all, key)
		}
		cmd := redis.NewCmd(ctx, append(all, args...)...)
		cmd.SetStepCount(1)          // as in Backend.exec
		_ = client.Process(ctx, cmd) // the command has its error
		return cmd
	}
	cmd := run("evalsha", s.hash)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return run("eval", s.source)
	}
	return cmd
}
