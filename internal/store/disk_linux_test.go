package store

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func init() {
	children["full"] = childFull
	children["read-only"] = childReadOnly
}

// inMounts runs a part in a mount namespace of its own, as root in it, where it
// may mount what it likes.
func inMounts(t *testing.T, part string) {
	t.Helper()
	cmd := child(part, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil || strings.Contains(string(out), errNoMount.Error()) {
		t.Skipf("this machine lets us mount nothing: %v %s", err, out)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

var errNoMount = errors.New("cannot mount")

// mount puts a small empty file system at the cache folder.
func mount(size string) (string, error) {
	dir := os.Getenv(EnvDir)
	// Keep the mount out of the namespace that we came from.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("%w: %w", errNoMount, err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size+",mode=700"); err != nil {
		return "", fmt.Errorf("%w: %w", errNoMount, err)
	}
	return dir, nil
}

// TestDiskFull runs out of space and out of inodes on a real file system.
func TestDiskFull(t *testing.T) { inMounts(t, "full") }

// wantMachine checks an error of the disk.
func wantMachine(what string, err error, dir string, text, hint string) error {
	if fault.Of(err) != fault.Machine || !strings.Contains(fmt.Sprint(err), text) || !strings.Contains(fmt.Sprint(err), dir) || !strings.Contains(fault.Hint(err), hint) {
		return fmt.Errorf("%s: got %v (class %v, hint %q), expected %q, %s and hint %q", what, err, fault.Of(err), fault.Hint(err), text, dir, hint)
	}
	return nil
}

func childFull() error {
	ctx := context.Background()
	dir, err := mount("size=1m,nr_inodes=40")
	if err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	big := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	hint := "free space on the disk of " + dir + ", or set " + EnvDir
	var errs []error
	errs = append(errs, wantMachine("blob", s.AddBlob(ctx, digestOf(big), give(big)), dir, "the disk is full", hint))
	_, err = s.AddUnknown(ctx, 4<<20, false, give(big), func(Sums) error { return nil })
	errs = append(errs, wantMachine("unknown blob", err, dir, "the disk is full", hint))
	// A download that names the failure of the disk as one of the network.
	errs = append(errs, wantMachine("renamed error", s.AddBlob(ctx, digestOf(big), func(_ context.Context, in *Ingest) error {
		_, err := io.WriteString(in, big)
		return fault.Errorf(fault.Upstream, "", "download failed: %w", err)
	}), dir, "the disk is full", hint))

	scratch, cleanup, err := s.Scratch(ctx, "x")
	if err != nil {
		return err
	}
	outside, err := os.MkdirTemp("", "store-test-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(outside)
	f, err := os.Create(filepath.Join(outside, "a.tgz"))
	if err != nil {
		return err
	}
	f.Write(tarball(map[string]string{"big": big}))
	_, err = archive.Unpack(ctx, f, scratch, archive.Options{Format: "tar.gz"})
	errs = append(errs, wantMachine("unpacking", err, scratch, "the disk is full", "free space on the disk of "+scratch))
	if err := os.WriteFile(filepath.Join(outside, "big"), []byte(big), 0o644); err != nil {
		return err
	}
	_, err = archive.CopyTree(ctx, outside, filepath.Join(scratch, "copy"))
	errs = append(errs, wantMachine("copying", err, scratch, "the disk is full", "free space"))
	cleanup()

	// Many small files: no inodes are left.
	many := map[string]string{}
	for i := range 60 {
		many[fmt.Sprint("f", i)] = "hello"
	}
	m, err := os.Create(filepath.Join(outside, "m.tgz"))
	if err != nil {
		return err
	}
	m.Write(tarball(many))
	files, err := archive.Unpack(ctx, m, "", archive.Options{Format: "tar.gz"})
	if err != nil {
		return err
	}
	tree, err := archive.TreeHash(files)
	if err != nil {
		return err
	}
	_, err = s.Tree(ctx, tree, func(ctx context.Context, dir string) error {
		_, err := archive.Unpack(ctx, m, dir, archive.Options{Format: "tar.gz"})
		return err
	})
	errs = append(errs, wantMachine("tree", err, dir, "the disk is full", "free space"))

	// Nothing is left, and what fits still works.
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) > 0 {
		errs = append(errs, fmt.Errorf("left %v, %v", left, err))
	}
	errs = append(errs, s.AddBlob(ctx, digestOf("small"), give("small")))
	return errors.Join(errs...)
}

// TestReadOnly works from a read-only file system that has everything.
func TestReadOnly(t *testing.T) { inMounts(t, "read-only") }

func childReadOnly() error {
	ctx := context.Background()
	dir, err := mount("size=4m")
	if err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	tree, err := archive.TreeHash([]archive.File{{Path: "a", Size: 1, SHA256: sha256.Sum256([]byte("a"))}})
	if err != nil {
		return err
	}
	build := func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o644)
	}
	if err := s.AddBlob(ctx, digestOf("content"), give("content")); err != nil {
		return err
	}
	if err := s.AddBlob(ctx, digestOf("damaged"), give("damaged")); err != nil {
		return err
	}
	damagedName := s.blobPath(digestOf("damaged"))
	if err := errors.Join(os.Chmod(damagedName, 0o644), os.WriteFile(damagedName, []byte("DAMAGED"), 0o644)); err != nil {
		return err
	}
	path, err := s.Tree(ctx, tree, build)
	if err != nil {
		return err
	}
	remount := func(flags uintptr) error {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			return fmt.Errorf("%w: %w", errNoMount, err)
		}
		return nil
	}
	if err := remount(syscall.MS_RDONLY); err != nil {
		return err
	}

	var errs []error
	never := func(context.Context, string) error { return errors.New("built again") }
	s, err = Open(dir)
	if err != nil {
		return err
	}
	f, err := s.Blob(ctx, digestOf("content"))
	if err != nil {
		errs = append(errs, fmt.Errorf("blob: %w", err))
	} else {
		f.Close()
	}
	errs = append(errs, s.AddBlob(ctx, digestOf("content"), func(context.Context, *Ingest) error { return errors.New("fetched again") }))
	if got, err := s.Tree(ctx, tree, never); err != nil || got != path {
		errs = append(errs, fmt.Errorf("tree: %s, %w", got, err))
	}
	if _, err := s.Blob(ctx, digestOf("damaged")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "is damaged") {
		errs = append(errs, fmt.Errorf("damaged blob: %w", err))
	}
	const text, hint = "the file system is read-only", "writable, or set " + EnvDir
	errs = append(errs, wantMachine("new blob", s.AddBlob(ctx, digestOf("new"), give("new")), dir, text, hint))
	errs = append(errs, wantMachine("healing", s.AddBlob(ctx, digestOf("damaged"), give("damaged")), dir, text, hint))
	_, err = s.AddUnknown(ctx, 10, false, give("new"), func(Sums) error { return nil })
	errs = append(errs, wantMachine("new unknown blob", err, dir, text, hint))
	_, _, err = s.Scratch(ctx, "x")
	errs = append(errs, wantMachine("scratch", err, dir, text, hint))
	_, err = s.Tree(ctx, digestOf("other tree").SHA256, build)
	errs = append(errs, wantMachine("new tree", err, dir, text, hint))

	// A tree whose stamp was lost is hashed and used all the same.
	if err := remount(0); err != nil {
		return err
	}
	if err := os.Remove(path + ".ok"); err != nil {
		return err
	}
	if err := remount(syscall.MS_RDONLY); err != nil {
		return err
	}
	if got, err := s.Tree(ctx, tree, never); err != nil || got != path {
		errs = append(errs, fmt.Errorf("tree without stamp: %s, %w", got, err))
	}
	return errors.Join(errs...)
}

// tarball is a tar.gz of files.
func tarball(files map[string]string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for name, body := range files {
		t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))})
		io.WriteString(t, body)
	}
	t.Close()
	z.Close()
	return b.Bytes()
}
