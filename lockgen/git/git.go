// Package git runs git in the repository of a folder.
package git

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/child"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// Lock reads another version of a lock: from a file, or from a revision of git.
// It returns nil if the revision has no lock.
func Lock(ctx context.Context, name, from string) (*lock.Lock, error) {
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		l, _, err := lock.Read(from)
		return l, err
	}
	if from == "" || strings.HasPrefix(from, "-") {
		return nil, fault.Errorf(fault.Usage, "give a revision, such as HEAD~1 or main, or a file", "%q is not a revision", from)
	}
	dir, base := filepath.Dir(name), filepath.Base(name)
	env := gitEnv()
	if _, err := runIn(ctx, dir, env, "rev-parse", "--git-dir"); err != nil {
		if fault.Of(err) == fault.Machine || ctx.Err() != nil {
			return nil, err
		}
		env = append(env, workTree()...)
		if out, inside := runIn(ctx, dir, env, "rev-parse", "--is-inside-work-tree"); inside == nil && string(bytes.TrimSpace(out)) == "true" {
			err = nil
		}
		if err != nil {
			return nil, fault.Errorf(fault.Machine, "give the other lock as a file: lockgen diff FILE", "%s is not in a git repository: %w", name, err)
		}
	}
	if _, err := runIn(ctx, dir, env, "rev-parse", "--quiet", "--verify", "--end-of-options", from+"^{tree}"); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fault.Errorf(fault.Usage, "give a revision, such as HEAD~1 or main, or a file", "%q is neither a file nor a revision that git knows", from)
	}
	listed, err := runIn(ctx, dir, env, "ls-tree", "--name-only", from+"^{tree}", "--", base)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(listed)) == 0 {
		return nil, nil
	}
	data, err := runIn(ctx, dir, env, "cat-file", "blob", from+":./"+base)
	if err != nil {
		return nil, err
	}
	l, err := lock.Parse(from+":"+base, data)
	if err != nil {
		return nil, fault.Errorf(fault.Of(err), "compare with another revision", "%w", err)
	}
	return l, nil
}

// gitTime limits a run of git, which may have to fetch objects of a partial
// clone.
const gitTime = 5 * time.Minute

// gitEnv returns the environment without git's own variables, except those in
// passing. In a hook, git sets variables that point to the hook's repository;
// the lock may be in another one, which the folder determines.
func gitEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		return strings.HasPrefix(key, "GIT_") && !slices.Contains(passing, key) && !strings.HasPrefix(key, "GIT_CONFIG_KEY_") && !strings.HasPrefix(key, "GIT_CONFIG_VALUE_")
	})
}

// passing lists variables of git (`git help git`, "Environment Variables") that
// say where its settings are, how far up it looks for a repository, and how it
// reaches the server of a partial clone.
var passing = []string{
	"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM",
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_TERMINAL_PROMPT", "GIT_PROXY_COMMAND", "GIT_HTTP_PROXY_AUTHMETHOD", "GIT_PROXY_SSL_CAINFO",
	"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_NO_VERIFY", "GIT_ALLOW_PROTOCOL", "GIT_PROTOCOL_FROM_USER", "GIT_NO_LAZY_FETCH",
}

// workTree returns the variables that name a repository apart from its work tree,
// as absolute paths: they count for a folder that is in no other repository. It
// returns nil unless both are set, since a hook sets GIT_DIR for any folder.
func workTree() (env []string) {
	for _, key := range []string{"GIT_DIR", "GIT_WORK_TREE"} {
		path, err := filepath.Abs(os.Getenv(key))
		if os.Getenv(key) == "" || err != nil {
			return nil
		}
		env = append(env, key+"="+path)
	}
	return env
}

// Run runs git in a folder and returns what it prints.
func Run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	return runIn(ctx, dir, gitEnv(), args...)
}

func runIn(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, fault.Missingf(fault.Machine, "install git, or give the other lock as a file", "git is not on PATH")
	}
	out, talk, err := child.Output(ctx, func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Dir, cmd.Env = dir, env
		return cmd
	}, gitTime, lock.MaxSize)
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		return nil, fault.Errorf(fault.Usage, "see git's message, or give the other lock as a file: lockgen diff FILE", "git %s: %s", args[0], plain.Line(talk, 500))
	default:
		return nil, fault.Errorf(fault.Machine, "make sure that git runs, or give the other lock as a file: lockgen diff FILE", "git %s: %w", args[0], err)
	}
	return out, nil
}

// Commit asks the repository at a URL for the commit of a tag, a branch, HEAD,
// or an abbreviated commit of one of these. It returns "" for none.
func Commit(ctx context.Context, origin, rev string) (string, error) {
	out, err := Run(ctx, "", "ls-remote", "--", origin)
	if err != nil {
		return "", err
	}
	best, rank := "", 0
	for line := range strings.Lines(string(out)) {
		commit, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		for r, yes := range []bool{len(rev) >= 7 && strings.HasPrefix(commit, rev), ref == "refs/heads/"+rev, ref == "refs/tags/"+rev, ref == "refs/tags/"+rev+"^{}", ref == rev} {
			if yes && r+1 > rank {
				best, rank = commit, r+1
			}
		}
	}
	return best, nil
}
