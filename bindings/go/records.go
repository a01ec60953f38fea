package cyborgkms

// #include "shim.h"
import "C"

import "runtime/cgo"

// Expected revisions of [Records].
const (
	// RevisionAbsent: write only if there is no record.
	RevisionAbsent uint64 = C.CYBORG_KMS_REVISION_ABSENT
	// RevisionAny: write or remove whatever is there.
	RevisionAny uint64 = C.CYBORG_KMS_REVISION_ANY
)

// StoreFlags change how a store of the caller's is called.
type StoreFlags uint32

// StoreCallerThread: records are only asked for while a caller of the library waits, never by a thread of the
// library. Nothing is then refreshed ahead, and OpenIndexAsync is ErrUnsupported.
const StoreCallerThread StoreFlags = C.CYBORG_KMS_STORE_CALLER_THREAD

// Records keeps envelope records where the caller does: a system table, a manifest, its own transactions. Records are
// opaque bytes of at most 1 MiB.
//
// Its methods run on goroutines of their own, several at once, and must not call an engine that uses the store. An
// answer that does not come within 10 seconds is ErrTimeout for the caller. An error that is, or wraps, a [Status] or
// an [*Error] has that status; any other is ErrStorage; a panic and runtime.Goexit are ErrInternal.
// Records that are an [io.Closer] are closed once, when no store, engine or index uses them any more and their last
// method has returned, also when opening failed: on a goroutine of its own, which Close of a store does not wait for.
type Records interface {
	// Get gives the record and its revision, or ErrNotFound. A revision is never 0, and never the same for two
	// different contents of one name.
	Get(indexName string) (record []byte, revision uint64, err error)
	// Put writes the record, if it has the expected revision; atomic and durable when it returns: the new revision, or
	// ErrAlreadyExists (expected RevisionAbsent), ErrConflict.
	Put(indexName string, record []byte, expectedRevision uint64) (revision uint64, err error)
	// Remove removes the record, if it has the expected revision: else ErrConflict. ErrNotFound is fine.
	Remove(indexName string, expectedRevision uint64) error
	// List calls name for each record behind startAfter ("": from the first), in one order, until it returns false.
	// Names that no index can have are passed over. After List has ended name returns false and does nothing.
	List(startAfter string, name func(indexName string) bool) error
}

// OpenRecords opens a store that keeps its records where the caller does.
func OpenRecords(records Records, flags StoreFlags) (*Store, error) {
	if records == nil {
		return nil, invalid("there are no records: give a place for them")
	}
	handle := cgo.NewHandle(&served{object: records})
	var out *C.cyborg_kms_store
	var failed *C.cyborg_kms_error
	status := C.go_kms_store_open_callbacks(C.uint32_t(flags), C.uintptr_t(handle), &out, &failed)
	if err := failure(status, failed); err != nil {
		return nil, err
	}
	return newStore(out), nil
}
