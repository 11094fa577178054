package kind

import (
	"path"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// mavenFile reads the program for a platform; a jar that Java runs, which is
// not unpacked; or a jar of which only the .proto files are used.
var mavenFile = Kind{
	roots: func(_ string, f lock.File) []string {
		if f.Archive != "" {
			return []string{lock.MavenProtos}
		}
		return []string{""}
	},
	rule: "protos", // are what is kept of an archive
	options: func(a *Artifact, _ *Content) archive.Options {
		switch {
		case a.File.Archive != "":
			return archive.Options{Format: "zip", Only: func(name string) bool { return path.Ext(name) == ".proto" }}
		case path.Ext(a.Key) == ".jar":
			return archive.Options{Format: "raw", RawName: lock.MavenLib + "/" + a.Key, RawData: true}
		}
		return archive.Options{Format: "raw", RawName: a.Binary}
	},
}
