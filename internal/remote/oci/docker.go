package oci

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/birbparty/buck2-protobuf/internal/child"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

const (
	helperTime   = 30 * time.Second // for a credential helper
	helperAnswer = 1 << 20          // bytes
)

// A docker is the user's docker configuration. oras-go decodes an entry, no more:
// it would open the file itself, pass its own standard error to credential helpers,
// and not end the processes that they start.
type docker struct {
	Auths       map[string]json.RawMessage // by registry, or a URL of it
	CredsStore  string                     // the helper for every registry
	CredHelpers map[string]string          // by registry
}

func readDocker(config string) (*docker, error) {
	d := &docker{}
	data, err := input.File(config)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	return d, json.Unmarshal(data, d)
}

// credential returns docker's credential for a registry: from its own helper,
// or else the helper for all registries, or else the file.
func (d *docker) credential(ctx context.Context, hostport string) (auth.Credential, error) {
	address := credentials.ServerAddressFromHostname(hostport)
	if helper := cmp.Or(d.CredHelpers[address], d.CredsStore); helper != "" {
		return askHelper(ctx, helper, address)
	}
	entry, ok := d.Auths[address]
	for _, key := range slices.Sorted(maps.Keys(d.Auths)) {
		host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(key, "http://"), "https://"), "/")
		if !ok && host == address {
			entry, ok = d.Auths[key], true
		}
	}
	if !ok {
		return auth.EmptyCredential, nil
	}
	data, err := json.Marshal(map[string]any{"auths": map[string]any{"it": entry}})
	if err != nil {
		return auth.EmptyCredential, err
	}
	store, err := credentials.NewMemoryStoreFromDockerConfig(data)
	if err != nil {
		return auth.EmptyCredential, err
	}
	return store.Get(ctx, "it")
}

// askHelper runs docker-credential-NAME get (docker's "credential helper
// protocol"): the address goes to standard input; the result, or an error,
// comes from standard output. If it fails, the error includes its standard
// error.
func askHelper(ctx context.Context, name, address string) (auth.Credential, error) {
	program := "docker-credential-" + name
	if strings.ContainsAny(name, `/\`) {
		return auth.EmptyCredential, fmt.Errorf("%s is not the name of a helper", plain.Line(name, 80))
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return auth.EmptyCredential, err
	}
	out, talk, err := child.Output(ctx, func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, path, "get")
		cmd.Stdin = strings.NewReader(address)
		return cmd
	}, helperTime, helperAnswer)
	if err != nil {
		said := strings.TrimSpace(string(out))
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && said == "credentials not found in native keychain":
			return auth.EmptyCredential, nil
		case said == "":
			said = talk
		}
		if said == "" {
			return auth.EmptyCredential, fmt.Errorf("%s: %w", program, err)
		}
		return auth.EmptyCredential, fmt.Errorf("%s: %w: %s", program, err, plain.Line(said, 300))
	}
	var said struct{ Username, Secret string }
	if err := json.Unmarshal(out, &said); err != nil {
		return auth.EmptyCredential, fmt.Errorf("%s: %w", program, err)
	}
	if said.Username == "<token>" { // an identity token
		return auth.Credential{RefreshToken: said.Secret}, nil
	}
	return auth.Credential{Username: said.Username, Password: said.Secret}, nil
}

// credential asks docker's configuration. It ignores which host oras-go passes:
// the credential is always that of this registry.
func (r *Repository) credential(ctx context.Context, hostport string) (auth.Credential, error) {
	if hostport != r.base.Host {
		return auth.EmptyCredential, nil
	}
	docker, err := r.c.docker()
	if err != nil {
		return auth.EmptyCredential, fault.Errorf(fault.Machine, "correct the file, or run: docker login "+hostport,
			"docker's configuration %s: %w", r.c.config, err)
	}
	cred, err := docker.credential(ctx, hostport)
	if err != nil && ctx.Err() != nil {
		return auth.EmptyCredential, ctx.Err()
	}
	if err != nil {
		return auth.EmptyCredential, fault.Errorf(fault.Machine, "run: docker login "+hostport+"; or remove the helper from "+r.c.config,
			"the credential helper for %s that %s names: %w", hostport, r.c.config, err)
	}
	return cred, nil
}
