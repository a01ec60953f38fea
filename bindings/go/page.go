package cyborgkms

// #include "shim.h"
import "C"

import (
	"runtime"
	"slices"
)

// Encrypt seals plaintext, bound to aad, appends the sealed page to dst and returns it. aad says where the page
// belongs (file, page number); it is not stored, and the same is needed to open the page.
//
// Nothing is allocated where dst has room for len(plaintext)+Overhead bytes more. dst may be plaintext[:0], or
// plaintext may lie 32 bytes behind the end of dst, where nothing is moved; any other overlap with the room is refused.
func (i *Index) Encrypt(dst, plaintext, aad []byte) ([]byte, error) {
	handle, err := i.ref.acquire()
	if err != nil {
		return nil, err
	}
	dst, room := grown(dst, len(plaintext)+Overhead)
	sealed := C.go_kms_encrypt(handle, pointer(aad), length(aad), pointer(plaintext), length(plaintext),
		pointer(room), length(room))
	i.ref.release()
	runtime.KeepAlive(i)
	if sealed.status != C.CYBORG_KMS_OK {
		return nil, failure(sealed.status, sealed.error)
	}
	return dst[:len(dst)+int(sealed.len)], nil
}

// Decrypt opens a sealed page, appends its plaintext to dst and returns it. After a failure the room behind dst holds
// no plaintext.
//
// Nothing is allocated where dst has room for len(sealed)-Overhead bytes more. dst may be sealed[:0], or end 32 bytes
// behind the beginning of sealed, where nothing is moved; any other overlap with the room is refused.
func (i *Index) Decrypt(dst, sealed, aad []byte) ([]byte, error) {
	handle, err := i.ref.acquire()
	if err != nil {
		return nil, err
	}
	dst, room := grown(dst, max(len(sealed)-Overhead, 0))
	opened := C.go_kms_decrypt(handle, pointer(aad), length(aad), pointer(sealed), length(sealed),
		pointer(room), length(room))
	i.ref.release()
	runtime.KeepAlive(i)
	if opened.status != C.CYBORG_KMS_OK {
		return nil, failure(opened.status, opened.error)
	}
	return dst[:len(dst)+int(opened.len)], nil
}

// grown gives dst with n bytes of room behind it, and that room.
func grown(dst []byte, n int) (same, room []byte) {
	dst = slices.Grow(dst, n)
	return dst, dst[len(dst) : len(dst)+n]
}

// EncryptDetached seals plaintext into out, which is as long or longer, and gives the Overhead apart: for aligned pages
// with a reserved tail. out may begin where plaintext does; any other overlap is refused.
func (i *Index) EncryptDetached(out, plaintext, aad []byte, overhead *[Overhead]byte) error {
	if len(out) < len(plaintext) || overhead == nil {
		return invalid("out is shorter than the plaintext, or there is no overhead: give room for both")
	}
	handle, err := i.ref.acquire()
	if err != nil {
		return err
	}
	sealed := C.go_kms_encrypt_detached(handle, pointer(aad), length(aad), pointer(plaintext), length(plaintext),
		pointer(out), pointer(overhead[:]))
	i.ref.release()
	runtime.KeepAlive(i)
	return failure(sealed.status, sealed.error)
}

// DecryptDetached opens a page whose Overhead is kept apart into out, which is as long or longer. out may begin where
// ciphertext does; any other overlap is refused. After a failure out holds no plaintext.
func (i *Index) DecryptDetached(out, ciphertext, aad []byte, overhead *[Overhead]byte) error {
	if len(out) < len(ciphertext) || overhead == nil {
		return invalid("out is shorter than the ciphertext, or there is no overhead: give both")
	}
	handle, err := i.ref.acquire()
	if err != nil {
		return err
	}
	opened := C.go_kms_decrypt_detached(handle, pointer(aad), length(aad), pointer(ciphertext), length(ciphertext),
		pointer(overhead[:]), pointer(out))
	i.ref.release()
	runtime.KeepAlive(i)
	return failure(opened.status, opened.error)
}

// PageDataKeyID is the data key that sealed a page: to find what is left to seal anew after a rotation of data keys.
// The first 8 bytes of a sealed page, or of a detached overhead, suffice.
func PageDataKeyID(sealed []byte) (uint32, error) {
	var id C.uint32_t
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_page_data_key_id(pointer(sealed), length(sealed), &id, &failed)
	return uint32(id), failure(status, failed)
}
