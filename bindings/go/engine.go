package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
)

// Engine is a registry of slots, a store of records and a cache of KEKs. A process has one.
type Engine struct {
	ref   *ref[*C.cyborg_kms_engine]
	audit *audit
}

func newEngine(handle *C.cyborg_kms_engine, a *audit) *Engine {
	e := &Engine{audit: a}
	a.join()
	e.ref = newRef(e, handle, func(handle *C.cyborg_kms_engine) {
		a.leave(handle)
		C.cyborg_kms_engine_free(handle)
	})
	return e
}

// released ends what ref.acquire began, and keeps the engine from being collected until then.
func (e *Engine) released() {
	e.ref.release()
	runtime.KeepAlive(e)
}

// Open opens an engine from a configuration file: YAML or JSON; relative paths in it start at its folder. No KMS is
// asked.
func Open(path string) (*Engine, error) {
	cPath, err := text("the path", path)
	if err != nil {
		return nil, err
	}
	var out *C.cyborg_kms_engine
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_open(cPath, &out, &failed)
	return opened(status, out, failed)
}

// OpenYAML opens an engine from the configuration's text. "{}" is a store in memory and no slot.
func OpenYAML(yaml string) (*Engine, error) {
	cYAML, err := text("the configuration", yaml)
	if err != nil {
		return nil, err
	}
	var out *C.cyborg_kms_engine
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_open_yaml(cYAML, &out, &failed)
	return opened(status, out, failed)
}

// OpenYAMLWithStore opens an engine with a store of the caller's; the configuration must not have the section
// storage. The engine keeps the store alive; the caller still closes his own.
func OpenYAMLWithStore(yaml string, store *Store) (*Engine, error) {
	cYAML, err := text("the configuration", yaml)
	if err != nil {
		return nil, err
	}
	handle, err := store.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer store.released()
	var out *C.cyborg_kms_engine
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_open_yaml_with_store(cYAML, handle, &out, &failed)
	return opened(status, out, failed)
}

func opened(status C.cyborg_kms_status, out *C.cyborg_kms_engine, failed *C.cyborg_kms_error) (*Engine, error) {
	if err := failure(status, failed); err != nil {
		return nil, err
	}
	return newEngine(out, new(audit)), nil
}

// Close frees the engine when the last call that uses it ended. Open indexes keep what they need of it. It waits for no
// method of a [Provider] or of [Records]: one that its call gave up on runs to its end, and what it belongs to is
// closed after that. It returns nil, always.
func (e *Engine) Close() error {
	e.ref.close()
	return nil
}

// Retain is one more handle of the same engine, which is closed by itself: for a part of a program that must not
// depend on when another closes its own.
func (e *Engine) Retain() (*Engine, error) {
	handle, err := e.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer e.released()
	return newEngine(C.cyborg_kms_engine_retain(handle), e.audit), nil
}

// Reload reads the configuration anew from the file that the engine was opened from: slots come, change and go, cache
// and open indexes stay. All or nothing.
func (e *Engine) Reload() error { return e.reload(nil) }

// ReloadYAML is Reload with the configuration's new text.
func (e *Engine) ReloadYAML(yaml string) error {
	cYAML, err := text("the configuration", yaml)
	if err != nil {
		return err
	}
	return e.reload(cYAML)
}

func (e *Engine) reload(yaml *C.char) error {
	handle, err := e.ref.acquire()
	if err != nil {
		return err
	}
	defer e.released()
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_reload(handle, yaml, &failed)
	return failure(status, failed)
}

// Store is the engine's store.
func (e *Engine) Store() (*Store, error) {
	handle, err := e.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer e.released()
	var out *C.cyborg_kms_store
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_store(handle, &out, &failed)
	if err := failure(status, failed); err != nil {
		return nil, err
	}
	return newStore(out), nil
}

// Check proves that a slot works, by a wrap and an unwrap of random bytes; "" is every slot but those of provider
// none. It makes the key of a local slot with create: true.
func (e *Engine) Check(ctx context.Context, kmsName string) error {
	slot, err := textOrNull("the slot's name", kmsName)
	if err != nil {
		return err
	}
	return run(ctx, e, true, func(engine *C.cyborg_kms_engine) error {
		var failed *C.cyborg_kms_error
		status := C.cyborg_kms_engine_check(engine, slot, &failed)
		return failure(status, failed)
	})
}

// Evict wipes the cached keys of an index, for open handles too; "" is every index. The next use asks the KMS.
func (e *Engine) Evict(indexName string) error {
	name, err := textOrNull("the index's name", indexName)
	if err != nil {
		return err
	}
	handle, err := e.ref.acquire()
	if err != nil {
		return err
	}
	defer e.released()
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_evict(handle, name, &failed)
	return failure(status, failed)
}
