package dispatcher

import (
	"fmt"
	"strings"
	"time"
)

// MaxRetryAfter is the longest time that [ParseRetryAfter] returns: a year.
const MaxRetryAfter = 365 * 24 * time.Hour

// ParseRetryAfter returns the wait that the Retry-After header of an HTTP response asks for,
// from 0 to [MaxRetryAfter], ready for [RetryAfter]. RFC 9110 allows two forms:
//
//   - a number of seconds. Some servers send a fraction, such as "1.5", which is accepted;
//     fractions of a nanosecond are rounded up. A number that is too
//     large means [MaxRetryAfter].
//   - a date in one of the three formats of HTTP. The wait is from now, by the clock of this
//     machine, and 0 if the date has passed.
//
// Surrounding spaces are ignored. Anything else, such as an empty header or a negative number,
// returns 0 and an error that matches [ErrRetryAfter]. Callers that have a default may ignore
// the error: max(wait, time.Second).
func ParseRetryAfter(header string) (time.Duration, error) {
	s := strings.Trim(header, " \t")
	if wait, ok := parseSeconds(s); ok {
		return wait, nil
	}
	for _, layout := range httpDates {
		if date, err := time.Parse(layout, s); err == nil {
			return min(max(time.Until(date), 0), MaxRetryAfter), nil
		}
	}
	return 0, fmt.Errorf("%w: %.40q", ErrRetryAfter, s)
}

// httpDates are the formats of dates in HTTP. Package net/http has them too, and is large.
var httpDates = []string{
	"Mon, 02 Jan 2006 15:04:05 GMT",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// parseSeconds reads decimal digits, with a fraction or without. Floating point would
// take "NaN" and "1e9" too, and lose nanoseconds.
func parseSeconds(s string) (wait time.Duration, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" {
		return 0, false
	}
	for _, digit := range []byte(whole) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		// Far below what an int64 holds, and no less than the longest.
		wait = min(10*wait+time.Duration(digit-'0')*time.Second, MaxRetryAfter)
	}
	unit := time.Second
	up := time.Duration(0)
	for _, digit := range []byte(fraction) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		if unit /= 10; unit > 0 {
			wait += time.Duration(digit-'0') * unit
		} else if digit > '0' {
			up = 1
		}
	}
	return min(wait+up, MaxRetryAfter), true
}
