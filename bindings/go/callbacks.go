package cyborgkms

// #include "shim.h"
import "C"

import (
	"runtime/cgo"
	"sync"
	"unsafe"
)

// What shim.c calls. The handles are valid: C holds them only until it called goDestroy, or the call returned that
// gave them. Arguments are borrowed for the call, so what a goroutine takes along is copied.

//export goDestroy
func goDestroy(handle C.uintptr_t) {
	s := cgo.Handle(handle).Value().(*served)
	cgo.Handle(handle).Delete()
	s.end()
}

//export goProviderWrap
func goProviderWrap(
	keyID *C.char, aad *C.uint8_t, aadLen C.size_t, kek *C.uint8_t, kekLen C.size_t, reply *C.cyborg_kms_reply,
	handle C.uintptr_t,
) {
	of, provider := serving[Provider](handle)
	id, bound, plaintext := C.GoString(keyID), copied(aad, aadLen), copied(kek, kekLen)
	method{of: of, name: "the provider's Wrap", unknown: ErrInternal, run: func() ([]byte, uint64, error) {
		defer Wipe(plaintext)
		wrapped, err := provider.Wrap(id, bound, plaintext)
		return wrapped, 0, err
	}}.answer(reply)
}

//export goProviderUnwrap
func goProviderUnwrap(
	keyID *C.char, aad *C.uint8_t, aadLen C.size_t, wrapped *C.uint8_t, wrappedLen C.size_t,
	reply *C.cyborg_kms_reply, handle C.uintptr_t,
) {
	of, provider := serving[Provider](handle)
	id, bound, sealed := C.GoString(keyID), copied(aad, aadLen), copied(wrapped, wrappedLen)
	run := func() ([]byte, uint64, error) {
		kek, err := provider.Unwrap(id, bound, sealed)
		return kek, 0, err
	}
	method{of: of, name: "the provider's Unwrap", unknown: ErrInternal, secret: true, run: run}.answer(reply)
}

//export goStoreGet
func goStoreGet(indexName *C.char, reply *C.cyborg_kms_reply, handle C.uintptr_t) {
	of, records := serving[Records](handle)
	name := C.GoString(indexName)
	method{of: of, name: "the store's Get", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		return records.Get(name)
	}}.answer(reply)
}

//export goStorePut
func goStorePut(
	indexName *C.char, data *C.uint8_t, dataLen C.size_t, expected C.uint64_t, reply *C.cyborg_kms_reply,
	handle C.uintptr_t,
) {
	of, records := serving[Records](handle)
	name, record := C.GoString(indexName), copied(data, dataLen)
	method{of: of, name: "the store's Put", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		revision, err := records.Put(name, record, uint64(expected))
		return nil, revision, err
	}}.answer(reply)
}

//export goStoreRemove
func goStoreRemove(indexName *C.char, expected C.uint64_t, reply *C.cyborg_kms_reply, handle C.uintptr_t) {
	of, records := serving[Records](handle)
	name := C.GoString(indexName)
	method{of: of, name: "the store's Remove", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		return nil, 0, records.Remove(name, uint64(expected))
	}}.answer(reply)
}

//export goStoreList
func goStoreList(
	startAfter *C.char, name C.cyborg_kms_name_callback, nameData unsafe.Pointer, reply *C.cyborg_kms_reply,
	handle C.uintptr_t,
) {
	of, records := serving[Records](handle)
	after, names := C.GoString(startAfter), &naming{name: name, data: nameData}
	method{of: of, name: "the store's List", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		defer names.end()
		return nil, 0, records.List(after, names.hear)
	}}.answer(reply)
}

// naming is C's callback for the names of a List. It dies with the answer, but a goroutine that List left behind may
// still call it.
type naming struct {
	mutex sync.RWMutex
	ended bool
	name  C.cyborg_kms_name_callback
	data  unsafe.Pointer
}

func (n *naming) hear(indexName string) bool {
	n.mutex.RLock()
	defer n.mutex.RUnlock()
	if n.ended {
		return false
	}
	cName, err := text("a listed name", indexName)
	if err != nil {
		return true // no index has such a name: it is passed over, as the library does with other foreign ones
	}
	return bool(C.go_kms_name(n.name, cName, n.data))
}

func (n *naming) end() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.ended = true
}

//export goNamed
func goNamed(indexName *C.char, handle C.uintptr_t) C.bool {
	names := cgo.Handle(handle).Value().(*[]string)
	*names = append(*names, C.GoString(indexName))
	return len(*names) < listed
}

//export goProgress
func goProgress(done, total C.uint64_t, indexName *C.char, status C.cyborg_kms_status, handle C.uintptr_t) C.bool {
	p := cgo.Handle(handle).Value().(*progress)
	return C.bool(p.heard(Progress{uint64(done), uint64(total), C.GoString(indexName), Status(status)}))
}

//export goAudited
func goAudited(eventJSON *C.char, handle C.uintptr_t) {
	hear, event := cgo.Handle(handle).Value().(func(string)), C.GoString(eventJSON)
	_ = guard(func() { hear(event) }) // there is nobody to tell
}

//export goLogged
func goLogged(level C.cyborg_kms_log_level, target, message, fieldsJSON *C.char, handle C.uintptr_t) {
	log := cgo.Handle(handle).Value().(func(LogLine))
	line := LogLine{LogLevel(level), C.GoString(target), C.GoString(message), C.GoString(fieldsJSON)}
	_ = guard(func() { log(line) }) // there is nobody to tell
}

//export goIndexOpened
func goIndexOpened(
	status C.cyborg_kms_status, index *C.cyborg_kms_index, failed *C.cyborg_kms_error, handle C.uintptr_t,
) {
	done := cgo.Handle(handle).Value().(func(*Index, error))
	cgo.Handle(handle).Delete()
	if err := failure(status, failed); err != nil {
		go done(nil, err)
		return
	}
	go done(newIndex(index), nil)
}
