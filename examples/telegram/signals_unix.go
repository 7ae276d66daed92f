//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreWrites has writes that fail say so, instead of ending the program: to a pipe that
// nobody reads, and beyond the size that a file may have.
func ignoreWrites() { signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ) }
