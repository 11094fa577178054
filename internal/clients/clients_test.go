package clients

import (
	"os"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestOnce: however often they are wanted, each client is looked for once, and
// asked once how it is configured.
func TestOnce(t *testing.T) {
	testenv.Real(t, "it starts npm, pip, cargo and Go")
	dir := t.TempDir()
	for name, value := range map[string]string{
		"npm_config_userconfig": os.DevNull, "npm_config_globalconfig": os.DevNull, "npm_config_registry": "",
		"PIP_INDEX_URL": "https://pip.example.com/simple/", "GOPROXY": "https://go.example.com",
	} {
		t.Setenv(name, value)
	}
	var s Set
	var starts testenv.Starts
	ctx := proc.Watch(t.Context(), starts.Add)
	var noPip, noGo, noNPM error
	for range 2 {
		var pip *pip.Client
		if pip, noPip = s.Pip(ctx); noPip == nil {
			if c, err := s.PipConfig(ctx, pip, dir, ""); err != nil || c.Index != "https://pip.example.com/simple/" {
				t.Errorf("%+v %v", c, err)
			}
		}
		var golang *gotool.Client
		if golang, noGo = s.Go(ctx); noGo == nil {
			if c, err := s.GoConfig(ctx, golang, ""); err != nil || c.Proxy != "https://go.example.com" {
				t.Errorf("%+v %v", c, err)
			}
		}
		if _, noNPM = s.NPM(ctx); noNPM == nil {
			c, err := npm.ReadConfig(ctx, dir, s.UserNPM, s.NPM)
			if err != nil {
				t.Fatal(err)
			}
			if address, err := c.Registry(ctx, ""); err != nil || address == "" {
				t.Errorf("%q %v", address, err)
			}
		}
		_, _ = s.Cargo(ctx)
	}
	starts.Once(t, nil)
	for text, missing := range map[string]error{" -m pip ": noPip, "env -json GOPROXY": noGo, "npm config get registry": noNPM} {
		if n := starts.Count(text); n != 1 && missing == nil {
			t.Errorf("%d times: %s", n, text)
		}
	}
}
