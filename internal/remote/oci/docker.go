package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/birbparty/buck2-protobuf/internal/child"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

const (
	helperTime   = 30 * time.Second // that a credential helper may take
	helperAnswer = 1 << 20          // bytes
)

// A docker is a user's configuration of docker: the entries of its file, which
// oras-go reads, and the credential helpers that it names. Those are run here
// and not by oras-go, which hands them our standard error and leaves behind what
// they start.
type docker struct {
	file    *credentials.FileStore
	all     string            // credsStore: the helper for every registry
	helpers map[string]string // credHelpers: by registry
}

func readDocker(config string) (*docker, error) {
	file, err := credentials.NewFileStore(config)
	if err != nil {
		return nil, err
	}
	d := &docker{file: file}
	data, err := os.ReadFile(config)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	var said struct {
		CredsStore  string            `json:"credsStore"`
		CredHelpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return nil, err
	}
	d.all, d.helpers = said.CredsStore, said.CredHelpers
	return d, nil
}

// credential is what docker has for a registry: of its own helper, else of the
// helper for all, else of the file.
func (d *docker) credential(ctx context.Context, hostport string) (auth.Credential, error) {
	address := credentials.ServerAddressFromHostname(hostport)
	helper := d.helpers[address]
	if helper == "" {
		helper = d.all
	}
	if helper == "" {
		return d.file.Get(ctx, address)
	}
	return askHelper(ctx, helper, address)
}

// askHelper runs docker-credential-NAME get (docker's "credential helper
// protocol"): the address on standard input, a document or an error on standard
// output. What it says on standard error is told when it fails.
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

// credential asks docker's configuration. Hostport is that of the registry
// whatever oras-go thinks of asking for.
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
