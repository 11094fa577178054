package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// runCache looks after the cache as a whole.
func runCache(ctx context.Context, a *app, args []string) error {
	const synopsis = "fetch cache verify [--repair], or fetch cache clear [--older-than AGE] [--dry-run]"
	if len(args) != 1 || len(a.rest) > 0 {
		return fault.Errorf(fault.Usage, synopsis, "cache takes one of verify and clear")
	}
	s, err := store.Open(a.opts.cacheDir)
	if err != nil {
		return err
	}
	switch args[0] {
	case "verify":
		return a.verifyCache(ctx, s)
	case "clear":
		return a.clearCache(ctx, s)
	}
	return fault.Errorf(fault.Usage, synopsis, "cache has no command %q", args[0])
}

// verifyCache prints what is damaged. What was not repaired ends with class
// Integrity.
func (a *app) verifyCache(ctx context.Context, s *store.Store) error {
	bar := a.ui.Progress("reading")
	v, err := s.Verify(ctx, a.opts.repair, bar.Grow, bar.Add)
	bar.Done()
	if err != nil {
		return err
	}
	left := 0
	for _, d := range v.Damaged {
		if !d.Repaired {
			left++
		}
	}
	var damage error
	if left > 0 {
		mend := "remove what is damaged: fetch cache verify --repair"
		if a.opts.repair {
			mend = "remove it yourself; it could not be removed"
		}
		damage = fault.About(fault.AboutCache, fault.Errorf(fault.Integrity, mend, "%s: %d of %d blobs and trees are damaged", s.Dir(), left, v.Blobs+v.Trees))
	}
	if a.opts.json {
		if err := a.ui.Data(struct {
			Cache string `json:"cache"`
			Mend  string `json:"mend,omitempty"` // where something is damaged
			store.Verified
		}{s.Dir(), fault.Mend(damage), v}); err != nil {
			return err
		}
		if damage != nil {
			return exitStatus(fault.Of(damage)) // the document has it all
		}
		return nil
	}
	for _, d := range v.Damaged {
		what := "damaged"
		if d.Repaired {
			what = "damaged and removed; its next use fetches it again"
		}
		a.ui.Result("%s: %s %s: %s", d.Path, d.Kind, what, d.Why)
	}
	a.ui.Say("%s: read %d blobs and %d trees, %s", s.Dir(), v.Blobs, v.Trees, ui.Size(v.Bytes))
	return damage
}

// clearCache frees the space of what was not used for some time.
func (a *app) clearCache(ctx context.Context, s *store.Store) error {
	age, err := lock.ParseAge(a.opts.olderThan)
	if err != nil {
		return fault.Errorf(fault.Usage, `write hours, days or weeks: "12h", "30d", "2w"`, "--older-than %q is not an age", a.opts.olderThan)
	}
	c, err := s.Clear(ctx, age, a.opts.dryRun)
	if err != nil {
		return err
	}
	if a.opts.json {
		return a.ui.Data(struct {
			Cache  string `json:"cache"`
			DryRun bool   `json:"dry_run"`
			store.Cleared
		}{s.Dir(), a.opts.dryRun, c})
	}
	verb := "freed"
	if a.opts.dryRun {
		verb = "would free"
	}
	var kept []string
	if c.KeptBlobs+c.KeptTrees > 0 {
		kept = append(kept, fmt.Sprintf("kept %d blobs and %d trees, %s", c.KeptBlobs, c.KeptTrees, ui.Size(c.Kept)))
	}
	if c.InUse > 0 {
		kept = append(kept, fmt.Sprintf("%d of them in use now", c.InUse))
	}
	a.ui.Result("%s", strings.Join(append([]string{
		fmt.Sprintf("%s %s on the disk (%d blobs, %d trees)", verb, ui.Size(c.Freed), c.Blobs, c.Trees)}, kept...), "; "))
	return nil
}
