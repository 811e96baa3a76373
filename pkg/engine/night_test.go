package engine

import (
	"testing"
	"time"
)

func TestNightOf(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, now, want string
	}{
		{"an hour after", "2024-12-08T04:00:00Z", "2024-12-08T03:00:00Z"},
		{"the evening after", "2024-12-08T23:59:59Z", "2024-12-08T03:00:00Z"},
		{"on the tick", "2024-12-08T03:00:00Z", "2024-12-08T03:00:00Z"},
		{"a clock that is a little early still means the night to come", "2024-12-08T02:50:00Z", "2024-12-08T03:00:00Z"},
		{"before that it is still last night", "2024-12-08T02:49:59Z", "2024-12-07T03:00:00Z"},
		{"another zone changes nothing", "2024-12-08T05:30:00+02:00", "2024-12-08T03:00:00Z"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := nightOf("0 3 * * *", parseTime(t, c.now))
			if err != nil {
				t.Fatal(err)
			}
			if want := parseTime(t, c.want); !got.Equal(want) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestNextTick(t *testing.T) {
	t.Parallel()
	cases := []struct{ expression, now, want string }{
		{"0 3 * * *", "2024-12-08T02:59:59Z", "2024-12-08T03:00:00Z"},
		{"0 3 * * *", "2024-12-08T03:00:00Z", "2024-12-09T03:00:00Z"},
		{"0 4 * * 0", "2024-12-08T03:59:00Z", "2024-12-08T04:00:00Z"},
		{"0 4 * * 0", "2024-12-08T04:00:00Z", "2024-12-15T04:00:00Z"},
	}
	for _, c := range cases {
		got, err := nextTick(c.expression, parseTime(t, c.now))
		if err != nil {
			t.Fatal(err)
		}
		if want := parseTime(t, c.want); !got.Equal(want) {
			t.Errorf("next of %q after %s: got %s, want %s", c.expression, c.now, got, want)
		}
	}
}

func TestImpossibleScheduleIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := nightOf("0 3 31 2 *", parseTime(t, "2024-12-08T04:00:00Z")); err == nil {
		t.Error("the 31st of February gave a night")
	}
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
