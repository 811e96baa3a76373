package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/adhocore/gronx"
)

// maxKept bounds how many days or weeks retention may name: more is a typing
// error.
const maxKept = 10_000

// defaultAPI is Cloudflare's own.
const defaultAPI = "https://api.cloudflare.com/client/v4"

// number is the parser of whole numbers within bounds.
func number(lowest, highest int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < lowest || n > highest {
			return 0, fmt.Errorf("%s: want a whole number from %d to %d", shown(s), lowest, highest)
		}
		return n, nil
	}
}

// parseDuration reads a duration such as 30s, 10m or 1h30m.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d > 0 {
		return d, nil
	}
	if _, notANumber := strconv.ParseFloat(s, 64); notANumber == nil && err != nil {
		return 0, fmt.Errorf("%s: the unit is missing: want a duration such as 30s, 10m or 2h", shown(s))
	}
	return 0, fmt.Errorf("%s: want a duration above zero such as 30s, 10m or 2h", shown(s))
}

// parseCron reads a cron expression of five fields.
func parseCron(s string) (string, error) {
	fields := strings.Fields(s)
	if len(fields) != 5 {
		return "", fmt.Errorf("%s: want the five fields of a cron expression: minute hour day month weekday", shown(s))
	}
	s = strings.Join(fields, " ")
	// The time to start from must not change the verdict: any fixed one will do.
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	if next, err := gronx.NextTickAfter(s, from, false); err != nil || !next.After(from) {
		return "", fmt.Errorf("%s: not a cron expression, or one that never comes", shown(s))
	}
	return s, nil
}

// parseAccountID reads the id of an account, which becomes part of paths and
// host names.
func parseAccountID(s string) (string, error) {
	if !accountForm().MatchString(s) {
		return "", errors.New("not an account id: want the 32 hexadecimal digits that the dashboard shows")
	}
	return s, nil
}

// accountForm is wider than the ids that Cloudflare gives out, for emulators
// of its API have ids of their own.
func accountForm() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`) }

// parseAPIBaseURL reads the address of Cloudflare's API or an emulator of it.
func parseAPIBaseURL(s string) (string, error) {
	if err := checkServer(s, false); err != nil {
		return "", err
	}
	return strings.TrimRight(s, "/"), nil
}

// parseKeyID reads the public half of an S3 key.
func parseKeyID(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return "", errors.New("an access key id holds no space or control character")
	}
	return s, nil
}

// parsePrefix reads a folder within the store and takes its outer slashes off.
func parsePrefix(s string) (string, error) {
	prefix := strings.Trim(s, "/")
	if prefix == "" {
		return "", nil
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		if segment == "" || segment == "." || segment == ".." || url.PathEscape(segment) != segment {
			return "", fmt.Errorf("%s: want folders of letters, digits and - _ . with single slashes between", shown(s))
		}
	}
	return prefix, nil
}
