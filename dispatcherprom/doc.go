// Package dispatcherprom exports the statistics of a dispatcher as Prometheus metrics:
//
//	prometheus.MustRegister(dispatcherprom.NewCollector("mail", d))
//
// Their label dispatcher is the given name:
//
//	dispatcher_jobs_waiting             accepted jobs that no worker has begun
//	dispatcher_jobs_running             jobs whose handlers have not returned
//	dispatcher_workers                  goroutines started for handlers
//	dispatcher_backend_up               1 while the backend answers, else 0
//	dispatcher_jobs_submitted_total     jobs accepted
//	dispatcher_jobs_retried_total       times that a job went back to run again
//	dispatcher_jobs_replaced_total      payloads put into a job that waited
//	dispatcher_jobs_ended_total         jobs ended, by the label outcome
//	dispatcher_start_lateness_seconds   histogram: how long after their slots jobs start
//
// The label outcome has the values of [dispatcher.Outcome], in lower case; all of them exist
// from the first scrape on. [dispatcher.Stats] says which starts the histogram counts.
//
// A scrape reads [dispatcher.Stats] once, and costs the jobs nothing.
//
// Package dispatcherotel does the same for OpenTelemetry. If its metrics are exported to
// Prometheus, they have the same names and other labels. One registry may have both, but a
// sum over a name then counts everything twice.
package dispatcherprom
