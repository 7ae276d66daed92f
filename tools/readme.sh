#!/usr/bin/env bash
# Compiles the Go code in README.md and docs/*.md, and runs its tests. A block with a
# package clause is a package of its own. The other blocks are declarations: those of
# a page are one package with the quickstart of README.md, and may use the imports
# below. A test that the text names must exist, or be the beginning of a name.
#
# doc_pages_test.go checks the links.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=bin/_readme # ./... leaves it out
trap 'rm -rf "$dir"' EXIT
rm -rf "$dir"

prelude='package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/backend/sqlite"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/redis/go-redis/v9"
)

var (
	_ = bytes.NewReader
	_ context.Context
	_ = errors.New
	_ = json.Marshal
	_ = sqlite.Open
	_ = fmt.Sprint
	_ = log.Print
	_ = slog.Info
	_ http.Handler
	_ = os.Exit
	_ = signal.Notify
	_ = strconv.Itoa
	_ = syscall.SIGTERM
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
FNR == 1 { page = FILENAME; gsub(/\//, "_", page); sub(/\.md$/, "", page) }
/^```go$/ { code = 1; n++; file = ""; next }
/^```$/   { code = 0 }
!code     { next }
file == "" {
	whole = $1 == "package"
	part = dir "/" page (whole ? n : "")
	system("mkdir -p " part)
	file = part "/block" n (whole && $2 ~ /_test$/ ? "_test" : "") ".go"
	if (!quickstart) quickstart = file
	if (!whole) {
		print ENVIRON["prelude"] > file
		if (!copied[page]++) copies = copies "cp " quickstart " " part "/quickstart.go\n"
	}
}
{ print > file }
END { close(file); printf "%s", copies > (dir "/copies") }
' README.md docs/*.md
sh "$dir/copies"

blocks=$(find "$dir" -name 'block*.go' | wc -l)
parts=$(find "$dir" -mindepth 1 -type d | sed 's|^|./|')
go vet $parts
go test $parts

grep -oEh '`Test[A-Za-z0-9]+' README.md docs/*.md | tr -d '`' | sort -u | while read -r name; do
	if ! grep -rq --include='*_test.go' "^func $name" .; then
		echo "README.md or docs: there is no $name" >&2
		exit 1
	fi
done
echo "README.md and docs: $blocks blocks of Go compile"
