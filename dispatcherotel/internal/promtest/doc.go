// Package promtest holds the tests of dispatcherotel that read its metrics as Prometheus
// does. It is a module of its own: a program that requires dispatcherotel doesn't require
// Prometheus.
package promtest
