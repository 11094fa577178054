package proc

import (
	"context"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Alone is one run of a program that is not trusted with anything of the
// user's: an environment built from nothing, a private home, no network where
// the system can cut it off, bounded time and output.
type Alone struct {
	Name  string   // what messages call it
	Path  string   // the program, absolute
	Args  []string //
	Dir   string   // working directory
	Home  string   // its home, a folder of ours
	Stdin []byte
}

// aloneTime and aloneOutput bound a run.
const (
	aloneTime   = 2 * time.Minute
	aloneOutput = 16 << 20 // bytes
)

// Run runs the program and returns its standard output. A program that does not
// end well is an error of class Integrity that holds the last lines of what it
// said, see [Exited].
func (a Alone) Run(ctx context.Context) ([]byte, error) {
	return Command{
		Name: a.Name, Path: a.Path, Args: a.Args, Dir: a.Dir, Env: PrivateEnv(a.Home), Stdin: a.Stdin,
		Limit: aloneOutput, Timeout: aloneTime, Offline: true, Class: fault.Integrity,
	}.Run(ctx)
}
