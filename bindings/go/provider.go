package cyborgkms

// #include "shim.h"
import "C"

import "runtime/cgo"

// Provider wraps and unwraps KEKs for the slots that say "provider: external:NAME": hold your own key, an enclave, a
// KMS that the library does not know.
//
// Its methods run on goroutines of their own, several at once, and must not call the engine. An answer that does not
// come within the slot's request_timeout is ErrTimeout for the caller. An error that is, or wraps, a [Status] or an
// [*Error] has that status; any other, a panic and runtime.Goexit are ErrInternal. Never put a secret into an error.
// A Provider that is an [io.Closer] is closed once, when no engine or index uses it any more and its last method has
// returned, also when registering it failed: on a goroutine of its own, which Close of an engine does not wait for.
type Provider interface {
	// Wrap wraps a KEK of KeyLen bytes under keyID, bound to aad (empty in a cyborgdb_compatible slot): 1 byte to
	// 64 KiB. The KEK is wiped when Wrap returns.
	Wrap(keyID string, aad, kek []byte) ([]byte, error)
	// Unwrap undoes it: the KeyLen bytes, or an error when they are not what was wrapped with this aad. What it
	// returns is wiped: return a copy of what must last.
	Unwrap(keyID string, aad, wrapped []byte) ([]byte, error)
}

// RegisterProvider has a provider serve the slots that say "provider: external:NAME". Until then using such a slot is
// ErrConfig.
func (e *Engine) RegisterProvider(name string, provider Provider) error {
	if provider == nil {
		return invalid("there is no provider: give one")
	}
	s := &served{object: provider}
	cName, err := text("the provider's name", name)
	if err != nil {
		s.end()
		return err
	}
	engine, err := e.ref.acquire()
	if err != nil {
		s.end()
		return err
	}
	defer e.released()
	var failed *C.cyborg_kms_error
	status := C.go_kms_engine_register_provider(engine, cName, C.uintptr_t(cgo.NewHandle(s)), &failed)
	return failure(status, failed)
}
