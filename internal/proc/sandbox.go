package proc

import (
	"context"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A Sandbox is one run of an untrusted program: with an environment that inherits
// nothing, a private home, no network if the system can cut it off, and limits of
// time and output.
type Sandbox struct {
	Name  string   // for messages
	Path  string   // the program, absolute
	Args  []string //
	Dir   string   // working directory
	Home  string   // its home, a private folder
	Stdin []byte
}

// Limits of a sandbox.
const (
	sandboxTime   = 2 * time.Minute
	sandboxOutput = 16 << 20 // bytes
)

// Run runs the program and returns its standard output. If the program fails, the
// error is of class [fault.Integrity] and has the last lines of its output, see
// [Exited].
func (s Sandbox) Run(ctx context.Context) ([]byte, error) {
	return Command{
		Name: s.Name, Path: s.Path, Args: s.Args, Dir: s.Dir, Env: PrivateEnv(s.Home), Stdin: s.Stdin,
		Limit: sandboxOutput, Timeout: sandboxTime, Offline: true, Class: fault.Integrity,
	}.Run(ctx)
}
