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

// outOfReach keeps what is for the test binary from the program of a container,
// which has to outlive it: a terminal's Ctrl-C, and kills of its process group. If
// the program is still being built when the test binary ends, go run ends as well;
// later it doesn't heed the signal.
func outOfReach() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
}
