// Package dispatcherotel exports metrics and traces of a dispatcher to OpenTelemetry. Its
// three parts are independent:
//
//	events, err := dispatcherotel.NewEvents[Message](meters, "mail")
//	d, err := dispatcher.New(b, send, dispatcher.Config[Message]{
//		Events:     events,
//		Middleware: []dispatcher.Middleware{dispatcherotel.Trace(tracers)},
//	})
//	reg, err := dispatcherotel.Observe(meters, "mail", d)
//	defer reg.Unregister()
//
// [Observe] reads [dispatcher.Stats] whenever metrics are collected, and costs the jobs
// nothing:
//
//	dispatcher.jobs.waiting     {job}      accepted jobs that no worker has begun
//	dispatcher.jobs.running     {job}      jobs whose handlers have not returned
//	dispatcher.workers          {worker}   goroutines started for handlers
//	dispatcher.backend.up                  1 while the backend answers, else 0
//	dispatcher.jobs.submitted   {job}      jobs accepted
//	dispatcher.jobs.retried     {retry}    times that a job went back to run again
//	dispatcher.jobs.replaced    {payload}  payloads put into a job that waited
//	dispatcher.jobs.ended       {job}      jobs ended, by dispatcher.outcome
//
// [NewEvents] makes [dispatcher.Events] that record exact times as they occur:
//
//	dispatcher.start.lateness   s          how long after its slot a job was started
//	dispatcher.job.duration     s          how long its handler took, by dispatcher.outcome
//
// The attribute dispatcher.name of all metrics is the given name. dispatcher.outcome has the
// values of [dispatcher.Outcome], in lower case.
//
// [Trace] makes a span of each run of a handler.
//
// The package uses only the API of OpenTelemetry. The program makes the providers, with the
// SDK. A nil provider means the global one.
package dispatcherotel

// scope names the instrumentation.
const scope = "github.com/freqlimit/dispatcher/dispatcherotel"
