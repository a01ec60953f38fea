package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"runtime/cgo"
)

// Index is an open index.
type Index struct {
	ref *ref[*C.cyborg_kms_index]
}

// released ends what ref.acquire began, and keeps the index from being collected until then.
func (i *Index) released() {
	i.ref.release()
	runtime.KeepAlive(i)
}

// Capabilities are what an open index may do.
type Capabilities uint32

// What is not granted is ErrAccessDenied.
const (
	CanEncrypt Capabilities = C.CYBORG_KMS_CAN_ENCRYPT // Encrypt, GenerateDataKey
	CanDecrypt Capabilities = C.CYBORG_KMS_CAN_DECRYPT // Decrypt, UnwrapDataKey
	CanDerive  Capabilities = C.CYBORG_KMS_CAN_DERIVE  // DeriveKey
	CanExport  Capabilities = C.CYBORG_KMS_CAN_EXPORT  // ExportKEK
)

// OpenFlags change how an open index behaves.
type OpenFlags uint32

// OpenNoWait: page calls never wait for a network, not even when the lifetime is over: ErrKMSUnavailable until a
// refresh succeeded.
const OpenNoWait OpenFlags = C.CYBORG_KMS_OPEN_NO_WAIT

// OpenOptions say how to open an index.
type OpenOptions struct {
	// KEK is the key of an index of provider none; nil for every other.
	KEK KEK
	// Capabilities; 0: all that the slot grants.
	Capabilities Capabilities
	// Flags: 0, or OpenNoWait.
	Flags OpenFlags
	// MinEpoch: an older record is ErrRolledBack. A host that remembers the last epoch it saw notices a restored old
	// record.
	MinEpoch uint64
}

// opening is a call that gives an index.
func opening(writes bool, work func(*C.cyborg_kms_engine) C.go_kms_opened) call[*Index] {
	return call[*Index]{
		writes: writes,
		work: func(engine *C.cyborg_kms_engine) (*Index, error) {
			return openedIndex(work(engine))
		},
		drop: func(i *Index) { i.ref.close() },
	}
}

func openedIndex(opened C.go_kms_opened) (*Index, error) {
	if opened.status != C.CYBORG_KMS_OK {
		return nil, failure(opened.status, opened.error)
	}
	return newIndex(opened.index), nil
}

// CreateIndex creates an index with a fresh random KEK that the slot kmsName guards. Create only where the catalog
// says that the index is new: ErrNotFound from OpenIndex is no reason. Durable when it returns.
func (e *Engine) CreateIndex(ctx context.Context, indexName, kmsName string) (*Index, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		return nil, err
	}
	slot, err := text("the slot's name", kmsName)
	if err != nil {
		return nil, err
	}
	return opening(true, func(engine *C.cyborg_kms_engine) (o C.go_kms_opened) {
		o.status = C.cyborg_kms_index_create(engine, name, slot, &o.index, &o.error)
		return o
	}).do(ctx, e)
}

// CreateIndexWithKey creates an index with a KEK of KeyLen bytes that the caller has. kmsName "" is provider none: the
// caller brings the KEK at each opening, and nobody can help if it is lost. Else it is taken into the slot's care.
func (e *Engine) CreateIndexWithKey(ctx context.Context, indexName, kmsName string, kek []byte) (*Index, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		return nil, err
	}
	slot, err := textOrNull("the slot's name", kmsName)
	if err != nil {
		return nil, err
	}
	return opening(true, func(engine *C.cyborg_kms_engine) (o C.go_kms_opened) {
		o.status = C.cyborg_kms_index_create_with_key(engine, name, slot, pointer(kek), length(kek), &o.index, &o.error)
		return o
	}).do(ctx, e)
}

// OpenIndex opens an index whose KEK a KMS guards: from the cache, else by one read of its record and one unwrap,
// however many callers wait for it.
func (e *Engine) OpenIndex(ctx context.Context, indexName string) (*Index, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		return nil, err
	}
	if ctx.Done() == nil { // as `do`, without its closures: opening a cached index is hot
		engine, err := e.ref.acquire()
		if err != nil {
			return nil, err
		}
		opened := C.go_kms_index_open(engine, name)
		e.released()
		if opened.status != C.CYBORG_KMS_OK {
			return nil, failure(opened.status, opened.error)
		}
		return newIndexInBlock(opened.index), nil
	}
	return opening(false, func(engine *C.cyborg_kms_engine) C.go_kms_opened {
		return C.go_kms_index_open(engine, name)
	}).do(ctx, e)
}

// OpenIndexWithKey opens an index of provider none with its KEK, which stays with this handle and nowhere else.
func (e *Engine) OpenIndexWithKey(ctx context.Context, indexName string, kek []byte) (*Index, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		return nil, err
	}
	return opening(false, func(engine *C.cyborg_kms_engine) (o C.go_kms_opened) {
		o.status = C.cyborg_kms_index_open_with_key(engine, name, pointer(kek), length(kek), &o.index, &o.error)
		return o
	}).do(ctx, e)
}

// OpenIndexWithOptions opens an index with everything that can be said about it.
func (e *Engine) OpenIndexWithOptions(ctx context.Context, indexName string, options OpenOptions) (*Index, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		return nil, err
	}
	return opening(false, func(engine *C.cyborg_kms_engine) C.go_kms_opened {
		return C.go_kms_index_open_with_options(engine, name, pointer(options.KEK), length(options.KEK),
			C.uint32_t(options.Capabilities), C.uint32_t(options.Flags), C.uint64_t(options.MinEpoch))
	}).do(ctx, e)
}

// OpenIndexAsync opens an index without blocking; done runs once, on a goroutine of its own, and owns the index.
func (e *Engine) OpenIndexAsync(indexName string, options OpenOptions, done func(*Index, error)) {
	name, err := text("the index's name", indexName)
	if err != nil {
		go done(nil, err)
		return
	}
	engine, err := e.ref.acquire()
	if err != nil {
		go done(nil, err)
		return
	}
	defer e.released()
	C.go_kms_index_open_async(engine, name, pointer(options.KEK), length(options.KEK),
		C.uint32_t(options.Capabilities), C.uint32_t(options.Flags), C.uint64_t(options.MinEpoch),
		C.uintptr_t(cgo.NewHandle(done)))
}

// Refresh asks store and KMS now, whatever is cached: what other processes changed is taken up, a revoked key is
// noticed. A context that ends does not end it: it goes on in the background.
func (i *Index) Refresh(ctx context.Context) error {
	_, err := alone(ctx, false, func() (nothing, error) {
		handle, err := i.ref.acquire()
		if err != nil {
			return nothing{}, err
		}
		defer i.released()
		var failed *C.cyborg_kms_error
		status := C.cyborg_kms_index_refresh(handle, &failed)
		return nothing{}, failure(status, failed)
	})
	return err
}

// Close frees the index when the last call that uses it ended. A KEK that the caller brought is wiped then; one of a
// KMS stays cached for its lifetime. It returns nil, always.
func (i *Index) Close() error {
	i.ref.close()
	return nil
}

// Retain is one more handle of the same index, which is closed by itself.
func (i *Index) Retain() (*Index, error) {
	handle, err := i.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer i.released()
	return newIndex(C.cyborg_kms_index_retain(handle)), nil
}

// Name is the index's name. Like the other getters it asks no KMS, and gives "" or 0 after Close.
func (i *Index) Name() string {
	return told(i, func(handle *C.cyborg_kms_index) string { return C.GoString(C.cyborg_kms_index_name(handle)) })
}

// KMSName is the slot's name as of when the handle was first asked.
func (i *Index) KMSName() string {
	return told(i, func(handle *C.cyborg_kms_index) string { return C.GoString(C.cyborg_kms_index_kms_name(handle)) })
}

// Provider is the provider as of when the handle was first asked.
func (i *Index) Provider() string {
	return told(i, func(handle *C.cyborg_kms_index) string { return C.GoString(C.cyborg_kms_index_provider(handle)) })
}

// KeyID is the wrapping key as of when the handle was first asked.
func (i *Index) KeyID() string {
	return told(i, func(handle *C.cyborg_kms_index) string { return C.GoString(C.cyborg_kms_index_key_id(handle)) })
}

// Version is the envelope's version in the record that was read last.
func (i *Index) Version() uint32 {
	return told(i, func(handle *C.cyborg_kms_index) uint32 { return uint32(C.cyborg_kms_index_version(handle)) })
}

// Epoch is that of the record that was read last, for OpenOptions.MinEpoch; 0 for CyborgDB's kind.
func (i *Index) Epoch() uint64 {
	return told(i, func(handle *C.cyborg_kms_index) uint64 { return uint64(C.cyborg_kms_index_epoch(handle)) })
}

// DataKeyID is the data key that seals new pages; 0 for an index that holds only its KEK.
func (i *Index) DataKeyID() uint32 {
	return told(i, func(handle *C.cyborg_kms_index) uint32 { return uint32(C.cyborg_kms_index_data_key_id(handle)) })
}

func told[T any](i *Index, get func(*C.cyborg_kms_index) T) T {
	handle, err := i.ref.acquire()
	if err != nil {
		var none T
		return none
	}
	defer i.released()
	return get(handle)
}
