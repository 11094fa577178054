package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

var statsVerb = &cli.Verb[app]{
	Name: "stats", Short: "show where plugins came from, over all runs",
	Long: `For the cache, package managers, our own unpacker, OCI registries and HTTP: the
number of uses and failures, the bytes, and the time.`,
	Example: `fetch stats
fetch stats --json --reset`,
	JSON: true, Run: runStats,
	Flags: func(f *pflag.FlagSet, a *app) {
		f.BoolVar(&a.opts.reset, "reset", false, "reset the counters")
	},
}

// statsFile is the file in the cache that holds the totals of all runs. Each
// run adds to it once, under a lock, so its size does not grow with their
// number.
const statsFile = "stats.json"

// A total counts the use of one tier.
type total struct {
	Hits     int64   `json:"hits"`
	Failures int64   `json:"failures"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
}

// totals is the content of the file.
type totals struct {
	Since time.Time               `json:"since"` // of the first run that counted
	Tiers map[install.Tier]*total `json:"tiers"`
}

func (t *totals) tier(name install.Tier) *total {
	if t.Tiers == nil {
		t.Tiers = map[install.Tier]*total{}
	}
	if t.Tiers[name] == nil {
		t.Tiers[name] = &total{}
	}
	return t.Tiers[name]
}

// counts are the totals of this run. Several goroutines may add to them.
type counts struct {
	mu  sync.Mutex
	run totals
}

func (c *counts) add(e install.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.run.tier(e.Tier)
	if e.Err != nil {
		t.Failures++
	} else {
		t.Hits++
	}
	t.Bytes += e.Bytes
	t.Seconds += e.Duration.Seconds()
}

// save adds the counts of this run to the file. It never fails the run, and does not
// wait long for other processes.
func (c *counts) save(s *store.Store, u *ui.UI) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.run.Tiers) == 0 {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	err := s.Update(ctx, statsFile, func(old []byte) ([]byte, error) {
		all, err := parseTotals(old)
		if err != nil {
			u.Warn("%s: %v; counting from zero", statsFile, err)
		}
		for name, t := range c.run.Tiers {
			sum := all.tier(name)
			sum.Hits += t.Hits
			sum.Failures += t.Failures
			sum.Bytes += t.Bytes
			sum.Seconds += t.Seconds
		}
		return json.Marshal(all)
	})
	c.run = totals{}
	if err != nil { // such as a read-only cache
		u.Detail("not counted: %v", err)
	}
}

// parseTotals parses the file.
func parseTotals(data []byte) (*totals, error) {
	fresh := &totals{Since: time.Now().UTC().Truncate(time.Second)}
	if data == nil {
		return fresh, nil
	}
	var t totals
	if err := json.Unmarshal(data, &t); err != nil {
		return fresh, err
	}
	return &t, nil
}

// report is what stats prints as JSON. Watch the numbers at the top: they show when
// builds suddenly download from the origin.
type report struct {
	Since              time.Time                `json:"since"`
	CacheHits          int64                    `json:"cache_hits"`
	PackageManagerHits int64                    `json:"package_manager_hits"`
	UnpackerHits       int64                    `json:"unpacker_hits"`
	OrasHits           int64                    `json:"oras_hits"`
	HTTPFallbacks      int64                    `json:"http_fallbacks"`
	Tiers              map[install.Tier]average `json:"tiers"`
}

type average struct {
	Hits           int64   `json:"hits"`
	Failures       int64   `json:"failures"`
	Bytes          int64   `json:"bytes"`
	AverageSeconds float64 `json:"average_seconds"`
}

func (t *total) average() average {
	a := average{t.Hits, t.Failures, t.Bytes, 0}
	if n := t.Hits + t.Failures; n > 0 {
		a.AverageSeconds = t.Seconds / float64(n)
	}
	return a
}

// runStats prints where plugins came from since the last reset.
func runStats(ctx context.Context, a *app, _ []string) error {
	s, err := store.Open(a.opts.cacheDir)
	if err != nil {
		return err
	}
	data, err := s.Read(statsFile)
	if err != nil {
		return err
	}
	if a.opts.reset && data != nil {
		// Read and reset in one step, so that no run is lost in between.
		if err := s.Update(ctx, statsFile, func(old []byte) ([]byte, error) {
			data = old
			return nil, nil
		}); err != nil {
			return err
		}
	}
	t, err := parseTotals(data)
	if err != nil && a.opts.reset {
		a.ui.Warn("%s: %v; it told nothing", statsFile, err)
	} else if err != nil {
		return fault.Errorf(fault.Machine, "run: fetch stats --reset", "%s in %s: %w", statsFile, s.Dir(), err)
	}
	r := report{
		Since:              t.Since,
		CacheHits:          t.tier(install.FromCache).Hits,
		PackageManagerHits: t.tier(install.FromManager).Hits,
		UnpackerHits:       t.tier(install.FromUnpacker).Hits,
		OrasHits:           t.tier(install.FromOCI).Hits,
		HTTPFallbacks:      t.tier(install.FromHTTP).Hits,
		Tiers:              map[install.Tier]average{},
	}
	for _, name := range install.Tiers() {
		r.Tiers[name] = t.tier(name).average()
	}
	if a.ui.JSON {
		return a.ui.Data(r)
	}
	w := ui.NewTable()
	w.Line("tier\thits\tfailures\tsize\taverage")
	for _, name := range install.Tiers() {
		v := r.Tiers[name]
		w.Line("%s\t%d\t%d\t%s\t%s", name, v.Hits, v.Failures, ui.Size(v.Bytes),
			time.Duration(v.AverageSeconds*float64(time.Second)).Round(10*time.Microsecond))
	}
	a.ui.Result("since %s\n%s", r.Since.Format(time.DateTime+" MST"), w)
	if a.opts.reset {
		a.ui.Say("the counters were reset")
	}
	return nil
}
