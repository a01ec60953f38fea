package cyborgkms

// #include "shim.h"
import "C"

import (
	"bytes"
	"strings"
	"unsafe"
)

// text is a string with its last NUL, in Go's memory: the library only borrows it. C would take a NUL inside for the
// end, and so another index or slot for the one that is meant.
func text(what, s string) (*C.char, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, invalid(what + " has a NUL byte: give it without")
	}
	terminated := make([]byte, len(s)+1)
	copy(terminated, s)
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(terminated))), nil
}

// textOrNull is NULL for "".
func textOrNull(what, s string) (*C.char, error) {
	if s == "" {
		return nil, nil
	}
	return text(what, s)
}

// pointer is where a slice begins; NULL for nil.
func pointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

func length(b []byte) C.size_t { return C.size_t(len(b)) }

// borrowed are bytes of C's, valid as long as C says.
func borrowed(data *C.uint8_t, n C.size_t) []byte { return unsafe.Slice((*byte)(data), int(n)) }

// copied are bytes of C's in Go's memory.
func copied(data *C.uint8_t, n C.size_t) []byte { return bytes.Clone(borrowed(data, n)) }

// taken are the bytes of a buffer of the library's, which is freed. nil for NULL.
func taken(buffer *C.cyborg_kms_buffer) []byte {
	if buffer == nil {
		return nil
	}
	defer C.cyborg_kms_buffer_free(buffer)
	return copied(C.cyborg_kms_buffer_data(buffer), C.cyborg_kms_buffer_len(buffer))
}
