package dispatcher_test

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

func TestParseRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"0":                                    0,
		"1":                                    time.Second,
		"120":                                  2 * time.Minute,
		" 30\t":                                30 * time.Second,
		"007":                                  7 * time.Second,
		"1.5":                                  1500 * time.Millisecond, // no sooner: never 1s
		"0.25":                                 250 * time.Millisecond,
		"2.":                                   2 * time.Second,
		"0.0000000001":                         1, // rounded up
		"0.9999999999":                         time.Second,
		"1.999999999":                          1999999999,
		"1.0000000010":                         1000000001,
		"31535999.5":                           dispatcher.MaxRetryAfter - 500*time.Millisecond,
		"31536000":                             dispatcher.MaxRetryAfter,
		"31536000.1":                           dispatcher.MaxRetryAfter,
		"9223372036":                           dispatcher.MaxRetryAfter,
		"9223372037":                           dispatcher.MaxRetryAfter, // negative in nanoseconds, if they are an int64
		"36893488147":                          dispatcher.MaxRetryAfter, // 2^65 ns
		"18446744073710":                       dispatcher.MaxRetryAfter,
		strconv.FormatUint(math.MaxUint64, 10): dispatcher.MaxRetryAfter,
		strings.Repeat("9", 1000):              dispatcher.MaxRetryAfter,
		strings.Repeat("0", 1000) + "5":        5 * time.Second,
	} {
		if got, err := dispatcher.ParseRetryAfter(header); got != want || err != nil {
			t.Errorf("ParseRetryAfter(%.40q) = %v, %v, want %v", header, got, err, want)
		}
	}
}

func TestParseRetryAfterDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		for _, c := range []struct{ after, want time.Duration }{
			{90 * time.Second, 90 * time.Second},
			{0, 0},
			{-time.Hour, 0}, // it has passed
			{-200 * 365 * 24 * time.Hour, 0},
			{30 * 365 * 24 * time.Hour, dispatcher.MaxRetryAfter},
			{290 * 365 * 24 * time.Hour, dispatcher.MaxRetryAfter},
		} {
			for _, layout := range []string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
				if layout[:7] == "Monday," && c.after.Abs() > 50*365*24*time.Hour {
					continue // two digits of a year don't go that far
				}
				header := now.Add(c.after).Format(layout)
				if got, err := dispatcher.ParseRetryAfter(header); got != c.want || err != nil {
					t.Errorf("ParseRetryAfter(%q) at %v = %v, %v, want %v", header, now, got, err, c.want)
				}
			}
		}
		time.Sleep(300 * time.Millisecond)
		header := now.Add(time.Second).Format(http.TimeFormat)
		if got, err := dispatcher.ParseRetryAfter(header); got != 700*time.Millisecond || err != nil {
			t.Errorf("ParseRetryAfter(%q) = %v, %v, want 700ms", header, got, err)
		}
		const far = "Fri, 31 Dec 9999 23:59:59 GMT" // farther than a Duration reaches
		if got, err := dispatcher.ParseRetryAfter(far); got != dispatcher.MaxRetryAfter || err != nil {
			t.Errorf("ParseRetryAfter(%q) = %v, %v, want %v", far, got, err, dispatcher.MaxRetryAfter)
		}
	})
}

// What is neither is an error, and no time: it must not be taken for "at once" by
// mistake.
func TestParseRetryAfterErrors(t *testing.T) {
	for _, header := range []string{
		"", " ", "-1", "+1", "-0", "NaN", "Inf", "-Inf", "1e9", "0x10", "1_000", "1,5", "1.5s", "30s", ".", ".5", "1.2.3",
		"1 2", "soon", "٣", "1\x00", "Mon, 02 Jan 2006", "2006-01-02T15:04:05Z", "30, 60", strings.Repeat("x", 1000),
	} {
		got, err := dispatcher.ParseRetryAfter(header)
		if !errors.Is(err, dispatcher.ErrRetryAfter) || got != 0 {
			t.Errorf("ParseRetryAfter(%.40q) = %v, %v, want 0 and ErrRetryAfter", header, got, err)
			continue
		}
		if len(err.Error()) > 150 {
			t.Errorf("ParseRetryAfter(%.40q) has an error of %d bytes, want a short one", header, len(err.Error()))
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"1.5", "9223372037", "Fri, 31 Dec 9999 23:59:59 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "-1", "NaN", "1e9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got, err := dispatcher.ParseRetryAfter(header)
		if got < 0 || got > dispatcher.MaxRetryAfter || err != nil && got != 0 {
			t.Fatalf("ParseRetryAfter(%q) = %v, %v, want 0 to %v, and 0 with an error", header, got, err, dispatcher.MaxRetryAfter)
		}
		if seconds, atoi := strconv.ParseUint(header, 10, 32); atoi == nil {
			if want := min(time.Duration(seconds)*time.Second, dispatcher.MaxRetryAfter); got != want || err != nil {
				t.Fatalf("ParseRetryAfter(%q) = %v, %v, want %v", header, got, err, want)
			}
		}
	})
}
