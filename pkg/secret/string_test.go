package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

const value = "hunter2"

// holder is a struct of somebody else's, in which fmt calls no method of what
// is not exported.
type holder struct {
	Shown  secret.String
	hidden secret.String
	list   []secret.String
	place  secret.Source
}

func TestStringNeverPrints(t *testing.T) {
	t.Parallel()
	s := secret.New(value)
	place, err := secret.Parse(value)
	if err != nil {
		t.Fatal(err)
	}
	h := holder{s, s, []secret.String{s}, place}
	shown := map[string]any{"string": s, "pointer": &s, "slice": []any{s}, "map": map[string]any{"k": s}, "holder": h, "pointer to holder": &h, "source": place}
	for name, v := range shown {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range "vsqxXdbocUeEfFgGtpTw" {
				for _, flag := range []string{"", "+", "#", "0", " ", "-9", ".3"} {
					leaks(t, fmt.Sprintf("%"+flag+string(verb), v))
				}
			}
			leaks(t, fmt.Sprint(v), fmt.Sprintln(v), fmt.Errorf("x: %v", v).Error())
			leaks(t, encoded(t, v)...)
		})
	}
}

func encoded(t *testing.T, v any) []string {
	t.Helper()
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v)
	return []string{string(asJSON), string(asYAML), logged.String()}
}

func leaks(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		// As text, as hexadecimal and as a list of bytes.
		for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprintf("%d", []byte(value))} {
			if strings.Contains(text, strings.Trim(form, "[]")) {
				t.Errorf("the secret shows: %s", text)
			}
		}
	}
}

func TestStringShowsRedacted(t *testing.T) {
	t.Parallel()
	s := secret.New(value)
	asXML, err := xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"String": s.String(), "GoString": s.GoString(), "%d": fmt.Sprintf("%d", s), "%+v": fmt.Sprintf("%+v", s),
		"LogValue": s.LogValue().String(), "XML": strings.TrimSuffix(strings.TrimPrefix(string(asXML), "<String>"), "</String>"),
	} {
		if got != secret.Redacted {
			t.Errorf("%s: got %q, want %q", name, got, secret.Redacted)
		}
	}
	asJSON, err := json.Marshal(map[string]secret.String{"k": s})
	if got, want := string(asJSON), `{"k":"[redacted]"}`; err != nil || got != want {
		t.Errorf("JSON: got %s, %v, want %s", got, err, want)
	}
	asYAML, err := yaml.Marshal(map[string]secret.String{"k": s})
	if got, want := string(asYAML), "k: '[redacted]'\n"; err != nil || got != want {
		t.Errorf("YAML: got %s, %v, want %s", got, err, want)
	}
}

func TestStringValue(t *testing.T) {
	t.Parallel()
	s := secret.New(value)
	if got := s.Reveal(); got != value || s.IsZero() {
		t.Errorf("got %q, zero %v", got, s.IsZero())
	}
	if s != secret.New(strings.Clone(value)) || s == secret.New("other") {
		t.Error("secrets do not compare by value")
	}
	var zero secret.String
	if zero != secret.New("") || !zero.IsZero() || zero.Reveal() != "" {
		t.Error("the zero secret is not the empty one")
	}
}
