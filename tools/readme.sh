#!/usr/bin/env bash
# Compiles the Go code in README.md and runs its tests. A block with a package
# clause is a file of its own. The others are declarations: they go with the
# first that has one, and may use the imports below. A test named in the text must
# exist, or be the beginning of a name; and the first block must be the Example.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=bin/_readme # ./... leaves it out
trap 'rm -rf "$dir"' EXIT
rm -rf "$dir"
mkdir -p "$dir"

prelude='package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/redis/go-redis/v9"
)

var (
	_ = bytes.NewReader
	_ context.Context
	_ = errors.New
	_ = fmt.Sprint
	_ = log.Print
	_ = slog.Info
	_ http.Handler
	_ = os.Exit
	_ = signal.Notify
	_ = strconv.Itoa
	_ testing.TB
	_ time.Time
	_ dispatcher.Order
	_ backend.Limit
	_ = backendtest.Run
	_ goredis.Config
	_ redis.Options
	_ memory.Config
	_ gcra.State
)
' awk -v dir="$dir" '
/^```go$/ { code = 1; n++; file = ""; next }
/^```$/   { code = 0 }
!code     { next }
file == "" {
	whole = $1 == "package"
	part = dir "/" (whole ? n : first)
	if (whole && !first) first = n
	system("mkdir -p " part)
	file = part "/readme" n (whole && $2 ~ /_test$/ ? "_test" : "") ".go"
	if (!whole) print ENVIRON["prelude"] > file
}
{ print > file }
' README.md

for part in "$dir"/*; do
	go vet "./$part"
	go test "./$part"
done

diff -B "$dir/1/readme1.go" <(sed '
	s/^package dispatcher_test$/package main/
	s/^func Example()/func main()/
	/^\t\/\/ .*utput:$/,/^}/ { /^}/!d }
' example_test.go)

grep -oE '`Test[A-Za-z0-9]+' README.md | tr -d '`' | sort -u | while read -r name; do
	if ! grep -rq --include='*_test.go' "^func $name" .; then
		echo "README.md: there is no $name" >&2
		exit 1
	fi
done
echo "README.md: $(find "$dir" -name '*.go' | wc -l) blocks of Go compile"
