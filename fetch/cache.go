package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

var cacheVerifyVerb = &cli.Verb[app]{
	Name: "cache verify", Short: "verify the whole cache and report damage",
	Long: `Hashes every file and every installed plugin. Damaged ones are listed, and the
exit status is 5. With --repair they are removed, and fetched again on next use.`,
	Example: `fetch cache verify
fetch cache verify --repair`,
	JSON: true, Run: verifyCache,
	Flags: func(f *pflag.FlagSet, a *app) {
		f.BoolVar(&a.opts.repair, "repair", false, "remove what is damaged; the next use fetches it again")
	},
}

var cacheClearVerb = &cli.Verb[app]{
	Name: "cache clear", Short: "delete files and folders that were not used recently",
	Long: `Keeps what is in use, and what was used within the last hour. Sizes are counted
as by du.`,
	Example: `fetch cache clear --older-than 30d
fetch cache clear --older-than 2w --dry-run`,
	JSON: true, Run: clearCache,
	Flags: func(f *pflag.FlagSet, a *app) {
		f.StringVar(&a.opts.olderThan, "older-than", "1h", "remove what was not used for that long; `AGE` is for example 12h, 30d or 2w (default: 1h)")
		f.BoolVar(&a.opts.dryRun, "dry-run", false, "only print what would be removed")
	},
}

// verifyCache prints what is damaged. Damage that was not repaired is an error of
// class [fault.Integrity].
func verifyCache(ctx context.Context, a *app, _ []string) error {
	s, err := store.Open(a.opts.cacheDir)
	if err != nil {
		return err
	}
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
		hint := "remove what is damaged: fetch cache verify --repair"
		switch {
		case a.opts.repair && slices.ContainsFunc(v.Damaged, func(d store.Damage) bool { return d.InUse }):
			hint = "wait until nothing runs from the cache, then run: fetch cache verify --repair"
		case a.opts.repair:
			hint = "remove it yourself; it could not be removed"
		}
		damage = fault.About(fault.AboutCache, fault.Errorf(fault.Integrity, hint, "%s: %d of %d blobs, trees and other files are damaged", s.Dir(), left, v.Blobs+v.Trees+v.Records+v.Builds))
	}
	if a.ui.JSON {
		if err := a.ui.Data(struct {
			Cache string `json:"cache"`
			Hint  string `json:"hint,omitempty"` // if something is damaged
			Mend  string `json:"mend,omitempty"` // the hint under its old name, until version 1.0
			store.Verified
		}{s.Dir(), fault.Hint(damage), fault.Hint(damage), v}); err != nil {
			return err
		}
		if damage != nil {
			return exitStatus(fault.Of(damage)) // the document has the error
		}
		return nil
	}
	for _, d := range v.Damaged {
		what := "damaged"
		switch {
		case d.Repaired:
			what = "damaged and removed; its next use fetches it again"
		case d.InUse:
			what = "damaged, not removed because a program uses it; its next use fetches it again"
		}
		a.ui.Result("%s: %s %s: %s", d.Path, d.Kind, what, d.Why)
	}
	more := ""
	if v.Records > 0 {
		more = fmt.Sprintf(", %d records", v.Records)
	}
	if v.Builds > 0 {
		more += fmt.Sprintf(", %d files of Go's build cache", v.Builds)
	}
	a.ui.Say("%s: read %d blobs and %d trees%s, %s", s.Dir(), v.Blobs, v.Trees, more, ui.Size(v.Bytes))
	return damage
}

// clearCache deletes what was not used for some time.
func clearCache(ctx context.Context, a *app, _ []string) error {
	s, err := store.Open(a.opts.cacheDir)
	if err != nil {
		return err
	}
	age, err := manifest.ParseAge(a.opts.olderThan)
	if err != nil {
		return fault.Errorf(fault.Usage, `write hours, days or weeks: "12h", "30d", "2w"`, "--older-than %q is not an age", a.opts.olderThan)
	}
	c, err := s.Clear(ctx, age, a.opts.dryRun)
	if err != nil {
		return err
	}
	if a.ui.JSON {
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
