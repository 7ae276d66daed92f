package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// said runs the program and returns what it writes to its standard output and its
// standard error, to which main adds the error.
func said(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	dir := t.TempDir()
	var files [2]*os.File
	for i, name := range []string{"out", "err"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	err = run(t.Context(), args, strings.NewReader(""), files[0], files[1])
	var texts [2]string
	for i, f := range files {
		content, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(content)
	}
	if err != nil {
		texts[1] += err.Error() + "\n"
	}
	return texts[0], texts[1], err
}

// nobody returns an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// No token and no password is printed, whatever is wrong.
func TestSecretsAreNotPrinted(t *testing.T) {
	const token = "123456789:AAsecretSECRETsecretSECRETsecretSEC"
	toFile(t, "to.csv", "chat_id,text\n1,hello\n")
	server := "http://" + nobody(t)
	for _, c := range []struct {
		name   string
		env    string
		args   []string
		secret string
		says   string // part of what is said
	}{
		{"a server that is not there", token, []string{"-to", "to.csv", "-server", server}, "SECRET", "connection refused"},
		{"a token that ends in CR", token + "\r\n", []string{"-to", "to.csv", "-server", server}, "SECRET", "connection refused"},
		{"a token of two lines", token + "\nx", []string{"-to", "to.csv", "-server", server}, "SECRET", "TELEGRAM_TOKEN is no bot's token"},
		{"a token in quotes", "", []string{"-token", `"` + token + `"`, "-to", "to.csv"}, "SECRET", "-token is no bot's token"},
		{"a token with a control character", "", []string{"-token", token + "\x7f", "-to", "to.csv"}, "SECRET", "-token is no bot's token"},
		{"a server without a scheme", token, []string{"-to", "to.csv", "-server", "localhost:8081"}, "SECRET", "-server is localhost:8081: must be a URL"},
		{"a server without a scheme, by its IP", token, []string{"-to", "to.csv", "-server", "127.0.0.1:8081"}, "SECRET", "-server is 127.0.0.1:8081: must be a URL"},
		{"the token in the server", token, []string{"-to", "to.csv", "-server", "https://api.telegram.org/bot" + token}, "SECRET", "must be a URL"},
		{"a password in the server", token, []string{"-to", "to.csv", "-server", "http://me:hunter22@" + nobody(t)}, "hunter22", "connection refused"},
		{"the token for a file", "", []string{"-to", token}, "SECRET", ""},
		{"the token for an argument", "", []string{token}, "SECRET", "unknown argument"},
		{"the token for a number", "", []string{"-workers", token}, "SECRET", "invalid value"},
		{"-help", token, []string{"-help"}, "SECRET", "-to"},
		{"a Redis that is not there", token, []string{"-to", "to.csv", "-redis", "redis://:hunter22@" + nobody(t)}, "hunter22", "connection refused"},
		{"a space in the password", token, []string{"-to", "to.csv", "-redis", "redis://:hunter22 x@127.0.0.1:1"}, "hunter22", "-redis is no URL"},
		{"a slash in the password", token, []string{"-to", "to.csv", "-redis", "redis://:hunter22/x@127.0.0.1:1"}, "hunter22", "-redis is no URL"},
		{"a percent in the password", token, []string{"-to", "to.csv", "-redis", "redis://:hunter22%x@127.0.0.1:1"}, "hunter22", "-redis is no URL"},
		{"no scheme before the password", token, []string{"-to", "to.csv", "-redis", ":hunter22@127.0.0.1:1"}, "hunter22", "-redis must be host:port"},
		{"another scheme", token, []string{"-to", "to.csv", "-redis", "http://me:hunter22@127.0.0.1:1"}, "hunter22", "-redis"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TELEGRAM_TOKEN", c.env)
			out, errs, _ := said(t, c.args...)
			if all := out + errs; strings.Contains(all, c.secret) || !strings.Contains(all, c.says) {
				t.Errorf("it says\n%s\nwant %q in it, and not %q", all, c.says, c.secret)
			}
		})
	}
}

// A file without a token is not sent to the fake server: the environment variable may be
// misspelled.
func TestFileWithoutToken(t *testing.T) {
	toFile(t, "to.csv", "chat_id,text\n1,hello\n2,hello\n")
	for _, env := range []string{"", " \n"} {
		t.Setenv("TELEGRAM_TOKEN", env)
		out, errs, err := said(t, "-to", "to.csv")
		if err == nil || !strings.Contains(errs, "TELEGRAM_TOKEN") || !strings.Contains(errs, "-demo") || strings.Contains(out, "sent") {
			t.Errorf("run() with the token %q = %v, want that -demo or a token is missing; it says\n%s", env, err, out)
		}
	}
	out, errs, err := said(t, "-to", "to.csv", "-demo")
	if err != nil || !strings.Contains(out, "  sent                  2\n") {
		t.Errorf("run(-demo) = %v, says\n%s%s", err, out, errs)
	}
}

// With -demo, a token in the environment is ignored.
func TestDemoDespiteToken(t *testing.T) {
	toFile(t, "to.csv", "chat_id,text\n1,hello\n")
	t.Setenv("TELEGRAM_TOKEN", "123:abc")
	out, errs, err := said(t, "-demo", "-to", "to.csv")
	if err != nil || !strings.HasPrefix(out, "Demo: 1 message to a fake Bot API") || strings.Contains(out, "possible") {
		t.Errorf("run(-demo) = %v, says\n%s%s", err, out, errs)
	}
	if _, _, err := said(t, "-demo", "-token", "123:abc"); err == nil || err.Error() != "-demo is for the program's own server: -token is given" {
		t.Errorf("run(-demo -token) = %v", err)
	}
}

// -help is no error: it goes to the standard output. A mistake gets one line on the standard
// error.
func TestHelp(t *testing.T) {
	out, errs, err := said(t, "-help")
	if err != nil || errs != "" || !strings.Contains(out, "-unsent") {
		t.Errorf("run(-help) = %v, writes %q and, as errors, %q, want help as output", err, out, errs)
	}
	for _, want := range []string{"Ctrl-C", "-to unsent.jsonl", "redis://user:password@host:port/db"} {
		if !strings.Contains(out, want) {
			t.Errorf("run(-help) does not say %q:\n%s", want, out)
		}
	}
	out, errs, err = said(t, "-nonsense")
	_, usage := errors.AsType[usageError](err)
	if !usage || out != "" || errs != "flag provided but not defined: -nonsense (-help lists them)\n" {
		t.Errorf("run(-nonsense) = %v, writes %q and, as errors, %q", err, out, errs)
	}
}

// send runs the program as a user does, over real HTTP, and returns what it
// says.
func send(t *testing.T, api http.Handler, args ...string) (said string, err error) {
	t.Helper()
	server := httptest.NewServer(api)
	defer server.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	err = run(t.Context(), append([]string{"-token", botapi.DefaultToken, "-server", server.URL}, args...), nil, out, out)
	content, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(content), err
}

// toFile makes a file to send, in a directory of its own that is made the
// current one.
func toFile(t *testing.T, name, content string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRunReal(t *testing.T) {
	toFile(t, "to.csv", "chat_id,text\n1,hello\n2,\"hello, you\"\n-3,hi all\n")
	server := botapi.New(botapi.Config{})
	said, err := send(t, server, "-to", "to.csv")
	if err != nil {
		t.Fatal(err)
	}
	if server.Stats().Accepted != 3 || !strings.Contains(said, "  sent                  3\n") || strings.Contains(said, "left over") {
		t.Errorf("the server accepted %d; said\n%s", server.Stats().Accepted, said)
	}
	if files, _ := filepath.Glob("*"); !slices.Equal(files, []string{"to.csv"}) {
		t.Errorf("the files %q are there, want to.csv alone", files)
	}
}

// If the file of unsent messages exists already, the program stops before it sends anything.
func TestRunRefusesToReplaceUnsent(t *testing.T) {
	toFile(t, "to.csv", "chat_id,text\n1,hello\n")
	if err := os.WriteFile("unsent.jsonl", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := botapi.New(botapi.Config{})
	_, err := send(t, server, "-to", "to.csv")
	if err == nil || !strings.HasPrefix(err.Error(), "unsent.jsonl exists") {
		t.Errorf("run() = %v, want an error that names unsent.jsonl", err)
	}
	if content, err := os.ReadFile("unsent.jsonl"); err != nil || string(content) != "precious" || server.Stats().Accepted != 0 {
		t.Errorf("unsent.jsonl holds %q, %v and %d were sent, want it as it was and none", content, err, server.Stats().Accepted)
	}
}

// Failed messages are left over in the file, even if it is the one that is sent. Blocked messages
// are not.
func TestRunLeavesFailed(t *testing.T) {
	const (
		bye  = `{"chat_id":"2","text":"bye"}` + "\n"
		left = `{"_delivery":"failed", "chat_id":"2","text":"bye"}` + "\n"
	)
	toFile(t, "unsent.jsonl", `{"chat_id":"1","text":"hello"}`+"\n"+bye+`{"chat_id":"3","text":"hello"}`+"\n")
	server := botapi.New(botapi.Config{Blocked: func(chatID string) bool { return chatID == "3" }})
	refusing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(body, []byte("bye")) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		server.ServeHTTP(w, r)
	})
	said, err := send(t, refusing, "-to", "unsent.jsonl")
	if err == nil || err.Error() != "1 message failed" {
		t.Errorf("run() = %v, want that 1 message failed", err)
	}
	if want := "left over: 1 message to 1 chat, 0 not sent and 1 failed\n"; !strings.Contains(said, want) {
		t.Errorf("said\n%s\nwant %q in it", said, want)
	}
	if got, err := os.ReadFile("unsent.jsonl"); err != nil || string(got) != left {
		t.Errorf("unsent.jsonl holds %q, %v, want %q", got, err, left)
	}
	if files, _ := filepath.Glob("*"); !slices.Equal(files, []string{"unsent.jsonl"}) {
		t.Errorf("the files %q are there, want unsent.jsonl alone", files)
	}
}
