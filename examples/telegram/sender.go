package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/go-telegram/bot"
)

// retry is for a server that fails, with 5xx, or can't be reached. Answers of 429 don't
// count: they come to an end. A retried message keeps its place in its chat, since the
// campaign is Serial.
//
// The first retry comes soon: it waits for the chat's next slot anyway.
var retry = dispatcher.Retry{
	MaxAttempts: 6,
	Initial:     250 * time.Millisecond,
	Max:         10 * time.Second,
}

// requestTimeout bounds one request. A message whose answer has not come by then was
// perhaps delivered.
const requestTimeout = 30 * time.Second

// sender sends one message after another through the Bot API.
type sender struct {
	bot     *bot.Bot
	timeout time.Duration // of one request

	// resend sends a message again that was perhaps delivered. Then it may arrive twice: the
	// Bot API knows no way to rule that out.
	resend bool

	tooMany  atomic.Int64 // answers of 429
	timeouts atomic.Int64 // requests that had no answer in time
	broken   atomic.Int64 // other failures that are worth a retry: answers of 5xx
}

// newSender returns a sender for a bot, after asking the server whether it knows
// the token.
func newSender(token, server string, client bot.HttpClient) (*sender, error) {
	options := []bot.Option{
		bot.WithHTTPClient(requestTimeout, understanding{client}),
		bot.WithErrorsHandler(func(error) {}), // what it is told is returned too
	}
	if server != "" {
		options = append(options, bot.WithServerURL(server))
	}
	b, err := bot.New(token, options...)
	if err != nil {
		return nil, fmt.Errorf("can't begin: %w", plainError(err))
	}
	return &sender{bot: b, timeout: requestTimeout}, nil
}

// newClient returns an HTTP client that keeps a connection alive for each worker;
// the default keeps two for a host and opens the others again for each message.
func newClient(workers int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = workers
	transport.MaxIdleConnsPerHost = workers
	return &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		// To follow would be to ask again, without the message.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// hopeless is the error of a message that fails as all others would.
type hopeless struct{ err error }

func (e *hopeless) Error() string { return e.err.Error() }
func (e *hopeless) Unwrap() error { return e.err }

// send sends one message. It finishes what it has begun even when ctx ends, so that
// no message is sent and not counted. Its error tells the dispatcher what to do. It
// wraps unsure if the message was perhaps delivered, else it was not.
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
	err = plainError(err)
	if isTimeout(err) {
		s.timeouts.Add(1)
	}
	if isUnsure(err) {
		if s.resend {
			return err // for the retry policy
		}
		return dispatcher.Permanent(err)
	}
	code := 0
	if e, ok := errors.AsType[*refusal](err); ok {
		code = e.code
		if code == http.StatusTooManyRequests {
			s.tooMany.Add(1)
			return dispatcher.RetryAfter(max(e.retryAfter, time.Second), err)
		}
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case untrusted || code == http.StatusUnauthorized || code == http.StatusNotFound:
		return &hopeless{err}
	case code >= 400 && code < 500 && code != http.StatusRequestTimeout:
		return dispatcher.Permanent(err) // it would be the same again
	}
	if !isTimeout(err) {
		s.broken.Add(1)
	}
	return err // for the retry policy
}

// plainError is what there is to say of an error of the bot's package: what the client
// has said.
func plainError(err error) error {
	if e, ok := errors.AsType[*refusal](err); ok {
		switch e.code {
		case http.StatusUnauthorized, http.StatusNotFound:
			return fmt.Errorf("the server does not know the bot's token: %w", e)
		}
		return e
	}
	if e, ok := errors.AsType[*unsure](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	return err
}

// isUnsure reports whether a message was perhaps delivered.
func isUnsure(err error) bool {
	_, ok := errors.AsType[*unsure](err)
	return ok
}

// isBlocked reports whether the user does not want the bot's messages.
func isBlocked(err error) bool {
	e, ok := errors.AsType[*refusal](err)
	return ok && e.code == http.StatusForbidden
}
