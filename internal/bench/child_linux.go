package bench

import "syscall"

// dieWithParent has the kernel end a child when this process is killed. The runtime ends no thread that no goroutine is locked
// to, so the thread that starts the child lives as long as the process.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
