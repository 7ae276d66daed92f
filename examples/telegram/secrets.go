package main

import (
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// secrets are what must not be printed: tokens and passwords. What looks like one is hidden
// even if it is not known.
type secrets struct{ known []string }

const minSecret = 3

var (
	looksLikeToken    = regexp.MustCompile(`[0-9]{5,}:[A-Za-z0-9_-]{20,}`)
	looksLikeUserInfo = regexp.MustCompile(`://[^/\s@"]*@`)
)

// add makes a secret known, in all spellings in which an error might quote it. What is
// shorter than minSecret is none, and is in too many other words.
func (s *secrets) add(secret string) {
	quoted := fmt.Sprintf("%q", secret)
	for _, spelling := range []string{secret, strings.TrimSpace(secret), quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret)} {
		if len(spelling) >= minSecret && !slices.Contains(s.known, spelling) {
			s.known = append(s.known, spelling)
		}
	}
}

// addUserInfo makes known what stands before the @ of an address, with the @.
func (s *secrets) addUserInfo(address string) {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	if at := strings.LastIndex(address, "@"); at >= 0 {
		s.add(address[:at+1])
	}
}

func (s *secrets) hide(text string) string {
	for _, secret := range s.known {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = looksLikeToken.ReplaceAllString(text, "***")
	return looksLikeUserInfo.ReplaceAllStringFunc(text, func(info string) string {
		if info == "://user:password@" { // as help has it
			return info
		}
		return "://***@"
	})
}

// over returns a writer to w that hides the secrets in each Write.
func (s *secrets) over(w io.Writer) io.Writer { return hidingWriter{w, s} }

type hidingWriter struct {
	w       io.Writer
	secrets *secrets
}

func (h hidingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(h.w, h.secrets.hide(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// hiddenError is an error whose text holds no secrets.
type hiddenError struct {
	error
	secrets *secrets
}

func (e hiddenError) Error() string { return e.secrets.hide(e.error.Error()) }
func (e hiddenError) Unwrap() error { return e.error }
