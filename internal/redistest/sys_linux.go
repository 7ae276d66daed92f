package redistest

import "syscall"

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

// endWithParent makes a process end with the test binary, should that not come to
// stop it. What counts is the thread that has started it; the runtime ends those
// only of goroutines that are locked to theirs.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
