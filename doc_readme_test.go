package dispatcher_test

import (
	"os"
	"strings"
	"testing"
)

// The quickstart of README.md is the package's Example, so it compiles and does
// what it says.
func TestReadmeQuickstartIsTheExample(t *testing.T) {
	readme := read(t, "README.md")
	_, quickstart, ok := strings.Cut(readme, "```go\n")
	if !ok {
		t.Fatal("README.md has no Go code")
	}
	quickstart, _, _ = strings.Cut(quickstart, "```\n")

	example := read(t, "example_test.go")
	body, _, ok := strings.Cut(example, "\n\t// Unordered output:\n")
	if !ok {
		t.Fatal("example_test.go has no output")
	}
	example = strings.NewReplacer(
		"package dispatcher_test", "package main",
		"func Example()", "func main()",
	).Replace(body + "}\n")
	if quickstart != example {
		t.Errorf("the first Go code of README.md is\n%s\nwant the code of example_test.go:\n%s", quickstart, example)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
