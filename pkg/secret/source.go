package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// Way is how a Source gets at its secret.
type Way string

// The ways, as their prefixes are written in a configuration.
const (
	Literal    Way = "literal"
	Env        Way = "env"
	File       Way = "file"
	Command    Way = "cmd"
	Credential Way = "credential"
)

const (
	// commandTime bounds a cmd: secret. A password manager that asks a person
	// must not hold up a night.
	commandTime = 30 * time.Second
	// commandGrace is how long a command's children may keep its output open
	// after it ended.
	commandGrace = time.Second
	// maxSize bounds a secret; a longer one is some other file named by mistake.
	maxSize = 64 << 10
	// maxComplaint bounds what of a command's standard error goes into an error.
	maxComplaint = 400
)

// ErrEmpty is wrapped by the error of a source whose secret is empty.
var ErrEmpty = errors.New("it is empty")

// Source is where a secret is to be found. The zero Source names none.
type Source struct {
	way Way
	// at is the variable, path, command or credential; or the value itself
	// of a literal.
	at String
}

// Parse reads a source as written in a configuration: "env:NAME",
// "file:PATH", "cmd:COMMAND" and "credential:NAME" name a place, everything
// else is the secret itself. An empty text is the zero Source. A value that
// itself begins with one of the prefixes has to be given by one of the ways.
func Parse(text string) (Source, error) {
	if text == "" {
		return Source{}, nil
	}
	prefix, at, found := strings.Cut(text, ":")
	way := Way(prefix)
	switch {
	case !found, way != Env && way != File && way != Command && way != Credential:
		return LiteralSource(text), nil
	case strings.TrimSpace(at) == "":
		return Source{}, fmt.Errorf("%s: names nothing", prefix)
	case way == Env && strings.ContainsAny(at, "=\x00"):
		return Source{}, errors.New("env: the name of a variable holds no \"=\"")
	case way == Credential && (at != filepath.Base(at) || at == "." || at == ".."):
		return Source{}, errors.New("credential: wants the name of a systemd credential, not a path")
	}
	return Source{way: way, at: New(at)}, nil
}

// LiteralSource is the source of a value that is at hand, whatever it begins
// with.
func LiteralSource(value string) Source {
	if value == "" {
		return Source{}
	}
	return Source{way: Literal, at: New(value)}
}

// Way returns how the secret is got; empty for the zero Source.
func (s Source) Way() Way { return s.way }

// Path is the path of a file: source as it was written; empty for others.
func (s Source) Path() string {
	if s.way != File {
		return ""
	}
	return s.at.Reveal()
}

// IsZero says whether the source names no secret.
func (s Source) IsZero() bool { return s.way == "" }

// String shows the source as it was written, a literal as Redacted. The zero
// Source is empty. A command is shown by its prefix alone, since people write
// passwords into commands.
func (s Source) String() string {
	switch s.way {
	case "":
		return ""
	case Literal:
		return Redacted
	case Command:
		return string(Command) + ":" + Redacted
	}
	return string(s.way) + ":" + s.at.Reveal()
}

// GoString is String, so that %#v is as short.
func (s Source) GoString() string { return s.String() }

// Resolver is what a Source is resolved with.
type Resolver struct {
	// LookupEnv reads a variable of the environment.
	LookupEnv func(name string) (string, bool)
	// Dir is the folder that relative paths of file: start from.
	Dir string
}

// Resolve reads the secret. The zero Source gives the zero String and no
// error; a place that is missing or holds nothing is an error that names the
// way, the place and the cause, and never the value. A trailing newline of a
// file, and white space around a command's output, are not part of the secret.
func (r Resolver) Resolve(ctx context.Context, s Source) (String, error) {
	return r.resolve(ctx, s, checkLine)
}

// ResolveText reads a secret that may have several lines, such as the file of a
// private key; else it is Resolve.
func (r Resolver) ResolveText(ctx context.Context, s Source) (String, error) {
	return r.resolve(ctx, s, checkText)
}

func (r Resolver) resolve(ctx context.Context, s Source, check func(string) error) (String, error) {
	if s.IsZero() {
		return String{}, nil
	}
	value, err := r.read(ctx, s)
	if err == nil {
		err = check(value)
	}
	if err != nil {
		return String{}, fmt.Errorf("%s: %w", s, err)
	}
	return New(value), nil
}

func (r Resolver) read(ctx context.Context, s Source) (string, error) {
	at := s.at.Reveal()
	switch s.way {
	case Env:
		value, set := r.LookupEnv(at)
		if !set {
			return "", errors.New("the variable is not set")
		}
		return value, nil
	case File:
		return readFile(r.path(at))
	case Credential:
		folder, set := r.LookupEnv("CREDENTIALS_DIRECTORY")
		if !set || folder == "" {
			return "", errors.New("$CREDENTIALS_DIRECTORY is not set: this process was not started by a systemd unit with LoadCredential=")
		}
		return readFile(filepath.Join(folder, at))
	case Command:
		return run(ctx, at)
	}
	return at, nil
}

func (r Resolver) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(r.Dir, p)
}

// checkLine refuses what cannot be a token, a key or a password. A header or a
// connection string with a newline in it fails far from here, and shows its
// text there.
func checkLine(value string) error {
	if err := checkText(value); err != nil {
		return err
	}
	if strings.ContainsAny(value, "\r\n") {
		return errors.New("it holds a line break: a secret is one line")
	}
	return nil
}

func checkText(value string) error {
	switch {
	case value == "":
		return ErrEmpty
	case !utf8.ValidString(value) || strings.Contains(value, "\x00"):
		return errors.New("it holds bytes that are no text")
	}
	return nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", cause(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", cause(err)
	}
	if len(content) > maxSize {
		return "", fmt.Errorf("the file is larger than a secret may be (%d bytes)", maxSize)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

// cause takes operation and path off a file error: the source names the path.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// run runs a command in the system's shell and returns its output.
func run(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var out, complaint capped
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.WaitDelay = commandGrace
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the command did not end: %w", ctx.Err())
	case err != nil && len(complaint.kept) > 0:
		return "", fmt.Errorf("the command ended with %w: %s", err, complaint.summary())
	case err != nil:
		return "", fmt.Errorf("the command ended with %w", err)
	case out.full:
		return "", fmt.Errorf("the command printed more than a secret may hold (%d bytes)", maxSize)
	}
	return strings.TrimSpace(string(out.kept)), nil
}

// capped keeps the first maxSize bytes written to it and drops the rest, so
// that a command that never stops printing fills no memory.
type capped struct {
	kept []byte
	full bool
}

// Write takes everything and keeps what fits.
func (c *capped) Write(p []byte) (int, error) {
	room := maxSize - len(c.kept)
	c.full = c.full || len(p) > room
	c.kept = append(c.kept, p[:min(room, len(p))]...)
	return len(p), nil
}

// summary is what was printed, on one line and not too long.
func (c *capped) summary() string {
	line := strings.Join(strings.Fields(string(c.kept)), " ")
	if len(line) > maxComplaint {
		line = line[:maxComplaint] + " ..."
	}
	return strings.ToValidUTF8(line, "")
}
