package dispatcher

import (
	"encoding/json"
	"fmt"

	"github.com/freqlimit/dispatcher/internal/panics"
)

// Codec turns payloads into bytes and back, for backends that keep jobs: see [backend.Journal].
// The zero value is JSON in version 0.
//
// To change the type of the payload, raise Version and let Decode read older versions too. Jobs
// that a newer program has kept wait for a process that reads their version.
type Codec[T any] struct {
	// Version is the version of what Encode returns, and the newest one that Decode reads.
	// It must not be negative.
	Version int

	// Encode returns the payload as bytes. It must be safe for concurrent use. Defaults to
	// json.Marshal.
	Encode func(payload T) ([]byte, error)

	// Decode returns the payload that was encoded in a version, from 0 to Version. It must be safe for
	// concurrent use. Defaults to json.Unmarshal, whatever the version.
	Decode func(data []byte, version int) (T, error)
}

func (c *Codec[T]) encode(payload T) (data []byte, err error) {
	defer panics.Catch(&err)
	if c.Encode == nil {
		return json.Marshal(payload)
	}
	return c.Encode(payload)
}

func (c *Codec[T]) decode(data []byte, version int) (payload T, err error) {
	defer panics.Catch(&err)
	if c.Decode == nil {
		err = json.Unmarshal(data, &payload)
	} else {
		payload, err = c.Decode(data, version)
	}
	if err != nil {
		err = fmt.Errorf("dispatcher: decode payload of version %d: %w", version, err)
	}
	return payload, err
}
