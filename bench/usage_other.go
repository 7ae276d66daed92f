//go:build !unix

package main

import (
	"errors"
	"time"
)

// usage is not known here.
func usage() (cpu time.Duration, resident float64, err error) {
	return 0, 0, errors.New("what a process uses can't be measured on this system")
}
