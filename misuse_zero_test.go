package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

var contextType = reflect.TypeFor[context.Context]()

// callMethods calls methods of a value with the zero value of each argument, unless another is
// given for its type, and returns the errors of those that return one, by their names. No
// method may panic or wait.
func callMethods(t *testing.T, v any, which func(reflect.Method) bool, given func(reflect.Type) any) map[string]error {
	t.Helper()
	results := map[string]error{}
	for method := range reflect.TypeOf(v).Methods() {
		if !which(method) {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(v)}
		for i := 1; i < method.Type.NumIn(); i++ {
			in := method.Type.In(i)
			arg := reflect.Zero(in)
			if given != nil {
				if g := given(in); g != nil {
					arg = reflect.ValueOf(g)
				}
			}
			args = append(args, arg)
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%T.%s of zero values panics: %v", v, method.Name, p)
				}
			}()
			call := method.Func.Call
			if method.Type.IsVariadic() {
				args = args[:len(args)-1]
			}
			for _, out := range call(args) {
				if err, ok := out.Interface().(error); ok || out.Type() == reflect.TypeFor[error]() {
					results[method.Name] = err
				}
				if out.Kind() == reflect.Func && out.IsNil() {
					t.Errorf("%T.%s returns a nil sequence", v, method.Name)
				}
			}
		}()
	}
	return results
}

func all(reflect.Method) bool { return true }

// takesContext reports whether the first argument of a method is a context.
func takesContext(m reflect.Method) bool { return m.Type.NumIn() > 1 && m.Type.In(1) == contextType }

func wantField(t *testing.T, what string, err error, field string) {
	t.Helper()
	var wrong *dispatcher.ConfigError
	if !errors.As(err, &wrong) || wrong.Field != field || !errors.Is(err, dispatcher.ErrConfig) {
		t.Errorf("%s = %v, want a ConfigError of %s", what, err, field)
	}
}

// Trap 33: what New has not made says so, whatever is called, and waits for nothing.
func TestTrap33ZeroValuesThatNeedNew(t *testing.T) {
	background := func(in reflect.Type) any {
		if in == contextType {
			return context.Background()
		}
		return nil
	}
	for _, c := range []struct {
		value any
		field string
		fails []string // methods that return an error
	}{
		{&dispatcher.Dispatcher[string]{}, "Dispatcher", []string{
			"Bottlenecks", "Busiest", "Drop", "DropDead", "DropKey", "EachDead", "Forecast", "ForecastKey", "Hold", "Load", "Replay", "Run", "SetParams", "SetWorkers",
			"Shutdown", "Submit", "SubmitAll", "SubmitJob", "Track", "WaitIdle",
		}},
		{&dispatcher.Handle[string]{}, "Handle", []string{"Estimate", "Wait"}},
		{&dispatcher.FreqLimit{}, "Limiter", []string{"Allow", "Clear", "Do", "Wait"}},
	} {
		t.Run(c.field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, given := range []func(reflect.Type) any{nil, background} {
					errs := callMethods(t, c.value, all, given)
					for _, name := range c.fails {
						wantField(t, name, errs[name], c.field)
						delete(errs, name)
					}
					if len(errs) > 0 {
						t.Errorf("methods with an error = %v, that the test does not know of", errs)
					}
				}
			})
		})
	}
	var h dispatcher.Handle[string]
	if h.Cancel() {
		t.Error("Cancel() of the zero Handle = true, want false")
	}
	<-h.Done()
	if r, ok := h.Result(); ok {
		t.Errorf("Result() of the zero Handle = %v, true, want false", r)
	}
}

// Trap 33: other zero values have methods that work.
func TestTrap33ZeroValuesThatWork(t *testing.T) {
	for _, v := range []any{
		dispatcher.Job[string]{},
		dispatcher.JobInfo{},
		dispatcher.Result[string]{},
		dispatcher.Stats{},
		dispatcher.Load{},
		dispatcher.Histogram{},
		dispatcher.Retry{},
		dispatcher.Order(0), dispatcher.Outcome(0), dispatcher.OnDuplicate(0),
		dispatcher.Limit{},
		dispatcher.Forecast{},
		&dispatcher.ConfigError{}, &dispatcher.FullError{}, &dispatcher.PanicError{}, &dispatcher.ShutdownError{}, &dispatcher.StopError{},
		&dispatcher.DuplicateError{}, &dispatcher.RetryAfterError{}, &dispatcher.SnoozeError{}, &dispatcher.PermanentError{},
		&backend.LimitError{}, &gcra.ParamError{}, &gcra.CostError{}, &goredis.ConfigError{}, &goredis.SetupError{},
		gcra.FreqLimitParams{},
		gcra.State{},
	} {
		callMethods(t, v, all, nil)
	}
	if e := dispatcher.JoinEvents[string](); e.Started != nil || e.Retried != nil || e.Done != nil || e.BackendDown != nil || e.BackendUp != nil {
		t.Errorf("JoinEvents() = %+v, want the zero value", e)
	}
}

// Trap 33: a nil context is an error of whatever takes one, and nothing has been done: what
// was called can be called again.
func TestTrap33NilContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, inMemory(), config{Params: perSecond(1)}, nil)
		for name, err := range callMethods(t, s.Dispatcher, takesContext, nil) {
			wantField(t, name, err, "ctx")
		}
		h, err := s.Track(t.Context(), job{Key: "", Payload: "job"})
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range callMethods(t, h, takesContext, nil) {
			wantField(t, name, err, "ctx")
		}
		s.run()
		synctest.Wait()
		for name, err := range callMethods(t, s.Dispatcher, takesContext, nil) {
			wantField(t, name, err, "ctx")
		}
		s.submit("", "next")
		s.drain()
		s.wantStarts("job", 0)
		s.wantStarts("next", time.Second)
		for name, err := range callMethods(t, s.Dispatcher, takesContext, nil) {
			wantField(t, name+" after Run", err, "ctx")
		}

		b := inMemory()
		f, err := dispatcher.NewFreqLimit(b, perSecond(1))
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range callMethods(t, f, takesContext, nil) {
			wantField(t, name, err, "ctx")
		}
		wantField(t, "Do(nil)", f.Do(t.Context(), "", nil), "fn")
		begin := time.Now()
		if err := f.Wait(t.Context(), ""); err != nil || !time.Now().Equal(begin) {
			t.Errorf("Wait() = %v after %v, want nil at once", err, time.Since(begin))
		}
	})
}

// Trap 33: a sequence of jobs that is none.
func TestTrap33NilSequence(t *testing.T) {
	d, err := dispatcher.New(inMemory(), func(context.Context, job) error { return nil }, config{})
	if err != nil {
		t.Fatal(err)
	}
	var none iter.Seq[job]
	n, err := d.SubmitAll(t.Context(), none)
	if n != 0 {
		t.Errorf("SubmitAll(nil) = %d, want 0", n)
	}
	wantField(t, "SubmitAll(nil)", err, "jobs")
	_, err = dispatcher.Plan(config{}, none, 0)
	wantField(t, "Plan(nil)", err, "jobs")
}

// valueBackend is a backend that is no pointer.
type valueBackend struct{ backend.Backend }

// Trap 33: a backend that is none, whatever its type, is an error of what needs one.
func TestTrap33NoBackend(t *testing.T) {
	fine := func(context.Context, job) error { return nil }
	for name, b := range map[string]backend.Backend{
		"nil":                       nil,
		"a nil *memory.Backend":     (*memory.Backend)(nil),
		"a nil *goredis.Backend":    (*goredis.Backend)(nil),
		"a zero goredis.Backend":    &goredis.Backend{},
		"a nil pointer to a struct": (*valueBackend)(nil),
		"a struct of nil":           valueBackend{},
	} {
		d, err := dispatcher.New(b, fine, config{})
		wantField(t, "New() with "+name, err, "backend")
		if d != nil {
			t.Errorf("New() with %s = %v, want nil", name, d)
		}
		f, err := dispatcher.NewFreqLimit(b, perSecond(1))
		wantField(t, "NewFreqLimit() with "+name, err, "backend")
		if f != nil {
			t.Errorf("NewFreqLimit() with %s = %v, want nil", name, f)
		}
	}
	if _, err := dispatcher.New(valueBackend{inMemory()}, fine, config{}); err != nil {
		t.Errorf("New() with a backend in a struct = %v, want nil", err)
	}
}

// Trap 33: the zero memory.Backend is an empty one.
func TestTrap33ZeroMemoryBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &memory.Backend{}, config{Params: perSecond(1)}, nil)
		s.submit("key", "job")
		s.submit("key", "job")
		s.drain()
		s.wantStarts("job", 0, time.Second)
	})
}

// A nil Logger is the default one.
func TestLogOfNoLogger(t *testing.T) {
	err := dispatcher.Log(nil)(t.Context(), dispatcher.JobInfo{}, func(context.Context) error { return errFailed })
	if err != errFailed {
		t.Errorf("the run returns %v, want %v", err, errFailed)
	}
}

// The errors name what is wrong, and say what to do.
func TestTextsOfMisuse(t *testing.T) {
	d, err := dispatcher.New(inMemory(), func(context.Context, job) error { return nil }, config{})
	if err != nil {
		t.Fatal(err)
	}
	var none context.Context
	for want, err := range map[string]error{
		"dispatcher: ctx is nil: must be given, for example context.Background()": d.Run(none),
		"dispatcher: Dispatcher is zero: must be made by New":                     new(dispatcher.Dispatcher[string]).Run(none),
		"dispatcher: Limiter is zero: must be made by freqlimit.New":              new(dispatcher.FreqLimit).Wait(none, ""),
	} {
		if got := fmt.Sprint(err); !strings.HasPrefix(got, want) {
			t.Errorf("error = %q, want %q", got, want)
		}
	}
}
