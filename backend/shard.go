package backend

// Sharder is an optional ability of a [Backend] whose keys are kept by several servers, each
// of which may be slow or away by itself. A dispatcher asks each of them on its own, so
// that jobs under the limits of one do not wait for another.
type Sharder interface {
	// Shard names the server that keeps a key, as far as the backend knows: that may change,
	// and is "" as long as it does not know. The limits of one request are of one server. It is
	// quick, and asks nobody.
	Shard(key string) string
}
