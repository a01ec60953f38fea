package cyborgkms

// #include "shim.h"
import "C"

import (
	"bytes"
	"context"
	"iter"
	"runtime"
	"runtime/cgo"
)

// Store is a place for envelope records.
type Store struct {
	ref *ref[*C.cyborg_kms_store]
}

func newStore(handle *C.cyborg_kms_store) *Store {
	s := new(Store)
	s.ref = newRef(s, handle, func(handle *C.cyborg_kms_store) { C.cyborg_kms_store_free(handle) })
	return s
}

// released ends what ref.acquire began, and keeps the store from being collected until then.
func (s *Store) released() {
	s.ref.release()
	runtime.KeepAlive(s)
}

// OpenStore opens a store: "memory://" (a new one each time), a path such as "/var/lib/db", "file:///var/lib/db", and
// object stores where they are built in.
func OpenStore(url string) (*Store, error) {
	cURL, err := text("the URL", url)
	if err != nil {
		return nil, err
	}
	var out *C.cyborg_kms_store
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_store_open(cURL, &out, &failed)
	if err := failure(status, failed); err != nil {
		return nil, err
	}
	return newStore(out), nil
}

// Close frees the store when the last call that uses it ended. An engine that uses it keeps it alive. It returns nil,
// always.
func (s *Store) Close() error {
	s.ref.close()
	return nil
}

// Retain is one more handle of the same store, which is closed by itself.
func (s *Store) Retain() (*Store, error) {
	handle, err := s.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer s.released()
	return newStore(C.cyborg_kms_store_retain(handle)), nil
}

// Create stores the record of a new index: a strict insert. Durable when it returns.
func (s *Store) Create(ctx context.Context, indexName string, blob Blob) error {
	return s.write(ctx, indexName, blob,
		func(store *C.cyborg_kms_store, name *C.char, blob *C.cyborg_kms_blob, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_create_index_kms(store, name, blob, failed)
		})
}

// Push stores a record, whether there is one or not. It sets what a blob holds and keeps the rest of the record.
func (s *Store) Push(ctx context.Context, indexName string, blob Blob) error {
	return s.write(ctx, indexName, blob,
		func(store *C.cyborg_kms_store, name *C.char, blob *C.cyborg_kms_blob, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_push_index_kms(store, name, blob, failed)
		})
}

func (s *Store) write(
	ctx context.Context, indexName string, blob Blob,
	put func(*C.cyborg_kms_store, *C.char, *C.cyborg_kms_blob, **C.cyborg_kms_error) C.cyborg_kms_status,
) error {
	blob.WrappedKEK = bytes.Clone(blob.WrappedKEK) // the call may go on after it returned
	_, err := asked(ctx, s, true, indexName, func(store *C.cyborg_kms_store, name *C.char) (nothing, error) {
		handle, err := blob.made()
		if err != nil {
			return nothing{}, err
		}
		defer C.cyborg_kms_blob_free(handle)
		var failed *C.cyborg_kms_error
		status := put(store, name, handle, &failed)
		return nothing{}, failure(status, failed)
	})
	return err
}

// Get reads the record of an index.
func (s *Store) Get(ctx context.Context, indexName string) (Blob, error) {
	return asked(ctx, s, false, indexName, func(store *C.cyborg_kms_store, name *C.char) (Blob, error) {
		var out *C.cyborg_kms_blob
		var failed *C.cyborg_kms_error
		status := C.cyborg_kms_get_index_kms(store, name, &out, &failed)
		if err := failure(status, failed); err != nil {
			return Blob{}, err
		}
		return takenBlob(out), nil
	})
}

// Delete removes the record of an index, and with it the wraps of its keys: what they protect can't be read any more.
// That there is none is fine.
func (s *Store) Delete(ctx context.Context, indexName string) error {
	_, err := asked(ctx, s, true, indexName, func(store *C.cyborg_kms_store, name *C.char) (nothing, error) {
		var failed *C.cyborg_kms_error
		status := C.cyborg_kms_delete_index_kms(store, name, &failed)
		return nothing{}, failure(status, failed)
	})
	return err
}

// listed is how many names List asks for at once.
const listed = 256

// List names every index that has a record, in the order of the encoded names, from behind startAfter ("": from the
// first). It ends with the first error.
func (s *Store) List(ctx context.Context, startAfter string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			// No code of the caller's runs inside of C: it may panic, or end the loop in any other way.
			names, err := s.names(ctx, startAfter)
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
				return
			}
			if len(names) < listed {
				return
			}
			startAfter = names[len(names)-1]
		}
	}
}

// names are the next indexes, listed at most.
func (s *Store) names(ctx context.Context, startAfter string) ([]string, error) {
	after, err := textOrNull("the name to start after", startAfter)
	if err != nil {
		return nil, err
	}
	return alone(ctx, false, func() ([]string, error) {
		store, err := s.ref.acquire()
		if err != nil {
			return nil, err
		}
		defer s.released()
		names := new([]string)
		handle := cgo.NewHandle(names)
		defer handle.Delete()
		var failed *C.cyborg_kms_error
		status := C.go_kms_list_index_kms(store, after, C.uintptr_t(handle), &failed)
		return *names, failure(status, failed)
	})
}

// asked makes a call about one record.
func asked[T any](
	ctx context.Context, s *Store, writes bool, indexName string, work func(*C.cyborg_kms_store, *C.char) (T, error),
) (T, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		var none T
		return none, err
	}
	return alone(ctx, writes, func() (T, error) {
		store, err := s.ref.acquire()
		if err != nil {
			var none T
			return none, err
		}
		defer s.released()
		return work(store, name)
	})
}
