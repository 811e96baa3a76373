package versity

import (
	"os/exec"
	"syscall"
)

// dieWithParent has a process end also when the test's own process crashes and
// runs no clean-up.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
