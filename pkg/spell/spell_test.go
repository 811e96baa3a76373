package spell_test

import (
	"testing"

	"github.com/AutumnsGrove/patina/pkg/spell"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b  string
		limit int
		want  int
	}{
		{"", "", 3, 0},
		{"users", "users", 3, 0},
		{"users", "user", 3, 1},
		{"user", "users", 3, 1},
		{"usres", "users", 3, 2},
		{"orders", "users", 9, 3},
		{"", "abc", 9, 3},
		{"a", "abcdef", 3, 3},
	} {
		if got := spell.Distance(tt.a, tt.b, tt.limit); got != tt.want {
			t.Errorf("Distance(%q, %q, %d) = %d, want %d", tt.a, tt.b, tt.limit, got, tt.want)
		}
	}
}
