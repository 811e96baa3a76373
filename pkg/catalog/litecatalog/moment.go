package litecatalog

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// momentLayout writes every time in the same width, so that times compare as
// text does.
const momentLayout = "2006-01-02T15:04:05.000000Z"

// moment is a time on its way to or from a column; the zero time is NULL.
type moment time.Time

// Value writes the time as text.
func (m moment) Value() (driver.Value, error) {
	t := time.Time(m)
	if t.IsZero() {
		return nil, nil
	}
	return catalog.Cut(t).Format(momentLayout), nil
}

// Scan reads what Value wrote.
func (m *moment) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*m = moment{}
		return nil
	case string:
		t, err := time.Parse(momentLayout, v)
		if err != nil {
			return fmt.Errorf("time %q in the catalogue: %w", v, err)
		}
		*m = moment(t)
		return nil
	}
	return fmt.Errorf("time in the catalogue is a %T", src)
}

// day is a date on its way to or from a column.
type day time.Time

// Value writes the date as text.
func (d day) Value() (driver.Value, error) { return time.Time(d).Format(time.DateOnly), nil }

// Scan reads what Value wrote.
func (d *day) Scan(src any) error {
	t, err := time.Parse(time.DateOnly, fmt.Sprint(src))
	if err != nil {
		return fmt.Errorf("day in the catalogue: %w", err)
	}
	*d = day(t)
	return nil
}
