package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// programs are the main packages of a release, by the names of their folders.
var programs = []string{"fetch", "lockgen"}

// platform makes the files of one platform.
func (r *release) platform(ctx context.Context, work, dir string, p lock.Platform, papers []member, bill *bill) error {
	number := strings.TrimPrefix(r.version, "v")
	members := append([]member{}, papers...)
	for _, program := range programs {
		file := filepath.Join(work, p.Name, program+p.Exe())
		info, err := r.compile(ctx, program, file, p.GOOS, p.GOARCH)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		bill.add(program, p.Name, data, info)
		members = append(members, member{program + p.Exe(), data, true})
		if program == "fetch" {
			alone := filepath.Join(dir, fmt.Sprintf("fetch-%s-%s%s", number, p.Name, p.Exe()))
			if err := os.WriteFile(alone, data, 0o755); err != nil {
				return err
			}
		}
	}
	folder := fmt.Sprintf("buck2-protobuf-%s-%s", number, p.Name)
	if p.OS == "windows" {
		return pack(filepath.Join(dir, folder+".zip"), folder, members, r.time, zipped)
	}
	return pack(filepath.Join(dir, folder+".tar.gz"), folder, members, r.time, tarred)
}

// compile makes one program, and returns what Go wrote into it about itself.
func (r *release) compile(ctx context.Context, program, file, goos, goarch string) (*buildinfo.BuildInfo, error) {
	err := r.command(ctx, []string{"GOOS=" + goos, "GOARCH=" + goarch}, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", file, "./"+program)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, err
	}
	got := map[string]string{"version": info.Main.Version, "Go": info.GoVersion}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	for key, want := range map[string]string{"version": r.version, "Go": toolchain, "vcs.revision": r.commit, "vcs.modified": "false", "CGO_ENABLED": "0", "-trimpath": "true"} {
		if got[key] != want {
			return nil, fmt.Errorf("%s has %s %q, expected %q", program, key, got[key], want)
		}
	}
	return info, nil
}

// command runs a program in the checkout, with nothing in its environment that
// changes the bytes that Go makes.
func (r *release) command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GODEBUG=", "GOEXPERIMENT=", "GOFIPS140=off", "GOFLAGS=", "GOTOOLCHAIN="+toolchain, "GOWORK=off")
	cmd.Env = append(cmd.Env, env...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, talk.String())
	}
	return nil
}

// papers are the files of every archive: the licence, what the programs are, and
// what they themselves write about their command lines.
func (r *release) papers(ctx context.Context, work string) ([]member, error) {
	var members []member
	for _, name := range []string{"CHANGELOG.md", "LICENSE", "README.md"} {
		data, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, data, false})
	}
	for _, program := range programs {
		file := filepath.Join(work, "here", program)
		if runtime.GOOS == "windows" {
			file += ".exe"
		}
		if _, err := r.compile(ctx, program, file, runtime.GOOS, runtime.GOARCH); err != nil {
			return nil, err
		}
		for _, w := range []struct {
			name string
			args []string
		}{
			{"completions/" + program + ".bash", []string{"completion", "bash"}},
			{"completions/_" + program, []string{"completion", "zsh"}},
			{"completions/" + program + ".fish", []string{"completion", "fish"}},
			{"completions/" + program + ".ps1", []string{"completion", "powershell"}},
			{"man/man1/" + program + ".1", []string{"__man"}},
		} {
			data, err := exec.CommandContext(ctx, file, w.args...).Output()
			if err != nil || len(data) == 0 {
				return nil, fmt.Errorf("%s %s: %w, %d bytes", program, strings.Join(w.args, " "), err, len(data))
			}
			members = append(members, member{w.name, data, false})
		}
	}
	return members, nil
}
