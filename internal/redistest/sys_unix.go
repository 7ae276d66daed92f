//go:build unix && !linux

package redistest

import "syscall"

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

func endWithParent() *syscall.SysProcAttr { return nil }

// outOfReach keeps what is for the test binary from the program of a container,
// which has to outlive it: a terminal's Ctrl-C, and kills of its process group.
func outOfReach() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
