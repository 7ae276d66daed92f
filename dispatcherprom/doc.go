// Package dispatcherprom shows what a dispatcher does as metrics of Prometheus:
//
//	prometheus.MustRegister(dispatcherprom.NewCollector("mail", d))
//
// Each of them has the label dispatcher, which is the name given:
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
// The outcomes are those of [dispatcher.Outcome], in lower case; all are there from
// the first scrape on. Which starts are in the histogram is said at
// [dispatcher.Stats].
//
// A scrape reads [dispatcher.Stats] once. The jobs pay nothing for it.
//
// Package dispatcherotel has the same for OpenTelemetry. Exported to Prometheus, its
// metrics have these names too, with other labels: one registry may have both, but then
// a sum over a name counts everything twice.
package dispatcherprom
