package resolve

import (
	"context"
	"net/url"
	"path"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// plain locks plugins that lie at a URL for each platform. No digest is known
// beforehand: the first download is believed.
type plain struct {
	client *remote.Client
}

func (s *plain) Resolve(ctx context.Context, w *Want, platforms []lock.Platform) (*Resolution, error) {
	res := &Resolution{Trust: "first-use"}
	byURL := map[string]*Artifact{}
	keys := map[string]int{}
	for _, p := range platforms {
		address := w.url(p)
		if err := lock.CheckURL(address); err != nil {
			return nil, err
		}
		a := byURL[address]
		if a == nil {
			var err error
			if a, err = s.artifact(w, p, address); err != nil {
				return nil, err
			}
			byURL[address] = a
			keys[a.Key]++
			res.Artifacts = append(res.Artifacts, a)
		}
		a.Platforms = append(a.Platforms, p.Name)
	}
	for _, a := range res.Artifacts {
		if keys[a.Key] > 1 { // one file name in several folders
			a.Key = a.Platforms[0] + "/" + a.Key
		}
		if err := lock.CheckPath(a.Key); err != nil {
			return nil, fault.Errorf(fault.Usage, "correct the source", "%s: %w", remote.Redact(a.File.URL), err)
		}
	}
	return res, nil
}

func (s *plain) artifact(w *Want, p lock.Platform, address string) (*Artifact, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "correct the source", "%s is not a URL", remote.Redact(address))
	}
	archive, err := lock.Archive(address)
	if err != nil {
		return nil, err
	}
	a := &Artifact{
		Key:      path.Base(u.Path),
		Label:    path.Base(u.Path),
		File:     lock.File{URL: address, Archive: archive},
		identity: identity(lock.HTTP, "", lock.File{URL: address}),
		get: func(ctx context.Context, in *store.Ingest) error {
			return s.client.Download(ctx, address, in, remote.DownloadOptions{})
		},
		read: store.Options{Format: archive},
		keep: w.keepBinaries(),
	}
	paths := w.binaries(p)
	if archive == "" {
		// The last candidate is the one that ends in .exe on Windows.
		a.read = store.Options{Format: "raw", RawName: paths[len(paths)-1]}
	}
	return a, nil
}

func (s *plain) Locked(w *Want, key string, f lock.File) (*Artifact, error) {
	for _, p := range lock.Platforms {
		if f.For(p.Name) {
			return s.artifact(w, p, f.URL)
		}
	}
	return nil, fault.Errorf(fault.Lock, "run: lockgen update", "file %s belongs to no platform", key)
}

func (s *plain) Executable(w *Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error) {
	return nativeExecutable(w, p, tree, contents)
}
