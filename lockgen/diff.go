package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/child"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
)

var diffVerb = &cli.Verb[program]{
	Name: "diff", Args: "[REV|FILE]", Short: "say what changed in the lock",
	Long: `Compares the lock of a git revision, HEAD unless given, or another file, with
the lock here, and says it in words: versions, packages of a closure that came,
moved and went, platforms, trust. Bytes that changed under one version are
shouted. The exit status is 0 whether or not there is a difference. --markdown
prints it as a comment on a pull request.`,
	Example: `lockgen diff                   since the last commit
lockgen diff main
lockgen diff --markdown origin/main
lockgen diff ../other/plugins.lock.toml`,
	JSON: true, Run: runDiff,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.markdown, "markdown", false, "print Markdown")
	},
}

// runDiff says what changed between an older lock and the lock here. A
// difference is a result, not a failure.
func runDiff(ctx context.Context, p *program, args []string) error {
	if len(args) > 1 {
		return fault.Errorf(fault.Usage, "run: lockgen help diff", "lockgen diff takes one revision or file, got %q", args[1])
	}
	if p.markdown && p.ui.JSON {
		return fault.Errorf(fault.Usage, "leave one of them out", "--markdown and --json are two forms of one result")
	}
	if err := p.locateLock(); err != nil {
		return err
	}
	now, _, err := p.readLock()
	if err != nil {
		return err
	}
	from := "HEAD"
	if len(args) == 1 {
		from = args[0]
	}
	old, err := p.oldVersion(ctx, from)
	if err != nil {
		return err
	}
	changes := diff.Locks(old, now)
	if p.markdown {
		p.ui.Result("%s", strings.TrimSuffix(markdown(filepath.Base(p.lock), from, changes), "\n"))
		return nil
	}
	if p.ui.JSON {
		if changes == nil {
			changes = []diff.Change{}
		}
		return p.ui.Data(map[string]any{"from": from, "lock": p.lock, "changes": changes})
	}
	for _, c := range changes {
		p.ui.Result("%s", plain.Row(c.String()))
	}
	if len(changes) == 0 {
		p.ui.Say("%s pins the same as %s", p.lock, from)
	}
	return nil
}

// oldVersion reads the lock of a file, or of a revision of git.
func (p *program) oldVersion(ctx context.Context, from string) (*lock.Lock, error) {
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		l, _, err := lock.Read(from)
		return l, err
	}
	if from == "" || strings.HasPrefix(from, "-") {
		return nil, fault.Errorf(fault.Usage, "give a revision, such as HEAD~1 or main, or a file", "%q is not a revision", from)
	}
	dir, base := filepath.Dir(p.lock), filepath.Base(p.lock)
	if _, err := git(ctx, dir, "rev-parse", "--git-dir"); err != nil {
		if fault.Of(err) == fault.Machine || ctx.Err() != nil {
			return nil, err
		}
		return nil, fault.Errorf(fault.Machine, "give the other lock as a file: lockgen diff FILE", "%s is not in a git repository: %w", p.lock, err)
	}
	if _, err := git(ctx, dir, "rev-parse", "--quiet", "--verify", "--end-of-options", from+"^{tree}"); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fault.Errorf(fault.Usage, "give a revision, such as HEAD~1 or main, or a file", "%q is neither a file nor a revision that git knows", from)
	}
	listed, err := git(ctx, dir, "ls-tree", "--name-only", from+"^{tree}", "--", base)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(listed)) == 0 {
		p.ui.Say("%s has no %s yet", from, base)
		return &lock.Lock{}, nil
	}
	data, err := git(ctx, dir, "cat-file", "blob", from+":./"+base)
	if err != nil {
		return nil, err
	}
	l, err := lock.Parse(from+":"+base, data)
	if err != nil {
		return nil, fault.Errorf(fault.Of(err), "compare with another revision", "%w", err)
	}
	return l, nil
}

// gitTime is what git may take: a partial clone fetches what it lacks.
const gitTime = 5 * time.Minute

// gitEnv is the environment without git's own variables, but for those that say
// where its settings are and how far it looks for a repository. In a hook git sets
// some that lead to the repository of the hook, wherever the lock is; the folder
// says which repository it is.
func gitEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		switch key {
		case "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM":
			return false
		}
		return strings.HasPrefix(key, "GIT_") && !strings.HasPrefix(key, "GIT_CONFIG_KEY_") && !strings.HasPrefix(key, "GIT_CONFIG_VALUE_")
	})
}

// git runs git in a folder and returns what it prints.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, fault.Errorf(fault.Machine, "install git, or give the other lock as a file", "git is not on PATH: %w", fs.ErrNotExist)
	}
	out, talk, err := child.Output(ctx, func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Dir, cmd.Env = dir, gitEnv()
		return cmd
	}, gitTime, lock.MaxSize)
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		return nil, fault.Errorf(fault.Usage, "see what git says of it, or give the other lock as a file: lockgen diff FILE", "git %s: %s", args[0], plain.Line(talk, 500))
	default:
		return nil, fault.Errorf(fault.Machine, "does git run here? otherwise give the other lock as a file: lockgen diff FILE", "git %s: %w", args[0], err)
	}
	return out, nil
}
