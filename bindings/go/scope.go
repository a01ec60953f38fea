package cyborgkms

// #include "shim.h"
import "C"

import (
	"math"
	"time"
)

// ScopeOptions are settings for everything that is called through a scope.
type ScopeOptions struct {
	// Deadline is how long a call may take, retries included; 0: as the engine's. In whole milliseconds, rounded up.
	Deadline time.Duration
	// Principal is who acts, for the audit trail; "": as the engine's.
	Principal string
}

// Scope is the same engine with settings of its own; the engine may be a scope itself. Indexes that are opened through
// it are not bound to it. Close it after use.
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
	return newEngine(out, e.audit), nil
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
