package main

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16Of encodes a text, with a byte order mark.
func utf16Of(s string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// What spreadsheets and shells make of a file of messages is recognised.
func TestFilesOfOtherPrograms(t *testing.T) {
	want := []message{{"101", "hello, world"}, {"-102", "a;b\tc 🌍"}}
	const (
		comma     = "chat_id,text\n101,\"hello, world\"\n-102,a;b\tc 🌍\n"
		semicolon = "chat_id;text\n101;hello, world\n-102;\"a;b\tc 🌍\"\n"
		tab       = "chat_id\ttext\n101\thello, world\n-102\t\"a;b\tc 🌍\"\n"
		lines     = `{"chat_id":101,"text":"hello, world"}` + "\n" + `{"chat_id":-102,"text":"a;b\tc 🌍"}` + "\n"
	)
	for _, c := range []struct{ name, file, content string }{
		{"semicolons", "a.csv", semicolon},
		{"tabs", "a.csv", tab},
		{"bars", "a.csv", strings.ReplaceAll(semicolon, ";text", "|text")[:13] + "101|hello, world\n-102|a;b\tc 🌍\n"},
		{"tabs in .tsv", "a.tsv", tab},
		{"sep=;", "a.csv", "sep=;\r\n" + semicolon},
		{"SEP=, quoted", "a.csv", "\"SEP=,\"\n" + comma},
		{"sep= a tab", "a.csv", "sep=\t\n" + tab},
		{"two BOMs", "a.csv", "\ufeff\ufeff" + comma},
		{"UTF-16, little endian", "a.csv", utf16Of(comma, binary.LittleEndian)},
		{"UTF-16, big endian", "a.csv", utf16Of(tab, binary.BigEndian)},
		{"UTF-16, JSON Lines", "a.jsonl", utf16Of(lines, binary.LittleEndian)},
		{"two BOMs, JSON Lines", "a.jsonl", "\ufeff\ufeff" + lines},
		{"ChatID", "a.csv", strings.Replace(comma, "chat_id", "ChatID", 1)},
		{"Chat ID", "a.csv", strings.Replace(semicolon, "chat_id", "Chat ID", 1)},
		{"chatId, JSON Lines", "a.jsonl", strings.ReplaceAll(lines, "chat_id", "chatId")},
		{"CHAT-ID, JSON Lines", "a.jsonl", strings.ReplaceAll(lines, "chat_id", "CHAT-ID")},
	} {
		if got, err := load(t, c.file, c.content); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: loadMessages = %q, %v, want %q", c.name, got, err, want)
		}
	}
}

// Input that is ambiguous is an error that names the line and says what to do.
// No text is ever cut.
func TestFilesThatAreNotUnderstood(t *testing.T) {
	for _, c := range []struct{ name, file, content, want string }{
		{
			"a comma in a text", "a.csv", "chat_id,text\n101,hello, world\n102,hi\n103,a,b,c\n",
			"a.csv: line 2: has 3 fields, the header 2: put quotes around a text with \",\" in it\n" +
				"a.csv: line 4: has 4 fields, the header 2: put quotes around a text with \",\" in it",
		},
		{
			"a comma at the end of a text", "a.csv", "chat_id,text\n101,hello,\n",
			"a.csv: line 2: has 3 fields, the header 2: put quotes around a text with \",\" in it",
		},
		{
			"a semicolon in a text", "a.csv", "sep=;\nchat_id;text\n101;hello; world\n",
			"a.csv: line 3: has 3 fields, the header 2: put quotes around a text with \";\" in it",
		},
		{
			"a quote in a text, and more lines", "a.csv", "chat_id,text\n101,a \"b\" c\n,x\n",
			"a.csv: line 2: column 7: bare \" in non-quoted-field: put quotes around the text, and write each quote in it twice\n" +
				"a.csv: line 3: chat_id: is empty",
		},
		{
			"no header", "a.csv", "101,hello\n102,hi\n",
			"a.csv: line 1: looks like a message: put the line chat_id,text before it",
		},
		{
			"no header, semicolons", "a.csv", "@channel;hello\n",
			"a.csv: line 1: looks like a message: put the line chat_id;text before it",
		},
		{"no header, quotes", "a.csv", "\"-101\",hello\n", "a.csv: line 1: looks like a message: put the line chat_id,text before it"},
		{"other columns", "a.csv", "id,text\n1,a\n", `a.csv: line 1: chat_id: no such column in the header, which has "id", "text"`},
		{"JSON in .csv", "a.csv", `{"chat_id":1,"text":"a"}`, "a.csv: line 1: looks like JSON: give the file a name that ends in .jsonl"},
		{"CSV in .jsonl", "a.jsonl", "chat_id,text\n1,a\n", "a.jsonl: line 1: looks like CSV: give the file a name that ends in .csv"},
		{
			"a JSON array", "a.jsonl", `[{"chat_id":1,"text":"a"}]`,
			"a.jsonl: line 1: is a JSON array, not an object: write one object a line, without [ and ]",
		},
		{
			"UTF-16 without a mark", "a.csv", utf16Of("chat_id,text\n1,a\n", binary.LittleEndian)[2:],
			"a.csv: looks like UTF-16 without a byte order mark: save it as UTF-8",
		},
		{"UTF-32", "a.csv", "\xff\xfe\x00\x00c\x00\x00\x00", "a.csv: looks like UTF-32: save it as UTF-8"},
		{"a cut UTF-16", "a.csv", utf16Of("chat_id,text\n1,a\n", binary.LittleEndian) + "x", "a.csv: is UTF-16 that ends within a character"},
		{"half a pair in UTF-16", "a.csv", utf16Of("chat_id,text\n1,a", binary.LittleEndian) + "\x00\xd8b\x00", "a.csv: is UTF-16 with half a surrogate pair in it"},
		{
			"Windows-1251", "a.csv", "chat_id,text\n1,\xcf\xf0\xe8\n",
			"a.csv: line 2: text: is not UTF-8: save the file as UTF-8",
		},
		{"half a pair in JSON", "a.jsonl", `{"chat_id":1,"text":"a \ud83c"}`, "a.jsonl: line 1: text: has half a surrogate pair in it"},
		{"two chats", "a.jsonl", `{"chat_id":1,"chatId":2,"text":"a"}`, "a.jsonl: line 1: chat_id: is there twice"},
		{"two texts", "a.jsonl", `{"chat_id":1,"text":"a","Text":"b"}`, "a.jsonl: line 1: text: is there twice"},
		{
			"a number that a spreadsheet has rounded", "a.csv", "chat_id,text\n1.23457E+12,a\n",
			`a.csv: line 2: chat_id: "1.23457E+12" is neither a chat's number nor @username`,
		},
	} {
		if got, err := load(t, c.file, c.content); err == nil || err.Error() != c.want || got != nil {
			t.Errorf("%s: loadMessages(%.60q) = %q, %v, want %s", c.name, c.content, got, err, c.want)
		}
	}
}

// A mark in the text that stands for itself is none that the decoder has put there.
func TestReplacementCharacter(t *testing.T) {
	want := []message{{"1", "\ufffd"}}
	for _, line := range []string{"{\"chat_id\":1,\"text\":\"\ufffd\"}", `{"chat_id":1,"text":"\uFFFD"}`} {
		if got, err := load(t, "a.jsonl", line); err != nil || !slices.Equal(got, want) {
			t.Errorf("loadMessages(%s) = %q, %v, want %q", line, got, err, want)
		}
	}
}
