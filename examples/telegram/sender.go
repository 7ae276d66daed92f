package main

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/go-telegram/bot"
)

// retry is for a server that fails, with 5xx, or silence, or an answer that makes
// no sense. Answers of 429 don't count: they come to an end. A retried message
// keeps its place in its chat, since the campaign is Serial.
//
// The first retry comes soon: it waits for the chat's next slot anyway.
var retry = dispatcher.Retry{
	MaxAttempts: 6,
	Initial:     250 * time.Millisecond,
	Max:         10 * time.Second,
}

// requestTimeout bounds one request. A message whose answer has not come by then is
// tried again, but a real server may have delivered it, and then it arrives twice:
// the Bot API knows no way to rule that out.
const requestTimeout = 30 * time.Second

// sender sends one message after another through the Bot API.
type sender struct {
	bot     *bot.Bot
	timeout time.Duration // of one request

	tooMany  atomic.Int64 // answers of 429
	timeouts atomic.Int64 // requests that had no answer in time
	broken   atomic.Int64 // other failures that are worth a retry: answers of 5xx
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
	return &sender{bot: b, timeout: requestTimeout}, nil
}

// newClient returns an HTTP client that keeps a connection alive for each worker;
// the default keeps two for a host and opens the others anew for each message.
func newClient(workers int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = workers
	transport.MaxIdleConnsPerHost = workers
	return &http.Client{Transport: transport, Timeout: requestTimeout}
}

// send sends one message. It finishes what it has begun even when ctx ends, so that
// no message is sent and not counted. Its error wraps the bot's, and tells the
// dispatcher what to do.
func (s *sender) send(ctx context.Context, m message) error {
	ctx, stop := context.WithTimeout(ctx, s.timeout)
	defer stop()
	_, err := s.bot.SendMessage(ctx, &bot.SendMessageParams{
		ChatID: m.ChatID,
		Text:   m.Text,
	})
	if err == nil {
		return nil
	}
	if tooMany, ok := errors.AsType[*bot.TooManyRequestsError](err); ok {
		s.tooMany.Add(1)
		wait := time.Duration(max(tooMany.RetryAfter, 1)) * time.Second
		return dispatcher.RetryAfter(wait, err)
	}
	switch {
	case isFinal(err):
		return dispatcher.Permanent(err)
	case errors.Is(err, context.DeadlineExceeded):
		s.timeouts.Add(1)
	default:
		s.broken.Add(1)
	}
	return err // for the retry policy
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
