package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/go-telegram/bot"
)

const (
	// maxAttempts is how often a message is tried while the server fails.
	// Answers of 429 don't count: they come to an end.
	maxAttempts = 4

	// requestTimeout bounds one request. A message whose answer is lost is tried
	// again, and may arrive twice: the Bot API knows no way to rule that out.
	requestTimeout = 30 * time.Second
)

// sender sends one message after another through the Bot API.
type sender struct {
	bot     *bot.Bot
	tooMany atomic.Int64 // answers of 429
}

// newSender returns a sender for a bot, after asking the server whether it knows
// the token.
func newSender(token, server string, client bot.HttpClient) (*sender, error) {
	options := []bot.Option{bot.WithHTTPClient(requestTimeout, client)}
	if server != "" {
		options = append(options, bot.WithServerURL(server))
	}
	b, err := bot.New(token, options...)
	if err != nil {
		return nil, err
	}
	return &sender{bot: b}, nil
}

// newClient returns an HTTP client that keeps a connection alive for each worker;
// the default keeps two for a host and opens the others anew for each message.
func newClient(workers int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = workers
	transport.MaxIdleConnsPerHost = workers
	return &http.Client{Transport: transport, Timeout: requestTimeout}
}

// send sends one message, after failed attempts that the server did not answer
// with 429. It finishes what it has begun even when ctx ends, so that no message
// is sent and not counted. Its error wraps the bot's.
func (s *sender) send(ctx context.Context, m message, failed int) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer stop()
	_, err := s.bot.SendMessage(ctx, &bot.SendMessageParams{
		ChatID: m.ChatID,
		Text:   m.Text,
	})
	switch {
	case err == nil:
		return nil
	case isTooMany(err):
		s.tooMany.Add(1)
		tooMany, _ := errors.AsType[*bot.TooManyRequestsError](err)
		return again(err, time.Duration(max(tooMany.RetryAfter, 1))*time.Second)
	case isFinal(err) || failed+1 >= maxAttempts:
		return err
	default:
		return again(err, time.Second<<failed)
	}
}

// again has a message that failed with err sent once more, after d.
func again(err error, d time.Duration) error {
	return fmt.Errorf("%w: %w", err, dispatcher.RetryAfter(d))
}

func isTooMany(err error) bool {
	_, ok := errors.AsType[*bot.TooManyRequestsError](err)
	return ok
}

// isBlocked reports whether the user does not want the bot's messages.
func isBlocked(err error) bool { return errors.Is(err, bot.ErrorForbidden) }

// isFinal reports whether to send the message again would give the same answer.
func isFinal(err error) bool {
	_, migrated := errors.AsType[*bot.MigrateError](err)
	return migrated || isBlocked(err) ||
		errors.Is(err, bot.ErrorBadRequest) ||
		errors.Is(err, bot.ErrorUnauthorized) ||
		errors.Is(err, bot.ErrorNotFound) ||
		errors.Is(err, bot.ErrorConflict)
}
