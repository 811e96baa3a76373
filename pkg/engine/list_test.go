package engine

import (
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	day := time.Date(2024, 12, 8, 0, 0, 0, 0, time.UTC)
	minute := day.Add(10*time.Hour + 15*time.Minute)
	cases := []struct {
		in   string
		want Date
	}{
		{"2024-12-08", Date{Day: day}},
		{"2024-12-08T10:15", Date{Day: day, Minute: minute}},
		{"2024-12-08T10:15Z", Date{Day: day, Minute: minute}},
		{"latest", Date{Latest: true}},
	}
	for _, c := range cases {
		got, err := ParseDate(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseDate(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "yesterday", "2024-13-01", "2024-12-08 10:15", "2024-12-8", "LATEST", "2024-12-08T25:00"} {
		if _, err := ParseDate(in); fault.KindOf(err) != fault.Usage {
			t.Errorf("ParseDate(%q) = %v, want a fault of usage", in, err)
		}
	}
}
