//go:build unix && !linux

package redistest

import "syscall"

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

func endWithParent() *syscall.SysProcAttr { return nil }
