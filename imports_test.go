package dispatcher_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/freqlimit/dispatcher"

// goRedis is for the one package that is about Redis.
const goRedis = "github.com/redis/go-redis/v9"

// backoff has no dependencies: how long to wait between retries is not our subject.
const backoff = "github.com/cenkalti/backoff/v5"

// What the packages of the library may import beside the standard library:
// packages below them, golang.org/x/sync and golang.org/x/sys, and nothing else.
var mayImport = map[string][]string{
	"gcra":              {},
	"backend":           {"gcra"},
	"backend/memory":    {"backend", "gcra"},
	"backend/goredis":   {"backend", "gcra", goRedis},
	"internal/alarm":    {},
	"internal/table":    {},
	"internal/schedule": {"internal/table", "backend", "gcra"},
	"":                  {"internal/alarm", "internal/schedule", "internal/table", "backend", "gcra", backoff},
}

// Imports point down only, and a user of the library gets no other module than
// golang.org/x/sync, golang.org/x/sys and one for retries.
func TestImportsPointDown(t *testing.T) {
	for dir, below := range mayImport {
		t.Run(filepath.Join("dispatcher", dir), func(t *testing.T) {
			allowed := map[string]bool{}
			for _, pkg := range below {
				allowed[module+"/"+pkg], allowed[pkg] = true, true
			}
			for file, imports := range importsOf(t, dir) {
				for _, path := range imports {
					if !allowed[path] && !common(path) {
						t.Errorf("%s imports %s, want only what is below it: %v", file, path, below)
					}
				}
			}
		})
	}
}

// Every package of the library that the root needs is held by the test above.
func TestImportsAreAllHeld(t *testing.T) {
	seen := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		if _, ok := mayImport[dir]; !ok {
			t.Errorf("package %s is imported by the library and not in mayImport", dir)
		}
		for _, imports := range importsOf(t, dir) {
			for _, path := range imports {
				if pkg, ok := strings.CutPrefix(path, module+"/"); ok {
					visit(pkg)
				}
			}
		}
	}
	visit("")
}

// common reports whether any package may import a path.
func common(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") || // the standard library
		strings.HasPrefix(path, "golang.org/x/sync/") ||
		strings.HasPrefix(path, "golang.org/x/sys/")
}

// importsOf returns the imports of each file of a package that is no test.
func importsOf(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(".", dir))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, f := range files {
		name := filepath.Join(dir, f.Name())
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = nil
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = append(found[name], path)
		}
	}
	if len(found) == 0 {
		t.Fatalf("there is no Go file in %q", dir)
	}
	return found
}
