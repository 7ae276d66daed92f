package schedule

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the scenarios in testdata print into their files")

// The scenarios in testdata print what their files say. To see what a change does to them, run
//
//	go test -run TestScenarios ./internal/schedule -update
//
// and read the diff.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("Glob() = %q, %v, want some files", paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			sc := readScript(t, path)
			for _, scenario := range sc.scenarios() {
				playScenario(t, scenario)
			}
			if *update && !t.Failed() {
				sc.write(t, path)
			}
		})
	}
}

// The scenario in the README of testdata prints what it says too.
func TestScenarioOfReadme(t *testing.T) {
	b, err := os.ReadFile("testdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(string(b), "```\n", 3)
	if len(parts) < 3 {
		t.Fatal("there is no scenario")
	}
	playScenario(t, parseScript(t, "README.md", parts[1]))
}

// playScenario plays a scenario with each combination of the settings of its scheduler.
func playScenario(t *testing.T, scenario script) {
	t.Helper()
	scheduler := scenario[0].commands[0]
	scheduler.tb = t
	scheduler.expect("scheduler")
	all := combinations(scheduler.words)
	outs := make([][]string, len(scenario))
	for _, settings := range all {
		p := newPlayer(t, settings)
		for i, s := range scenario {
			commands := s.commands
			if i == 0 {
				commands = commands[1:]
			}
			outs[i] = append(outs[i], p.do(commands))
		}
		p.close(scheduler.at)
	}
	for i := range scenario {
		s := &scenario[i]
		got, err := merge(all, outs[i])
		switch {
		case err != nil:
			t.Errorf("%s: %v", s.commands[0].at, err)
		case *update:
			s.want = got
		case got != s.want:
			t.Errorf("%s: the step prints\n%s\nwant\n%s", s.commands[0].at, got, s.want)
		}
	}
}
