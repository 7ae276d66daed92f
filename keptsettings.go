package dispatcher

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// The names of the settings in a journal. Those of a key end with the key.
const (
	settingPaused    = "paused"
	settingPausedKey = "paused:"
	settingParams    = "params:"
)

// set keeps a setting in the journal, if there is one; nil deletes it. If the journal fails, Load tries again.
func (d *Dispatcher[T]) set(name string, value []byte) {
	k := d.kept
	if k == nil {
		return
	}
	d.engine.Lock()
	k.settings = append(k.settings, backend.Setting{Name: name, Value: value})
	d.engine.Unlock()
	if err := d.writeSettings(); err != nil {
		d.engine.Log(slog.LevelWarn, "dispatcher: journal unavailable, a setting is not kept yet", slog.Any("error", err))
		k.signal()
	}
}

// writeSettings writes the settings that were not written yet, one call after another.
func (d *Dispatcher[T]) writeSettings() error {
	settings := d.beginSettings()
	if len(settings) == 0 {
		return nil
	}
	k := d.kept
	err := k.write(context.Background(), &backend.Changes{Settings: settings})
	d.engine.Lock()
	defer d.engine.Unlock()
	k.setting = false
	k.written.Broadcast()
	if err == nil {
		k.settings = k.settings[len(settings):]
	}
	return err
}

// beginSettings returns the settings to write, once no other call writes any.
func (d *Dispatcher[T]) beginSettings() []backend.Setting {
	k := d.kept
	d.engine.Lock()
	defer d.engine.Unlock()
	for k.setting {
		k.written.Wait()
	}
	k.setting = len(k.settings) > 0
	return k.settings
}

func (d *Dispatcher[T]) setParams(key string, params gcra.FreqLimitParams) {
	if d.kept == nil {
		return
	}
	value, err := json.Marshal(params)
	if err != nil {
		panic(err) // three integers
	}
	d.set(settingParams+key, value)
}

// restoreSettings makes the settings that an earlier process has kept.
func (d *Dispatcher[T]) restoreSettings(settings []backend.Setting) error {
	for _, s := range settings {
		switch {
		case s.Name == settingPaused:
			d.engine.Pause()
		case strings.HasPrefix(s.Name, settingPausedKey):
			d.engine.PauseKey(s.Name[len(settingPausedKey):])
		case strings.HasPrefix(s.Name, settingParams):
			var params gcra.FreqLimitParams
			key := s.Name[len(settingParams):]
			err := json.Unmarshal(s.Value, &params)
			if err == nil {
				err = d.engine.Traits().Check([]Limit{{Key: key, Params: params}})
			}
			if err != nil {
				return fmt.Errorf("dispatcher: recover: setting %q: %w", s.Name, err)
			}
			d.engine.SetParams(key, params)
		}
	}
	return nil
}
