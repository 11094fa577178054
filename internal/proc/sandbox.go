package proc

import (
	"context"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A Sandbox is one run of a program that is not trusted with anything of the
// user's: an environment built from nothing, a private home, no network where
// the system can cut it off, bounded time and output.
type Sandbox struct {
	Name  string   // what messages call it
	Path  string   // the program, absolute
	Args  []string //
	Dir   string   // working directory
	Home  string   // its home, a folder of ours
	Stdin []byte
}

// sandboxTime and sandboxOutput bound a run.
const (
	sandboxTime   = 2 * time.Minute
	sandboxOutput = 16 << 20 // bytes
)

// Run runs the program and returns its standard output. A program that does not
// end well is an error of class Integrity that holds the last lines of what it
// said, see [Exited].
func (s Sandbox) Run(ctx context.Context) ([]byte, error) {
	return Command{
		Name: s.Name, Path: s.Path, Args: s.Args, Dir: s.Dir, Env: PrivateEnv(s.Home), Stdin: s.Stdin,
		Limit: sandboxOutput, Timeout: sandboxTime, Offline: true, Class: fault.Integrity,
	}.Run(ctx)
}
