package npm

import (
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// cooldownFile writes the input of the code that we inject into a package
// manager. It returns the paths of that file and of the record that the code
// will write.
func cooldownFile(g *cooldown.Rule, scratch string) (in, out string, err error) {
	in, out = filepath.Join(scratch, "cooldown.json"), filepath.Join(scratch, "released.json")
	rule := map[string]any{"record": out, "before": nil, "except": append([]string{}, g.Except...)}
	if !g.Before.IsZero() {
		rule["before"] = g.Before.UnixMilli()
	}
	data, err := json.Marshal(rule)
	if err != nil {
		return "", "", err
	}
	return in, out, os.WriteFile(in, data, 0o600)
}

// readRecord reads release times, in milliseconds, by NAME@VERSION or by file
// name. Versions without a time are not included.
func readRecord(file string) (map[string]time.Time, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var record map[string]float64
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, fault.Errorf(fault.Internal, "", "the record of release times: %w", err)
	}
	times := map[string]time.Time{}
	for key, ms := range record {
		if ms > 0 && ms < 1<<52 {
			times[key] = time.UnixMilli(int64(ms)).UTC()
		}
	}
	return times, nil
}

//go:embed cooldown.js
var npmCooldown string
