package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// loadMessages reads what is to be sent of a file.
func loadMessages(path string, stdin io.Reader) ([]message, error) {
	file, err := loadFile(path, stdin, false)
	return file.messages, err
}

func load(t *testing.T, name, content string) ([]message, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	messages, err := loadMessages(path, nil)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), path, name))
	}
	return messages, err
}

func TestLoadMessages(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		content string
		want    []message
	}{
		{"csv", "a.csv", "chat_id,text\n42,hello\n-100,bye\n", []message{{"42", "hello"}, {"-100", "bye"}}},
		{"csv: line break, comma and quote in a text", "a.csv", "chat_id,text\n42,\"a, \"\"b\"\"\nc\"\n43,d\n", []message{{"42", "a, \"b\"\nc"}, {"43", "d"}}},
		{"csv: other columns, other order, any case", "a.CSV", "name,Text, CHAT_ID ,x\nAnn,hello, 42 ,1\n", []message{{"42", "hello"}}},
		{"csv: BOM, CRLF, blank line, no last line break", "a.csv", "\ufeffchat_id,text\r\n42,hello\r\n\r\n43,bye", []message{{"42", "hello"}, {"43", "bye"}}},
		{"json", "a.jsonl", `{"chat_id":42,"text":"hello"}` + "\n" + `{"chat_id":-100,"text":"bye"}` + "\n", []message{{"42", "hello"}, {"-100", "bye"}}},
		{"json: string ids", "a.ndjson", `{"chat_id":"42","text":"a"}` + "\n" + `{"chat_id":"@My_Channel1","text":"b"}`, []message{{"42", "a"}, {"@my_channel1", "b"}}},
		{"json: other fields, blank lines, BOM, CRLF", "a.JSONL", "\ufeff\r\n" + `{"x":[1],"text":"a\nb 🌍","chat_id":42}` + "\r\n\r\n", []message{{"42", "a\nb 🌍"}}},
		{"json: an id that no float64 holds", "a.jsonl", `{"chat_id":-9007199254740993,"text":"a"}`, []message{{"-9007199254740993", "a"}}},
		{"one spelling of an id", "a.csv", "chat_id,text\n+007,a\n", []message{{"7", "a"}}},
		{"longest text", "a.csv", "chat_id,text\n1," + strings.Repeat("🌍", 2048), []message{{"1", strings.Repeat("🌍", 2048)}}},
	}
	for _, tt := range tests {
		got, err := load(t, tt.file, tt.content)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: loadMessages = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestLoadMessagesErrors(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	tests := []struct {
		file    string
		content string
		want    string
	}{
		{"a.txt", "", "a.txt: unknown kind of file: want .csv, .tsv, .jsonl or .ndjson"},
		{"a.csv", "", "a.csv: holds no messages"},
		{"a.csv", "chat_id,text\n", "a.csv: holds no messages"},
		{"a.csv", "id,text\n1,a\n", "a.csv: line 1: chat_id: no such column in the header, which has \"id\", \"text\""},
		{"a.csv", "chat_id,body\n1,a\n", "a.csv: line 1: text: no such column in the header, which has \"chat_id\", \"body\""},
		{"a.csv", "chat_id,text,Text\n1,a,b\n", "a.csv: line 1: text: is the name of two columns"},
		{"a.csv", "ch\xe0t_id,text\n1,a\n", "a.csv: line 1: chat_id: is not UTF-8: save the file as UTF-8"},
		{"a.csv", "chat_id,text\n1,\"a\nb\"\n2\n", "a.csv: line 4: text: is missing"},
		{"a.csv", "chat_id,text\n,a\n", "a.csv: line 2: chat_id: is empty"},
		{"a.csv", "chat_id,text\nAnn,a\n", `a.csv: line 2: chat_id: "Ann" is neither a chat's number nor @username`},
		{"a.csv", "chat_id,text\n0,a\n", `a.csv: line 2: chat_id: "0" is neither a chat's number nor @username`},
		{"a.csv", "chat_id,text\n@a b,a\n", `a.csv: line 2: chat_id: "@a b" is no username`},
		{"a.csv", "chat_id,text\n@1abc,a\n", `a.csv: line 2: chat_id: "@1abc" is no username`},
		{"a.csv", "chat_id,text\n1, \n", "a.csv: line 2: text: is empty"},
		{"a.csv", "chat_id,text\n1,\xef\xf0\n", "a.csv: line 2: text: is not UTF-8: save the file as UTF-8"},
		{"a.csv", "chat_id,text\n1," + strings.Repeat("🌍", 2049), "a.csv: line 2: text: is 4098 characters long, Telegram takes 4096"},
		{"a.csv", "chat_id,text\n1,a\"b\n2,c\n", `a.csv: line 2: column 4: bare " in non-quoted-field: put quotes around the text, and write each quote in it twice`},
		{"a.csv", "chat_id,text\nx,a\n1,b\n2,\n", "a.csv: line 2: chat_id: \"x\" is neither a chat's number nor @username\na.csv: line 4: text: is empty"},

		{"a.jsonl", "\n \n", "a.jsonl: holds no messages"},
		{"a.jsonl", `{"text":"a"}`, "a.jsonl: line 1: chat_id: is missing"},
		{"a.jsonl", `{"chat_id":null,"text":"a"}`, "a.jsonl: line 1: chat_id: is missing"},
		{"a.jsonl", `{"chat_id":1}`, "a.jsonl: line 1: text: is missing"},
		{"a.jsonl", `{"chat_id":1,"text":"  "}`, "a.jsonl: line 1: text: is empty"},
		{"a.jsonl", `{"chat_id":1,"text":7}`, "a.jsonl: line 1: text: is a number, not a string"},
		{"a.jsonl", `{"chat_id":1.5,"text":"a"}`, `a.jsonl: line 1: chat_id: "1.5" is neither a chat's number nor @username`},
		{"a.jsonl", `{"chat_id":[1],"text":"a"}`, "a.jsonl: line 1: chat_id: [1] is neither a number nor a string"},
		{"a.jsonl", `[1]`, "a.jsonl: line 1: is a JSON array, not an object: write one object a line, without [ and ]"},
		{"a.jsonl", "{\"chat_id\":1,\"text\":\"\xff\"}", "a.jsonl: line 1: is not UTF-8: save the file as UTF-8"},
		{"a.jsonl", "{\"chat_id\":1,\"text\":\"a\"}\n{\"chat_id\":2", "a.jsonl: line 2: not JSON: unexpected end of JSON input"},
		{"a.jsonl", `{"chat_id":1,"text":"a"} {}`, "a.jsonl: line 1: not JSON: invalid character '{' after top-level value"},
		{"a.jsonl", "{}\n" + long, "a.jsonl: line 1: chat_id: is missing\na.jsonl: line 2: is longer than 1048576 bytes; what follows is not read"},
	}
	for _, tt := range tests {
		got, err := load(t, tt.file, tt.content)
		if err == nil || err.Error() != tt.want || got != nil {
			t.Errorf("loadMessages(%.60q) = %q, %v, want %s", tt.content, got, err, tt.want)
		}
	}
}

func TestLoadMessagesManyErrors(t *testing.T) {
	_, err := load(t, "a.jsonl", strings.Repeat("{}\n", 1000))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "a.jsonl: and 980 more" {
		t.Errorf("error = %q, want %d lines and how many more", lines, maxErrors)
	}
}

func TestLoadMessagesStdin(t *testing.T) {
	got, err := loadMessages("-", strings.NewReader(`{"chat_id":42,"text":"hello"}`))
	if err != nil || !slices.Equal(got, []message{{"42", "hello"}}) {
		t.Errorf("loadMessages(-) = %q, %v", got, err)
	}
	if _, err := loadMessages("-", strings.NewReader("")); err == nil || err.Error() != "stdin: holds no messages" {
		t.Errorf("loadMessages(-) of nothing = %v", err)
	}
}

func TestLoadMessagesNoFile(t *testing.T) {
	if _, err := loadMessages(filepath.Join(t.TempDir(), "none.csv"), nil); !os.IsNotExist(err) {
		t.Errorf("loadMessages of no file = %v", err)
	}
}

func TestGroup(t *testing.T) {
	for chatID, want := range map[string]bool{"42": false, "-42": true, "-1001234567890": true, "@news": true} {
		if got := (message{ChatID: chatID}).group(); got != want {
			t.Errorf("group of %s = %t, want %t", chatID, got, want)
		}
	}
}

// A file is read line by line, so its size is no matter.
func TestReadersStream(t *testing.T) {
	n, err := count(readCSV(endless("chat_id,text\n", "42,\"hello\"\n")))
	if n != 100_000 || err != nil {
		t.Errorf("readCSV of an endless file gave %d messages, then %v", n, err)
	}
	n, err = count(readJSONLines(endless("", `{"chat_id":42,"text":"hello"}`+"\n")))
	if n != 100_000 || err != nil {
		t.Errorf("readJSONLines of an endless file gave %d messages, then %v", n, err)
	}
}

// count reads 100,000 messages and stops.
func count(messages iter.Seq2[message, error]) (n int, err error) {
	for _, err := range messages {
		if err != nil {
			return n, err
		}
		if n++; n == 100_000 {
			break
		}
	}
	return n, nil
}

// endless is a header followed by the same line for ever.
func endless(header, line string) io.Reader {
	return io.MultiReader(strings.NewReader(header), &repeated{line: line})
}

type repeated struct {
	line string
	rest string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		r.rest = r.line
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Whatever a file holds, its messages are fit to be sent, and its errors name
// a line.
func FuzzLoadMessages(f *testing.F) {
	f.Add("chat_id,text\n42,\"a\nb\"\n")
	f.Add("sep=;\nchat_id;text\n42;a,b\n")
	f.Add("\xff\xfec\x00h\x00a\x00t\x00i\x00d\x00,\x00t\x00e\x00x\x00t\x00\n\x001\x00,\x00\x3c\xd8\x0d\xdf")
	f.Add("\ufeffchat_id,text\r\n@name,x\r\n,\n")
	f.Add(`{"chat_id":42,"text":"hello"}`)
	f.Add("{\"chat_id\":\"@name\",\"text\":\"\\ud83c\"}\n\n[]")
	f.Fuzz(func(t *testing.T, content string) {
		for _, read := range []func(io.Reader) iter.Seq2[message, error]{readCSV, readJSONLines} {
			in, err := toUTF8(strings.NewReader(content))
			if err != nil {
				continue
			}
			for m, err := range read(in) {
				if _, ok := errors.AsType[*earlier](err); err != nil && !ok {
					if !strings.HasPrefix(err.Error(), "line ") && !strings.HasPrefix(err.Error(), "is UTF-16") {
						t.Errorf("error %q names no line", err)
					}
					continue
				}
				again, _, err := newMessage(m.ChatID, m.Text)
				if err != nil || again != m {
					t.Errorf("message %q, checked again, is %q, %v", m, again, err)
				}
				if n := len(utf16.Encode([]rune(m.Text))); n > maxText {
					t.Errorf("text of %d UTF-16 units", n)
				}
			}
		}
	})
}
