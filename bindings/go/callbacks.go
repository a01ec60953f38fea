package cyborgkms

// #include "shim.h"
import "C"

import (
	"io"
	"runtime/cgo"
	"unsafe"
)

// What shim.c calls. The handles are valid: C holds them only until it called goDestroy, or the call returned that
// gave them. Arguments are borrowed for the call, so what a goroutine takes along is copied.

//export goDestroy
func goDestroy(handle C.uintptr_t) {
	value := cgo.Handle(handle).Value()
	cgo.Handle(handle).Delete()
	if closer, ok := value.(io.Closer); ok {
		_ = guard(func() { _ = closer.Close() }) // there is nobody to tell
	}
}

//export goProviderWrap
func goProviderWrap(
	keyID *C.char, aad *C.uint8_t, aadLen C.size_t, kek *C.uint8_t, kekLen C.size_t, reply *C.cyborg_kms_reply,
	handle C.uintptr_t,
) {
	provider := cgo.Handle(handle).Value().(Provider)
	id, bound, plaintext := C.GoString(keyID), copied(aad, aadLen), copied(kek, kekLen)
	method{name: "the provider's Wrap", unknown: ErrInternal, run: func() ([]byte, uint64, error) {
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
	provider := cgo.Handle(handle).Value().(Provider)
	id, bound, sealed := C.GoString(keyID), copied(aad, aadLen), copied(wrapped, wrappedLen)
	method{name: "the provider's Unwrap", unknown: ErrInternal, secret: true, run: func() ([]byte, uint64, error) {
		kek, err := provider.Unwrap(id, bound, sealed)
		return kek, 0, err
	}}.answer(reply)
}

//export goStoreGet
func goStoreGet(indexName *C.char, reply *C.cyborg_kms_reply, handle C.uintptr_t) {
	records, name := cgo.Handle(handle).Value().(Records), C.GoString(indexName)
	method{name: "the store's Get", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		return records.Get(name)
	}}.answer(reply)
}

//export goStorePut
func goStorePut(
	indexName *C.char, data *C.uint8_t, dataLen C.size_t, expected C.uint64_t, reply *C.cyborg_kms_reply,
	handle C.uintptr_t,
) {
	records, name, record := cgo.Handle(handle).Value().(Records), C.GoString(indexName), copied(data, dataLen)
	method{name: "the store's Put", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		revision, err := records.Put(name, record, uint64(expected))
		return nil, revision, err
	}}.answer(reply)
}

//export goStoreRemove
func goStoreRemove(indexName *C.char, expected C.uint64_t, reply *C.cyborg_kms_reply, handle C.uintptr_t) {
	records, name := cgo.Handle(handle).Value().(Records), C.GoString(indexName)
	method{name: "the store's Remove", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		return nil, 0, records.Remove(name, uint64(expected))
	}}.answer(reply)
}

//export goStoreList
func goStoreList(
	startAfter *C.char, name C.cyborg_kms_name_callback, nameData unsafe.Pointer, reply *C.cyborg_kms_reply,
	handle C.uintptr_t,
) {
	records, after := cgo.Handle(handle).Value().(Records), C.GoString(startAfter)
	method{name: "the store's List", unknown: ErrStorage, run: func() ([]byte, uint64, error) {
		return nil, 0, records.List(after, func(indexName string) bool {
			cName, err := text("a listed name", indexName)
			return err == nil && bool(C.go_kms_name(name, cName, nameData))
		})
	}}.answer(reply)
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
