package cyborgkms

// #include "shim.h"
import "C"

// GenerateDataKey gives a fresh key of KeyLen bytes, for an engine that encrypts by itself, and its wrapped form, which
// is to be stored. A rotation of the KEK leaves it readable. Wipe the key after use.
func (i *Index) GenerateDataKey() (key, wrapped []byte, err error) {
	handle, err := i.ref.acquire()
	if err != nil {
		return nil, nil, err
	}
	defer i.released()
	key = make([]byte, KeyLen)
	var out *C.cyborg_kms_buffer
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_index_generate_data_key(handle, pointer(key), length(key), &out, &failed)
	if err := failure(status, failed); err != nil {
		return nil, nil, err
	}
	return key, taken(out), nil
}

// UnwrapDataKey gives the key back that GenerateDataKey wrapped. Wipe it after use.
func (i *Index) UnwrapDataKey(wrapped []byte) ([]byte, error) {
	return i.key(func(handle *C.cyborg_kms_index, key []byte, failed **C.cyborg_kms_error) C.cyborg_kms_status {
		return C.cyborg_kms_index_unwrap_data_key(handle, pointer(wrapped), length(wrapped), pointer(key), length(key), failed)
	})
}

// ExportKEK is the plaintext KEK of an envelope version, 0 for the current one, for an engine that takes one. Wipe it
// after use.
func (i *Index) ExportKEK(version uint32) ([]byte, error) {
	return i.key(func(handle *C.cyborg_kms_index, key []byte, failed **C.cyborg_kms_error) C.cyborg_kms_status {
		return C.cyborg_kms_index_export_kek(handle, C.uint32_t(version), pointer(key), length(key), failed)
	})
}

// key makes a call that fills a key.
func (i *Index) key(
	fill func(handle *C.cyborg_kms_index, key []byte, failed **C.cyborg_kms_error) C.cyborg_kms_status,
) ([]byte, error) {
	handle, err := i.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer i.released()
	key := make([]byte, KeyLen)
	var failed *C.cyborg_kms_error
	status := fill(handle, key, &failed)
	if err := failure(status, failed); err != nil {
		return nil, err
	}
	return key, nil
}

// DeriveKey fills out, of 1 to 8,160 bytes, with a key derived for a label and any context: the same for as long as
// the index lives, through every rotation. For tokens, keyed hashes, sub-keys.
func (i *Index) DeriveKey(out []byte, label string, context []byte) error {
	cLabel, err := text("the label", label)
	if err != nil {
		return err
	}
	handle, err := i.ref.acquire()
	if err != nil {
		return err
	}
	defer i.released()
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_index_derive_key(handle, cLabel, pointer(context), length(context), pointer(out), length(out), &failed)
	return failure(status, failed)
}
