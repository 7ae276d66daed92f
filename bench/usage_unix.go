//go:build unix

package main

import (
	"runtime"
	"syscall"
	"time"
)

// usage returns the processor time that this process has used, and the most
// memory in bytes that it has had resident.
func usage() (cpu time.Duration, resident float64, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, err
	}
	unit := 1024.0
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return cpu, float64(u.Maxrss) * unit, nil
}
