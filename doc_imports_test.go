package dispatcher_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	"freqlimit":          {"internal/misuse", "internal/guard", "internal/roundtrip", "internal/table", "backend", "gcra"},
	"gcra":               {},
	"backend":            {"gcra"},
	"backend/memory":     {"backend", "gcra"},
	"backend/goredis":    {"backend", "gcra", goRedis},
	"internal/adaptive":  {"internal/pqueue", "internal/table", "gcra"},
	"internal/wakeup":    {},
	"internal/histogram": {},
	"internal/blocks":    {},
	"internal/engine":    {"internal/adaptive", "internal/blocks", "internal/guard", "internal/histogram", "internal/reserve", "internal/schedule", "internal/table", "internal/wakeup", "backend", "gcra"},
	"internal/misuse":    {"internal/panics", "backend"},
	"internal/panics":    {},
	"internal/pqueue":    {},
	"internal/guard":     {"internal/panics", "backend"},
	"internal/reserve":   {"internal/guard", "internal/roundtrip", "internal/schedule", "backend"},
	"internal/roundtrip": {},
	"internal/table":     {},
	"internal/schedule":  {"internal/pqueue", "internal/table", "backend", "gcra"},
	"":                   {"internal/adaptive", "internal/blocks", "internal/engine", "internal/guard", "internal/histogram", "internal/misuse", "internal/panics", "internal/schedule", "internal/table", "freqlimit", "backend", "gcra", backoff},
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

// mayRequire has the modules that the library's go.mod may require by itself: what the
// library imports, and what its tests do. Each raises versions for every user.
var mayRequire = []string{
	backoff, goRedis, "golang.org/x/sync", "golang.org/x/sys",
	"go.uber.org/goleak", "pgregory.net/rapid",
}

// Adapters and examples that require other modules have a go.mod of their own.
func TestModuleRequiresLittle(t *testing.T) {
	found := 0
	for line := range strings.Lines(read(t, "go.mod")) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) != 2 || !strings.HasPrefix(fields[1], "v") {
			continue // no requirement, or an indirect one
		}
		found++
		if !slices.Contains(mayRequire, fields[0]) {
			t.Errorf("go.mod requires %s, want only %v", fields[0], mayRequire)
		}
	}
	if found == 0 {
		t.Error("go.mod requires no module")
	}
}

// What a test or an adapter needs must not come in as an indirect requirement either: that too
// raises versions in the programs of users, who run OpenTelemetry, Prometheus and Docker of their own.
func TestModuleRequiresNoneOfUsersOwn(t *testing.T) {
	notHere := regexp.MustCompile(`^(go\.opentelemetry\.io|github\.com/(prometheus|docker|moby|containerd|testcontainers))/`)
	for line := range strings.Lines(read(t, "go.mod")) {
		path, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "require ")), " ")
		if notHere.MatchString(path) {
			t.Errorf("go.mod requires %s, want it in a module of those who need it", path)
		}
	}
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

// A test is found from the file that it tests: x_test.go and x_about_test.go stand beside x.go. What
// tests share is in harness files, and Examples are in example files, one topic each.
func TestTestsAreBesideWhatTheyTest(t *testing.T) {
	for _, dir := range []string{
		".", "dispatcherotel", "dispatcherprom", "dispatchertest", "examples/telegram", "examples/telegram/internal/botapi",
		"freqlimit", "gcra", "backend/goredis", "backend/memory", "internal/adaptive", "internal/engine", "internal/reserve",
		"internal/schedule", "internal/seeds", "internal/table", "internal/turns", "internal/wakeup",
	} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("Glob(%s) = %q, %v, want test files", dir, files, err)
		}
		for _, file := range files {
			if !besideWhatItTests(strings.TrimSuffix(file, "_test.go")) {
				t.Errorf("%s is beside no file that it could be the test of", file)
			}
		}
	}
}

// besideWhatItTests reports whether there is a file for the path of a test, without _test.go, or for
// what is left of that before a _.
func besideWhatItTests(path string) bool {
	switch first, _, _ := strings.Cut(filepath.Base(path), "_"); first {
	case "harness", "example":
		return true
	}
	for {
		if _, err := os.Stat(path + ".go"); err == nil {
			return true
		}
		i := strings.LastIndex(path, "_")
		if i < 0 {
			return false
		}
		path = path[:i]
	}
}
