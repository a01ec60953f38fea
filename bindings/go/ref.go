package cyborgkms

import (
	"runtime"
	"sync/atomic"
)

// ref counts the calls that use a handle of the library's, so that it is freed once: when it was closed and the last
// of them ended. C must not free a handle that is in use.
type ref[P any] struct {
	state  atomic.Int64 // twice the calls under way, and 1 when closed
	handle P
	free   func(P)
}

// freed stands far from what counting can reach, so that late calls change nothing.
const freed = 1<<62 | 1

var errClosed = &Error{Status: ErrInvalidArgument, Message: "the handle is closed: close it after its last use", cause: ErrClosed}

// newRef has the handle closed when its owner is collected, too. free must not reach the owner.
func newRef[P, Owner any](owner *Owner, handle P, free func(P)) *ref[P] {
	r := &ref[P]{handle: handle, free: free}
	runtime.AddCleanup(owner, (*ref[P]).close, r)
	return r
}

// acquire keeps the handle from being freed until release. The caller keeps the owner alive (runtime.KeepAlive), or
// the collector may close the handle before.
func (r *ref[P]) acquire() (P, error) {
	if r.state.Add(2)&1 != 0 {
		r.release()
		var none P
		return none, errClosed
	}
	return r.handle, nil
}

func (r *ref[P]) release() {
	if r.state.Add(-2) == 1 {
		r.freeOnce()
	}
}

func (r *ref[P]) close() {
	if r.state.Or(1) == 0 {
		r.freeOnce()
	}
}

func (r *ref[P]) freeOnce() {
	if r.state.CompareAndSwap(1, freed) {
		r.free(r.handle)
	}
}
