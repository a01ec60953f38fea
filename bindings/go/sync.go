package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"runtime/cgo"
)

// SyncOptions are the settings of a sync.
type SyncOptions struct {
	// DryRun reports only.
	DryRun bool
	// Concurrency is how many indexes at once; 0: the default.
	Concurrency uint32
	// RequestsPerSecond to each slot's KMS; 0: the slot's setting.
	RequestsPerSecond uint32
}

// Progress is what sync tells of each index that it is done with.
type Progress struct {
	Done, Total uint64
	IndexName   string
	// Status is OK, or why it failed.
	Status Status
}

// progress is the callback's side of a sync.
type progress struct {
	ctx   context.Context
	tell  func(Progress) bool
	fault error
	// ended: the context stopped it.
	ended bool
}

// Sync holds every stored record against the registry and mends what drifted. tell, which may be nil, hears of each
// index and returns false to stop; it must not call this engine. The report, a JSON object, may come with an error.
func (e *Engine) Sync(ctx context.Context, options SyncOptions, tell func(Progress) bool) (reportJSON []byte, err error) {
	return call[[]byte]{writes: true, work: func(engine *C.cyborg_kms_engine) ([]byte, error) {
		p := &progress{ctx: ctx, tell: tell}
		handle := cgo.NewHandle(p)
		defer handle.Delete()
		var out *C.cyborg_kms_buffer
		var failed *C.cyborg_kms_error
		status := C.go_kms_engine_sync(engine, C.bool(options.DryRun), C.uint32_t(options.Concurrency),
			C.uint32_t(options.RequestsPerSecond), C.uintptr_t(handle), &out, &failed)
		report, err := taken(out), failure(status, failed)
		switch {
		case p.fault != nil:
			return report, p.fault
		case err == nil && p.ended: // to the library it looks like a stop of the caller's
			return report, cancelled(ctx, "the context ended during the sync", true)
		}
		return report, err
	}}.do(ctx, e)
}

// heard is false when sync should stop: it was told to, its context ended, or the callback panicked.
func (p *progress) heard(at Progress) bool {
	p.ended = p.ended || p.ctx.Err() != nil
	if p.ended || p.fault != nil {
		return false
	}
	if p.tell == nil {
		return true
	}
	goOn := false
	if fault := guard(func() { goOn = p.tell(at) }); fault != nil {
		p.fault = &Error{Status: ErrInternal, Message: "the progress callback of Sync " + fault.Error(), OutcomeUnknown: true}
		return false
	}
	return goOn
}
