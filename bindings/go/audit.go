package cyborgkms

// #include "shim.h"
import "C"

import (
	"runtime/cgo"
	"sync"
)

// audit is who hears of the events of an engine, which all its handles share: retained ones, and scopes.
type audit struct {
	mutex   sync.Mutex
	handles int
	handle  cgo.Handle
}

// SetAuditCallback gives audit events, each a JSON object, to hear, several at once; nil ends it. It returns when
// nothing is in the former callback any more. hear must not call this engine. The callback ends, too, when the last
// Engine value for this engine (retained ones and scopes count) is closed.
func (e *Engine) SetAuditCallback(hear func(eventJSON string)) error {
	engine, err := e.ref.acquire()
	if err != nil {
		return err
	}
	defer e.released()
	e.audit.mutex.Lock()
	defer e.audit.mutex.Unlock()
	return e.audit.set(engine, hear)
}

func (a *audit) set(engine *C.cyborg_kms_engine, hear func(string)) error {
	var handle cgo.Handle
	if hear != nil {
		handle = cgo.NewHandle(hear)
	}
	var failed *C.cyborg_kms_error
	status := C.go_kms_engine_set_audit_callback(engine, C.uintptr_t(handle), &failed)
	if err := failure(status, failed); err != nil {
		if hear != nil {
			handle.Delete()
		}
		return err
	}
	if a.handle != 0 {
		a.handle.Delete()
	}
	a.handle = handle
	return nil
}

func (a *audit) join() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.handles++
}

// leave ends the callback with the last handle: indexes may keep the engine alive beyond it.
func (a *audit) leave(engine *C.cyborg_kms_engine) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.handles--
	if a.handles == 0 && a.handle != 0 {
		_ = a.set(engine, nil)
	}
}

// AuditVerify finds the first line of an audit file that was changed, removed or reordered: ErrCorrupt. key is that of
// audit.key_file, KeyLen bytes, or nil: then no MAC is checked. headJSON is what AuditHead gave, or "". The report, a
// JSON object, may come with an error.
func AuditVerify(path string, key []byte, headJSON string) (reportJSON []byte, err error) {
	cPath, err := text("the path", path)
	if err != nil {
		return nil, err
	}
	head, err := textOrNull("the head", headJSON)
	if err != nil {
		return nil, err
	}
	if key != nil && len(key) != KeyLen { // an empty one must not pass for none
		return nil, invalid("the audit key has not 32 bytes: give what audit.key_file holds, or nil")
	}
	var out *C.cyborg_kms_buffer
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_audit_verify(cPath, pointer(key), length(key), head, &out, &failed)
	return taken(out), failure(status, failed)
}

// AuditHead is the head of an audit file, a JSON object to be kept elsewhere: without it a cut tail can't be noticed.
func AuditHead(path string) (headJSON []byte, err error) {
	cPath, err := text("the path", path)
	if err != nil {
		return nil, err
	}
	var out *C.cyborg_kms_buffer
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_audit_head(cPath, &out, &failed)
	return taken(out), failure(status, failed)
}
