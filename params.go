package dispatcher

import (
	"fmt"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/misuse"
)

// FreqLimitParams is a rate limit: Limit events per Period, of which Burst may happen at
// once. [gcra.PerSecond], [gcra.PerMinute], [gcra.PerHour] and [gcra.Every] make params.
type FreqLimitParams = gcra.FreqLimitParams

// SetParams changes the params of the limit with a key, for waiting jobs and later ones,
// whatever params they bring, until it is called again. The zero params undo it: jobs bring
// their own again. If the limit is raised, jobs start at the new rate at once. If it is
// lowered, no extra burst starts, because what was used before still counts. Jobs that cost
// more than a lowered Burst fail. Slots that were taken under another interval, at most
// Config.Horizon ahead, can't be given back any more.
//
// A limit has the params that were used last, so call SetParams in all dispatchers that share
// the backend. If the params are invalid, SetParams returns an error and changes nothing.
func (d *Dispatcher[T]) SetParams(key string, params gcra.FreqLimitParams) error {
	if d.isZero() {
		return misuse.Zero("Dispatcher", "New")
	}
	if params == (gcra.FreqLimitParams{}) {
		d.engine.UnsetParams(key)
		d.set(settingParams+key, nil)
		return nil
	}
	if err := d.engine.Traits().Check([]Limit{{Key: key, Params: params}}); err != nil {
		return fmt.Errorf("dispatcher: set params: %w", err)
	}
	d.engine.SetParams(key, params)
	d.setParams(key, params)
	return nil
}
