package cyborgkms

// #include "shim.h"
import "C"

import "unsafe"

// Blob is an envelope record's fields, CyborgDB's KMSBlob: who wraps the KEK of an index, and the wrap.
type Blob struct {
	// KMSName is the slot's name in the registry.
	KMSName string
	// Provider is such as "aws-kms"; any text is stored.
	Provider string
	// KeyID is the provider's name of the wrapping key, Region the provider's region.
	KeyID, Region string
	// WrappedKEK is what the provider gave; empty for provider none. It is not secret.
	WrappedKEK []byte
	// Version of the envelope, 1 and up: one more with each new wrap.
	Version uint32
	// CreatedAt is in unix seconds and may be negative.
	CreatedAt int64
}

// Encode gives the blob as a stored record of CyborgDB's kind. A text with a NUL byte, as a record can hold, can be
// read but not written: ErrInvalidArgument.
func (b Blob) Encode() ([]byte, error) {
	handle, err := b.made()
	if err != nil {
		return nil, err
	}
	defer C.cyborg_kms_blob_free(handle)
	var out *C.cyborg_kms_buffer
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_blob_encode(handle, &out, &failed)
	return taken(out), failure(status, failed)
}

// DecodeBlob reads a stored record of either kind; bytes behind it are ignored.
func DecodeBlob(record []byte) (Blob, error) {
	var out *C.cyborg_kms_blob
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_blob_decode(pointer(record), length(record), &out, &failed)
	if err := failure(status, failed); err != nil {
		return Blob{}, err
	}
	return takenBlob(out), nil
}

// made is the blob as the library's value, which the caller frees.
func (b Blob) made() (*C.cyborg_kms_blob, error) {
	handle := C.cyborg_kms_blob_new()
	if err := b.fill(handle); err != nil {
		C.cyborg_kms_blob_free(handle)
		return nil, err
	}
	return handle, nil
}

func (b Blob) fill(handle *C.cyborg_kms_blob) error {
	var texts [4]*C.char
	for at, value := range []string{b.KMSName, b.Provider, b.KeyID, b.Region} {
		var err error
		if texts[at], err = text("a text of the blob", value); err != nil {
			return err
		}
	}
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_blob_set_kms_name(handle, texts[0], &failed)
	if status == C.CYBORG_KMS_OK {
		status = C.cyborg_kms_blob_set_provider(handle, texts[1], &failed)
	}
	if status == C.CYBORG_KMS_OK {
		status = C.cyborg_kms_blob_set_key_id(handle, texts[2], &failed)
	}
	if status == C.CYBORG_KMS_OK {
		status = C.cyborg_kms_blob_set_region(handle, texts[3], &failed)
	}
	if status == C.CYBORG_KMS_OK {
		status = C.cyborg_kms_blob_set_wrapped_kek(handle, pointer(b.WrappedKEK), length(b.WrappedKEK), &failed)
	}
	if status == C.CYBORG_KMS_OK {
		status = C.cyborg_kms_blob_set_version(handle, C.uint32_t(b.Version), &failed)
	}
	if status == C.CYBORG_KMS_OK {
		status = C.cyborg_kms_blob_set_created_at(handle, C.int64_t(b.CreatedAt), &failed)
	}
	return failure(status, failed)
}

// takenBlob is a blob of the library's in Go's memory; the library's is freed.
func takenBlob(handle *C.cyborg_kms_blob) Blob {
	defer C.cyborg_kms_blob_free(handle)
	var n C.size_t
	textOf := func(at *C.char) string { return string(unsafe.Slice((*byte)(unsafe.Pointer(at)), int(n))) }
	var b Blob
	b.KMSName = textOf(C.cyborg_kms_blob_kms_name(handle, &n))
	b.Provider = textOf(C.cyborg_kms_blob_provider(handle, &n))
	b.KeyID = textOf(C.cyborg_kms_blob_key_id(handle, &n))
	b.Region = textOf(C.cyborg_kms_blob_region(handle, &n))
	b.WrappedKEK = copied(C.cyborg_kms_blob_wrapped_kek(handle, &n), n)
	b.Version = uint32(C.cyborg_kms_blob_version(handle))
	b.CreatedAt = int64(C.cyborg_kms_blob_created_at(handle))
	return b
}
