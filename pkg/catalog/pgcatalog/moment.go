package pgcatalog

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// moment is a time on its way to or from a timestamptz; the zero time is NULL.
type moment time.Time

// Value gives the driver a time.
func (m moment) Value() (driver.Value, error) {
	t := time.Time(m)
	if t.IsZero() {
		return nil, nil
	}
	return catalog.Cut(t), nil
}

// Scan takes a time from the driver, which tells it in the local zone.
func (m *moment) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*m = moment{}
		return nil
	case time.Time:
		*m = moment(catalog.Cut(v))
		return nil
	}
	return fmt.Errorf("time in the catalogue is a %T", src)
}

// day is a date on its way to or from a column. It travels as text, since a
// time would be turned into a date by the session's zone.
type day time.Time

// Value gives the driver text.
func (d day) Value() (driver.Value, error) { return time.Time(d).Format(time.DateOnly), nil }

// Scan takes text from the driver.
func (d *day) Scan(src any) error {
	t, err := time.Parse(time.DateOnly, fmt.Sprint(src))
	if err != nil {
		return fmt.Errorf("day in the catalogue: %w", err)
	}
	*d = day(t)
	return nil
}
