package backendtest

import (
	"strings"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// oddKeys returns keys that are all different, and that a backend which quotes,
// joins, cuts, hashes by tag, matches by pattern or decodes them may mix up.
func oddKeys() []string {
	keys := []string{
		"", "None", "null", "nil", "<nil>", "0", "00", " ", "  ",
		"\x00", "\x00\x00", "a", "a\x00", "a\x00b", "A", "a ", " a", "a\n", "a\r\n", "\t",
		"\xff", "\xfe", "\xff\xfe", "\xc3\x28", "\ufffd", "\ufffd\ufffd",
		"\u00e9", "e\u0301", "\u00c9",
		"{", "}", "{}", "{a}", "{a}b", "b{a}", "{b}a", "{{a}}", "}{", "{}a",
		"*", "?", "**", "[a]", "[^a]", "[a-z]", "a*", "a?", `\*`, `\`, `\\`,
		":", "::", "a:b", "a::b", "a:", ":a", "/", "..", "%s", "%00", "%%",
		`"`, "'", "`", "--", ";", "$1", "KEYS[1]", "1e3", "1000", "-1", "NaN",
	}
	long := strings.Repeat("k", 1<<20)
	return append(keys, long, long+"k", long[1:]+"l", "l"+long[1:])
}

// Trap 21: keys of any bytes are different keys, remembered as they are. The
// empty key, the global bucket, is one of them.
func testKeysOfAnyBytes(p *probe) {
	params := every(time.Hour, 1)
	keys := oddKeys()
	for _, key := range keys {
		if d := p.reserve(0, limit(key, params)); !d.Granted {
			p.Errorf("key %.20q (%d bytes) is not granted: it is taken for another", key, len(key))
		}
	}
	for _, key := range keys {
		if d := p.reserve(0, limit(key, params)); d.Granted {
			p.Errorf("key %.20q (%d bytes) is granted twice: it was forgotten", key, len(key))
		}
	}
	held := []string{"", "\x00d", "{d}", "d*", "\xff\xfed"}
	for _, key := range held {
		from, to := p.closes(key, 3*time.Hour)
		p.opens(limit(key, params), from, to)
	}
	p.takes(limit("d", params))
	p.takes(limit("dd", params))
	if err := p.b.Clear(p.Context()); err != nil {
		p.Fatalf("Clear() = %v, want nil", err)
	}
	for _, key := range append(keys, held[1:]...) {
		if d := p.reserve(0, limit(key, params)); !d.Granted {
			p.Errorf("key %.20q (%d bytes) is not granted after Clear", key, len(key))
		}
	}
}

// Trap 21 for the limits of one request.
func testKeysInOneRequest(p *probe) {
	var limits []backend.Limit
	for _, key := range oddKeys() {
		limits = append(limits, limit(key, every(time.Hour, 1)))
	}
	p.takes(limits...)
	for i, l := range limits {
		if d := p.reserve(0, limit("open", every(time.Hour, 1000)), l); d.Granted || d.Binding != 1 {
			p.Errorf("key %.20q, number %d of a request: it was not charged", l.Key, i)
		}
	}
}
