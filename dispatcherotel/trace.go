package dispatcherotel

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/freqlimit/dispatcher"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Attributes of spans and of their events.
const (
	jobKeyKey   = attribute.Key("dispatcher.job.key")
	attemptKey  = attribute.Key("dispatcher.job.attempt")
	idKey       = attribute.Key("dispatcher.job.id")
	latenessKey = attribute.Key("dispatcher.job.lateness") // in seconds
	delayKey    = attribute.Key("dispatcher.delay")        // in seconds
	keysKey     = attribute.Key("dispatcher.keys")
	reasonKey   = attribute.Key("dispatcher.reason")

	// These are of the semantic conventions.
	errorTypeKey = attribute.Key("error.type")
	typeKey      = attribute.Key("exception.type")
	messageKey   = attribute.Key("exception.message")
	stackKey     = attribute.Key("exception.stacktrace")
)

// Trace returns a middleware that makes a span, "run job", of each run of a handler, and
// passes it on in the context. Since a job may wait for long and run often, the span is the
// root of a trace of its own, with a link to the span in the context that was passed to
// Submit, or else to the span in Run's context. The span's kind is consumer.
//
// The attributes are dispatcher.job.key, dispatcher.job.attempt (from 1),
// dispatcher.job.lateness (seconds from the job's slot to the call of the handler) and, if the
// job has an ID, dispatcher.job.id. So keys and IDs are exported with the spans.
//
// An error, a panic or a [runtime.Goexit] of the handler is an event "exception", and sets the
// span's status to Error, whether the job will be retried or not. A panic goes on.
// [dispatcher.RetryAfter] and [dispatcher.Snooze] are not failures: the first is an event
// "dispatcher.retry_after", with dispatcher.delay in seconds, the held dispatcher.keys, and
// the error's text as dispatcher.reason; the second is an event "dispatcher.snooze" with the
// delay and the reason.
//
// A nil provider means the global one.
func Trace(provider trace.TracerProvider) dispatcher.Middleware {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	tracer := provider.Tracer(scope)
	return func(ctx context.Context, job dispatcher.JobInfo, next func(context.Context) error) (err error) {
		ctx, span := tracer.Start(ctx, "run job", startOptions(ctx, job)...)
		returned := false
		// Not held itself, for then the SDK would record the panic too.
		defer func() { span.End() }()
		defer func() {
			if returned {
				return
			}
			v := recover()
			if v == nil {
				fail(span, dispatcher.ErrGoexit)
				return
			}
			defer panic(v)
			fail(span, &dispatcher.PanicError{Value: v, Stack: debug.Stack()})
		}()
		err = next(ctx)
		tell(span, job, err)
		returned = true
		return err
	}
}

func startOptions(submitter context.Context, job dispatcher.JobInfo) []trace.SpanStartOption {
	attrs := []attribute.KeyValue{
		jobKeyKey.String(valid(job.Key)),
		attemptKey.Int(job.Attempt),
		latenessKey.Float64(lateness(job.Slot).Seconds()),
	}
	if job.ID != "" {
		attrs = append(attrs, idKey.String(valid(job.ID)))
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attrs...),
	}
	if trace.SpanContextFromContext(submitter).IsValid() {
		options = append(options, trace.WithLinks(trace.LinkFromContext(submitter)))
	}
	return options
}

// tell notes what a handler has returned. It reads the error as the dispatcher does.
func tell(span trace.Span, job dispatcher.JobInfo, err error) {
	if err == nil || !span.IsRecording() {
		return
	}
	after, ok := errors.AsType[*dispatcher.RetryAfterError](err)
	if !ok {
		after = nil
	}
	if isPermanent(err, after) {
		fail(span, err)
		return
	}
	if after != nil {
		keys := slices.Clone(after.HeldKeys(job.Key, job.Limits))
		for i := range keys {
			keys[i] = valid(keys[i])
		}
		span.AddEvent("dispatcher.retry_after", trace.WithAttributes(
			delayKey.Float64(after.Delay.Seconds()),
			keysKey.StringSlice(keys),
			reasonKey.String(textOf(err))))
		return
	}
	if s, ok := errors.AsType[*dispatcher.SnoozeError](err); ok && s != nil {
		span.AddEvent("dispatcher.snooze", trace.WithAttributes(
			delayKey.Float64(s.Delay.Seconds()),
			reasonKey.String(textOf(err))))
		return
	}
	fail(span, err)
}

// isPermanent reports whether an error is permanent for another reason than the
// cause of after, which may be nil.
func isPermanent(err error, after *dispatcher.RetryAfterError) bool {
	permanent, ok := errors.AsType[*dispatcher.PermanentError](err)
	if !ok || permanent == nil {
		return false
	}
	if after == nil {
		return true
	}
	cause, _ := errors.AsType[*dispatcher.PermanentError](after.Err)
	return cause != permanent
}

// fail notes a failure. It does what RecordError does, except for text that is not UTF-8
// and errors whose methods panic.
func fail(span trace.Span, err error) {
	if !span.IsRecording() {
		return
	}
	kind, text := kindOf(err), textOf(err)
	exception := []attribute.KeyValue{typeKey.String(kind), messageKey.String(text)}
	if p, ok := errors.AsType[*dispatcher.PanicError](err); ok && p != nil {
		exception = append(exception, stackKey.String(valid(string(p.Stack))))
	}
	span.AddEvent("exception", trace.WithAttributes(exception...))
	span.SetAttributes(errorTypeKey.String(kind))
	span.SetStatus(codes.Error, text)
}

// kindOf returns the type of an error, by the name that its users know.
func kindOf(err error) string {
	switch err.(type) {
	case *dispatcher.PanicError:
		return "*dispatcher.PanicError"
	case *dispatcher.ConfigError:
		return "*dispatcher.ConfigError"
	}
	return fmt.Sprintf("%T", err)
}

// textOf returns what an error says. Package fmt sees to it that no panic in there, as
// of a nil pointer in the interface, changes what becomes of the job.
func textOf(err error) string { return valid(fmt.Sprint(err)) }

// valid returns text that is UTF-8: OTLP refuses all spans of a batch for one that is
// not, and keys may be anything.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
