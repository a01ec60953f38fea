package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"math"
	"time"
)

// ScopeOptions are settings for everything that is called through a scope.
type ScopeOptions struct {
	// Deadline is how long a call may take, retries included; 0: no limit of its own. In whole milliseconds, rounded
	// up.
	Deadline time.Duration
	// Principal is who acts, for the audit trail; "": the configuration's.
	Principal string
}

// Scope is the same engine with settings of its own. Close it after use.
func (e *Engine) Scope(options ScopeOptions) (*Engine, error) {
	handle, err := e.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer e.released()
	out, err := openScope(handle, options)
	if err != nil {
		return nil, err
	}
	scope := newEngine(out, e.audit)
	scope.options = options
	parent := context.Background()
	if e.cancelled != nil {
		parent = e.cancelled
	}
	scope.cancelled, scope.cancel = context.WithCancel(parent)
	return scope, nil
}

// Cancel ends the calls through a scope, under way and to come, with ErrCancelled. On an engine that is no scope it
// does nothing.
func (e *Engine) Cancel() {
	handle, err := e.ref.acquire()
	if err != nil {
		return // closed: no call can come
	}
	defer e.released()
	C.cyborg_kms_engine_cancel(handle)
	if e.cancel != nil {
		e.cancel()
	}
}

func openScope(engine *C.cyborg_kms_engine, options ScopeOptions) (*C.cyborg_kms_engine, error) {
	principal, err := textOrNull("the principal", options.Principal)
	if err != nil {
		return nil, err
	}
	if options.Deadline < 0 || options.Deadline > math.MaxUint32*time.Millisecond {
		return nil, invalid("the deadline is not between 0 and 49 days: 0 is none")
	}
	milliseconds := C.uint32_t((options.Deadline + time.Millisecond - 1) / time.Millisecond)
	var out *C.cyborg_kms_engine
	var failed *C.cyborg_kms_error
	status := C.go_kms_engine_scope(engine, milliseconds, principal, &out, &failed)
	if err := failure(status, failed); err != nil {
		return nil, err
	}
	return out, nil
}
