package main

import (
	"bytes"
	"os"
	"testing"
)

func TestFileIsUpToDate(t *testing.T) {
	file, err := os.ReadFile("../../demo.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	file = bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n")) // a checkout on Windows
	if !bytes.Equal(file, generate()) {
		t.Error("demo.jsonl is not what gendemo writes: run go generate ./examples/telegram")
	}
}
