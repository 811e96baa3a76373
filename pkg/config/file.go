package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

// systemFile is the file of the whole host.
const systemFile = "/etc/patina/patina.yaml"

// maxFile bounds a configuration file; a larger one is something else.
const maxFile = 1 << 20

// find reads the file to use: that of --config, else that of $PATINA_CONFIG,
// else the first that exists of candidates. It is no error if none exists; then
// the path is empty. A file that exists and cannot be read is one, for the next
// file would be another configuration.
func find(req LoadRequest) (path string, content []byte, err error) {
	if req.Path != "" {
		return named("--config", req.Path, req)
	}
	if path, _ := req.LookupEnv(configVariable); path != "" {
		return named("$"+configVariable, path, req)
	}
	return first(candidates(req))
}

// first reads the first file that exists.
func first(paths []string) (string, []byte, error) {
	for _, path := range paths {
		content, err := read(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return "", nil, fault.Wrap(fault.Usage, "", fmt.Errorf("read configuration: %w", err))
		}
		return path, content, nil
	}
	return "", nil, nil
}

// named reads a file that somebody asked for, which must exist.
func named(by, path string, req LoadRequest) (string, []byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(req.WorkDir, path)
	}
	content, err := read(path)
	if err != nil {
		return "", nil, fault.Wrap(fault.Usage, "", fmt.Errorf("%s: read configuration: %w", by, err))
	}
	return path, content, nil
}

// candidates are the files looked for, the first one first.
func candidates(req LoadRequest) []string {
	paths := []string{filepath.Join(req.WorkDir, ".patina.yaml")}
	// The XDG rules say that a relative folder is to be ignored.
	if folder, _ := req.LookupEnv("XDG_CONFIG_HOME"); filepath.IsAbs(folder) {
		paths = append(paths, filepath.Join(folder, "patina", "patina.yaml"))
	} else if req.HomeDir != "" {
		paths = append(paths, filepath.Join(req.HomeDir, ".config", "patina", "patina.yaml"))
	}
	return append(paths, systemFile)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than a configuration may be (%d bytes)", path, maxFile)
	}
	return content, nil
}
