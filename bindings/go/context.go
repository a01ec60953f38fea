package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
)

// A call of an engine that may wait.
type call[T any] struct {
	// writes: the call may have changed something when it is left alone or cancelled.
	writes bool
	// work does it, by an engine or a scope of it.
	work func(*C.cyborg_kms_engine) (T, error)
	// drop undoes a result that nobody takes; nil where there is nothing to free.
	drop func(T)
	// secrets are copies of the caller's, who may wipe his own when the call returns, also while the work goes on.
	secrets [][]byte
}

const leftAlone = "the context ended while the call was under way; the library goes on with it in the background"

// do calls with the engine itself where the context cannot end, else with a scope that ends with it.
func (c call[T]) do(ctx context.Context, e *Engine) (T, error) {
	var none T
	begun := false
	defer func() {
		if !begun {
			c.wipe()
		}
	}()
	if ctx.Err() != nil {
		return none, cancelled(ctx, "the context had ended before the call", false)
	}
	engine, err := e.ref.acquire()
	if err != nil {
		return none, err
	}
	if ctx.Done() == nil {
		begun = true
		defer e.released()
		return c.begin(engine)
	}
	scope, err := openScope(engine, e.options)
	if errors.Is(err, ErrUnsupported) {
		begun = true
		return leave(ctx, c.writes, c.drop, func() (T, error) {
			defer e.released()
			return c.begin(engine)
		})
	}
	defer e.released()
	if err != nil {
		return none, err
	}
	defer C.cyborg_kms_engine_free(scope)
	begun = true
	return c.within(ctx, e, scope)
}

// begin does the work, after which its secrets are not needed.
func (c call[T]) begin(engine *C.cyborg_kms_engine) (T, error) {
	defer c.wipe()
	return c.work(engine)
}

func (c call[T]) wipe() {
	for _, secret := range c.secrets {
		Wipe(secret)
	}
}

func (c call[T]) within(ctx context.Context, e *Engine, scope *C.cyborg_kms_engine) (T, error) {
	ended := cancelWith(ctx, scope)
	// A scope of the caller's was cancelled by Engine.Cancel: that ends what goes through it by another one, too.
	if e.cancelled != nil {
		defer cancelWith(e.cancelled, scope)()
	}
	result, err := c.begin(scope)
	if !ended() {
		return result, err
	}
	if err == nil && c.drop == nil {
		return result, nil // done before it could be cancelled
	}
	var none T
	if err == nil {
		c.drop(result) // a handle of a cancelled scope is of no use
		return none, cancelled(ctx, "the context ended during the call", c.writes)
	}
	var failed *Error
	if errors.As(err, &failed) && failed.Status == ErrCancelled {
		failed.cause = ctx.Err()
	}
	return none, err
}

// cancelWith cancels the scope when the context ends. What it returns ends that, and says whether it happened; the
// scope may be freed after it.
func cancelWith(ctx context.Context, scope *C.cyborg_kms_engine) func() bool {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		C.cyborg_kms_engine_cancel(scope)
	})
	return func() bool {
		if stop() {
			return false
		}
		<-done
		return true
	}
}

// leave does work that nothing can cancel: when the context ends it goes on alone, and its result is dropped.
func leave[T any](ctx context.Context, writes bool, drop func(T), work func() (T, error)) (T, error) {
	type outcome struct {
		result T
		err    error
	}
	outcomes := make(chan outcome, 1)
	go func() {
		result, err := work()
		outcomes <- outcome{result, err}
	}()
	select {
	case o := <-outcomes:
		return o.result, o.err
	case <-ctx.Done():
	}
	if drop != nil {
		go func() {
			if o := <-outcomes; o.err == nil {
				drop(o.result)
			}
		}()
	}
	var none T
	return none, cancelled(ctx, leftAlone, writes)
}

// nothing is the result of a call that has none.
type nothing = struct{}

// run is do for a call without a result.
func run(
	ctx context.Context, e *Engine, writes bool, work func(*C.cyborg_kms_engine) error, secrets ...[]byte,
) error {
	_, err := call[nothing]{writes: writes, secrets: secrets, work: func(engine *C.cyborg_kms_engine) (nothing, error) {
		return nothing{}, work(engine)
	}}.do(ctx, e)
	return err
}

// alone makes a call that no scope reaches: at once where the context cannot end, else by leave.
func alone[T any](ctx context.Context, writes bool, work func() (T, error)) (T, error) {
	if ctx.Err() != nil {
		var none T
		return none, cancelled(ctx, "the context had ended before the call", false)
	}
	if ctx.Done() == nil {
		return work()
	}
	return leave(ctx, writes, nil, work)
}
