package cyborgkms

// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Of the header that this program was built with. [Version] and [ABIVersion] are the library's that it runs with.
const (
	HeaderVersion      = C.CYBORG_KMS_VERSION
	HeaderVersionMajor = C.CYBORG_KMS_VERSION_MAJOR
	HeaderVersionMinor = C.CYBORG_KMS_VERSION_MINOR
	HeaderVersionPatch = C.CYBORG_KMS_VERSION_PATCH
	HeaderABIVersion   = C.CYBORG_KMS_ABI_VERSION
)

const (
	// KeyLen is the length of a KEK and of a data key.
	KeyLen = C.CYBORG_KMS_KEY_LEN
	// Overhead is what sealing adds to a page.
	Overhead = C.CYBORG_KMS_OVERHEAD
	// MaxPlaintext is the length of the longest page.
	MaxPlaintext = C.CYBORG_KMS_MAX_PLAINTEXT
)

// A library of another ABI would read arguments as something else: a program must not begin.
func init() {
	if err := checkABI(ABIVersion()); err != nil {
		panic(err)
	}
}

func checkABI(library uint32) error {
	if library == HeaderABIVersion {
		return nil
	}
	return fmt.Errorf("cyborgkms: this program was built for ABI %d of libcyborg_kms, but the library that it found, "+
		"version %s, has ABI %d: build it again, or let LD_LIBRARY_PATH find the right library",
		HeaderABIVersion, Version(), library)
}

// Version is the library's, such as "0.1.0".
func Version() string { return C.GoString(C.cyborg_kms_version()) }

// ABIVersion is the number of the library's ABI.
func ABIVersion() uint32 { return uint32(C.cyborg_kms_abi_version()) }

// RandomKey fills key with random bytes of the operating system's. A KEK has KeyLen of them.
func RandomKey(key []byte) error {
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_random_key(pointer(key), length(key), &failed)
	return failure(status, failed)
}

// Wipe overwrites secret bytes with zeros, in a way that no compiler removes.
func Wipe(secret []byte) {
	C.cyborg_kms_wipe(unsafe.Pointer(unsafe.SliceData(secret)), length(secret))
}
