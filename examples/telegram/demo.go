package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// demoFile is the campaign of a parcel service on a Monday: 700 customers with
// one message each, 8 drivers with 25, 10 groups of depots with 8.
//
//go:generate go run ./internal/gendemo -o demo.jsonl
//go:embed demo.jsonl
var demoFile []byte

// demoMessages returns the campaign that is sent when no file is named.
func demoMessages() ([]message, error) {
	var messages []message
	for m, err := range readJSONLines(bytes.NewReader(demoFile)) {
		if err != nil {
			return nil, fmt.Errorf("demo.jsonl: %w", err)
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// demoServer configures the server that stands in for Telegram when there is no
// token: with Telegram's limits, kept to the message, and with what a campaign
// meets every day.
func demoServer() botapi.Config {
	return botapi.Config{
		Blocked:    demoBlocked,
		FailShare:  0.01,
		MinLatency: 20 * time.Millisecond,
		MaxLatency: 60 * time.Millisecond,
	}
}

// demoBlocked reports whether a chat is among the private ones, one in fifty,
// whose user has blocked the bot.
func demoBlocked(chatID string) bool {
	id, err := strconv.ParseInt(chatID, 10, 64)
	return err == nil && id > 0 && id%50 == 7
}
