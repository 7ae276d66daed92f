package dispatcher_test

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	fences   = regexp.MustCompile("(?ms)^```.*?^```$")
	inlines  = regexp.MustCompile("`[^`\n]*`")
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// Each relative link of a page leads to a file, and to a heading in it if it has an anchor.
func TestDocsLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range links.FindAllStringSubmatch(prose(read(t, page)), -1) {
			link, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if link.IsAbs() {
				continue
			}
			target := page
			if link.Path != "" {
				target = path.Join(path.Dir(page), link.Path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", page, match[1], err)
				continue
			}
			if link.Fragment != "" && !slices.Contains(anchors(read(t, target)), link.Fragment) {
				t.Errorf("%s: link to %s: %s has no such heading", page, match[1], target)
			}
		}
	}
}

// The index of docs links to all of its pages.
func TestDocsIndex(t *testing.T) {
	index := read(t, "docs/README.md")
	for _, page := range pages(t) {
		dir, name := path.Split(page)
		if dir == "docs/" && name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md has no link to %s", name)
		}
	}
}

// Anchors are those of GitHub.
func TestAnchors(t *testing.T) {
	page := "# One `Two`\n\n```sh\n# no heading\n```\n\n## What's-new, here?\n\n## Three\n\n## Three\n"
	got, want := anchors(page), []string{"one-two", "whats-new-here", "three", "three-1"}
	if !slices.Equal(got, want) {
		t.Errorf("anchors(%q) = %q, want %q", page, got, want)
	}
}

// pages returns the paths of all pages for readers.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "internal/*/testdata/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("Glob(%q) = %q, %v, want pages", pattern, found, err)
		}
		for _, page := range found {
			all = append(all, filepath.ToSlash(page))
		}
	}
	return all
}

// prose returns a page without its code.
func prose(page string) string {
	return inlines.ReplaceAllString(fences.ReplaceAllString(page, ""), "")
}

// anchors returns the anchors that GitHub gives to the headings of a page.
func anchors(page string) []string {
	var all []string
	seen := make(map[string]int)
	for _, match := range headings.FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor += "-" + string(rune('0'+n))
		}
		all = append(all, anchor)
	}
	return all
}
