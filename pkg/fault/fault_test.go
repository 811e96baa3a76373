package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	partial := fault.New(fault.Partial, "", "two of six")
	refused := fault.New(fault.Refused, "", "no")
	for _, c := range []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"nil", nil, ""},
		{"no kind", io.EOF, fault.Failed},
		{"itself", partial, fault.Partial},
		{"wrapped", fmt.Errorf("backup: %w", partial), fault.Partial},
		{"joined", errors.Join(io.EOF, refused, partial), fault.Partial},
		{"joined deep down", fmt.Errorf("a: %w", errors.Join(refused, fmt.Errorf("b: %w and %w", io.EOF, partial))), fault.Partial},
		{"inner more serious", fault.Wrap(fault.Failed, "", fault.New(fault.Interrupted, "", "x")), fault.Interrupted},
		{"outer more serious", fault.Wrap(fault.Usage, "", refused), fault.Usage},
		{"a kind beside none", errors.Join(io.EOF, refused), fault.Refused},
		{"an unknown kind", fault.New("strange", "", "x"), fault.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := fault.KindOf(c.err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestOrder holds every pair of kinds to the order of Kinds, whichever is
// joined first.
func TestOrder(t *testing.T) {
	t.Parallel()
	kinds := fault.Kinds()
	if got, want := len(kinds), 10; got != want {
		t.Fatalf("got %d kinds, want %d", got, want)
	}
	for i, serious := range kinds {
		for _, other := range kinds[i:] {
			a, b := fault.New(serious, "", "a"), fault.New(other, "", "b")
			for _, err := range []error{errors.Join(a, b), errors.Join(b, a)} {
				if got := fault.KindOf(err); got != serious {
					t.Errorf("%s with %s: got %s", serious, other, got)
				}
			}
		}
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.Usage, "patina config check", "bad")
	err := fault.Wrap(fault.Failed, "patina status", errors.Join(
		fmt.Errorf("a: %w", inner), io.EOF, fault.New(fault.Held, "", "no hint"), fault.New(fault.Held, "patina list", "b"), inner,
	))
	want := []string{"patina status", "patina config check", "patina list"}
	if diff := cmp.Diff(want, fault.Hints(err)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := fault.Hints(io.EOF); got != nil {
		t.Errorf("got %v for an error without hints", got)
	}
}

func TestErrorIsTransparent(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.Failed, "hint", "read %s: %w", "x", context.Canceled)
	if got, want := err.Error(), "read x: context canceled"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
	if fault.Wrap(fault.Failed, "hint", nil) != nil {
		t.Error("nil became an error")
	}
	if got, want := (&fault.Error{Kind: fault.Held}).Error(), "held"; got != want {
		t.Errorf("without a cause: got %q, want %q", got, want)
	}
}
