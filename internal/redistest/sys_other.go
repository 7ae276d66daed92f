//go:build !unix

package redistest

import "syscall"

// Systems without these signals have no redis-server either. The package is built
// there for the tests that take a Redis elsewhere.
const (
	pauseSignal  = syscall.Signal(0)
	resumeSignal = syscall.Signal(0)
)

func endWithParent() *syscall.SysProcAttr { return nil }

func outOfReach() *syscall.SysProcAttr { return nil }
