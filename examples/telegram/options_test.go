package main

import (
	"io"
	"testing"
)

func TestParse(t *testing.T) {
	t.Setenv("TELEGRAM_TOKEN", "")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-token", "1:a"}, "-to is missing: a token is given, and the demo's chats are not yours to write to; -demo runs the demo"},
		{[]string{"-storm", "-token", "1:a", "-to", "x.csv"}, "-storm is for the demo's own server: a token is given; -demo leaves it out"},
		{[]string{"-server", "http://x"}, "-token is missing: -server is given"},
		{[]string{"-workers", "0"}, "-workers is 0: must be at least 1"},
		{[]string{"-to", "x.csv"}, "the token is missing: TELEGRAM_TOKEN is not set; -demo sends the file to a server of the program's own"},
		{[]string{"now"}, `unknown argument "now"`},
	} {
		if _, err := parse(c.args, io.Discard, &secrets{}); err == nil || err.Error() != c.want {
			t.Errorf("parse(%q) = %v, want %s", c.args, err, c.want)
		}
	}
	o, err := parse([]string{"-token", "1:a", "-to", "x.csv"}, io.Discard, &secrets{})
	if err != nil || o.workers != 32 {
		t.Errorf("parse = %+v, %v", o, err)
	}
}
