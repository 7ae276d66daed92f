package goredis

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/state.lua
var shared string

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

// Redis keeps scripts by the hash of their source, until SCRIPT FLUSH or its end.
var (
	reserveSource = shared + reserveOwn
	reserveHash   = redis.NewScript(reserveSource).Hash()
	holdScript    = redis.NewScript(shared + holdOwn)
	releaseSource = shared + releaseOwn
	releaseHash   = redis.NewScript(releaseSource).Hash()
	newsScript    = redis.NewScript(newsSource)
	holdsScript   = redis.NewScript(holdsSource)
)
