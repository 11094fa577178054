package remote

import (
	"encoding/base64"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/input"
)

// Netrc returns a function for [Options.Credential] that looks up the host of a
// URL in the user's netrc file: the file named by NETRC, or else .netrc (_netrc
// on Windows) in the home folder; env gets the variables. The file is read on
// first use. A file that cannot be read counts as empty: the server will then
// say that it needs a credential.
func Netrc(env func(string) string) func(u *url.URL) Credential {
	logins := sync.OnceValue(func() map[string]Credential {
		name := env("NETRC")
		if name == "" {
			home, base := env("HOME"), ".netrc"
			if runtime.GOOS == "windows" {
				home, base = env("USERPROFILE"), "_netrc"
			}
			if home == "" {
				return nil
			}
			name = filepath.Join(home, base)
		}
		data, err := input.File(name)
		if err != nil {
			return nil
		}
		return parseNetrc(string(data))
	})
	return func(u *url.URL) Credential {
		return logins()[strings.ToLower(u.Hostname())]
	}
}

// parseNetrc reads a netrc file (GNU inetutils, "The .netrc file") as cmd/go
// does: the first entry of a host counts, and "default" is ignored, since a
// password belongs to one host.
func parseNetrc(text string) map[string]Credential {
	logins := map[string]Credential{}
	var host, login, password string
	macro := false
	flush := func() {
		if host != "" && login != "" && password != "" {
			if _, ok := logins[host]; !ok {
				logins[host] = Credential{Name: "that of the netrc file", Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))}
			}
		}
		host, login, password = "", "", ""
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if macro {
			macro = len(fields) > 0 // a macro ends with an empty line
			continue
		}
		for i := 0; i < len(fields) && !macro; i++ {
			word, value := fields[i], ""
			if i+1 < len(fields) {
				value = fields[i+1]
			}
			switch {
			case strings.HasPrefix(word, "#"):
				i = len(fields)
			case word == "default":
				flush()
			case word == "macdef":
				macro = true
			case word == "machine":
				flush()
				host = strings.ToLower(value)
				i++
			case word == "login":
				login = value
				i++
			case word == "password":
				password = value
				i++
			case word == "account":
				i++
			}
		}
	}
	flush()
	return logins
}
