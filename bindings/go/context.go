package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
)

// A call of an engine that may wait.
type call[T any] struct {
	// writes: the call may have changed something when it is cancelled.
	writes bool
	// work does it, by an engine or a scope of it.
	work func(*C.cyborg_kms_engine) (T, error)
	// drop undoes a result that nobody takes; nil where there is nothing to free.
	drop func(T)
}

// do calls with the engine itself where the context cannot end, else with a scope that ends with it.
func (c call[T]) do(ctx context.Context, e *Engine) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, cancelled(ctx, "the context had ended before the call", false)
	}
	engine, err := e.ref.acquire()
	if err != nil {
		return none, err
	}
	defer e.released()
	if ctx.Done() == nil {
		return c.work(engine)
	}
	scope, err := openScope(engine, ScopeOptions{})
	if err != nil {
		return none, err
	}
	defer C.cyborg_kms_engine_free(scope)
	return c.within(ctx, scope)
}

func (c call[T]) within(ctx context.Context, scope *C.cyborg_kms_engine) (T, error) {
	ended := cancelWith(ctx, scope)
	result, err := c.work(scope)
	if !ended() {
		return result, err
	}
	var none T
	var failed *Error
	switch {
	case err == nil && c.drop != nil: // nobody waits for the handle any more
		c.drop(result)
		return none, cancelled(ctx, "the context ended during the call", c.writes)
	case errors.As(err, &failed) && failed.Status == ErrCancelled:
		failed.cause = ctx.Err()
	}
	return result, err
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

// nothing is the result of a call that has none.
type nothing = struct{}

// run is do for a call without a result.
func run(ctx context.Context, e *Engine, writes bool, work func(*C.cyborg_kms_engine) error) error {
	_, err := call[nothing]{writes: writes, work: func(engine *C.cyborg_kms_engine) (nothing, error) {
		return nothing{}, work(engine)
	}}.do(ctx, e)
	return err
}

// alone makes a call that no scope reaches. When the context ends it goes on by itself, and its result is dropped.
func alone[T any](ctx context.Context, writes bool, work func() (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, cancelled(ctx, "the context had ended before the call", false)
	}
	if ctx.Done() == nil {
		return work()
	}
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
		return none, cancelled(ctx, "the context ended during the call, which goes on in the background", writes)
	}
}
