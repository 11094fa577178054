package origin

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// plainWay returns the way to a file with a URL.
func plainWay(_ context.Context, o *Origins, e *lock.Entry, key, _ string) (*way, error) {
	f := e.Locked.Files[key]
	return &way{client: o.Hosts(e.Locked.Source), addresses: one(f.URL), size: f.Size}, nil
}
