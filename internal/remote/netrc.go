package remote

import (
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// Netrc gives what the user's netrc file has for the host of a URL, for
// [Options.Credential]. The file is the one that NETRC names, else .netrc
// (_netrc on Windows) in the home folder; env are the variables. It is read when
// it is first needed. One that cannot be read has nothing: the server will say
// that it wants a credential.
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
		data, err := os.ReadFile(name)
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
// does: by host, the first entry of one counts. An entry "default" is left out,
// for a password belongs to a host.
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
			macro = len(fields) > 0 // it ends with an empty line
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
