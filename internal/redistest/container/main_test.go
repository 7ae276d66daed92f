package main

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Where there is no Docker, that is all the program says, and it ends by itself.
func TestRunWithoutDocker(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "docker.sock"))
	t.Setenv("REDIS_IMAGE", "")
	stdin, open := io.Pipe()
	defer open.Close()
	var stdout bytes.Buffer
	if err := run(t.Context(), stdin, &stdout); err != nil {
		t.Fatal(err)
	}
	var s status
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil || strings.Count(stdout.String(), "\n") != 1 {
		t.Fatalf("it prints %q, want one line of JSON (%v)", &stdout, err)
	}
	if s.Image != defaultImage || !strings.HasPrefix(s.Reason, "no Docker: ") || s.HasImage || s.Port != "" {
		t.Errorf("it says %+v, want that there is no Docker for %s", s, defaultImage)
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string][]string{
		"localhost":  {"127.0.0.1"},
		"127.0.0.1":  {"127.0.0.1"},
		"172.17.0.1": {"127.0.0.1", "172.17.0.1"},
	} {
		if got := hosts(host); !slices.Equal(got, want) {
			t.Errorf("hosts(%q) = %q, want %q", host, got, want)
		}
	}
}
