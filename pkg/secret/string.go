// Package secret holds strings that never print, and the ways in which an
// operator may hand one over.
//
// A String shows as [redacted] wherever the standard library or a log could
// print it; Reveal is the one way to the value, so that a search for Reveal
// finds every place where a secret leaves. A Source is how a configuration
// names a secret: the literal, env:NAME, file:PATH, cmd:COMMAND or
// credential:NAME (systemd). Sources may be shown, for a literal shows as
// [redacted]; resolving one reads the variable, the file or the command's
// output at that moment and no earlier.
//
// No error of this package holds a value, a command's standard output or a
// file's content.
package secret

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// Redacted is what is shown in place of a secret.
const Redacted = "[redacted]"

// String is a secret. The zero String is no secret at all. Strings compare by
// value.
type String struct {
	// A handle and no plain string: fmt calls no method on an unexported
	// field of somebody else's struct and would print the text.
	handle unique.Handle[string]
}

// New makes a secret of a value; an empty one gives the zero String.
func New(value string) String {
	if value == "" {
		return String{}
	}
	return String{handle: unique.Make(value)}
}

// Reveal returns the value itself.
func (s String) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.handle.Value()
}

// IsZero says whether there is no value.
func (s String) IsZero() bool { return s == String{} }

// String returns Redacted.
func (s String) String() string { return Redacted }

// GoString returns Redacted, for %#v.
func (s String) GoString() string { return Redacted }

// Format writes Redacted for every verb, %x and %d included.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns Redacted, for slog.
func (s String) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns Redacted.
func (s String) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON returns Redacted as a JSON string.
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalYAML returns Redacted.
func (s String) MarshalYAML() (any, error) { return Redacted, nil }
