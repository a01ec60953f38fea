//go:build !cyborgkms_flags

package cyborgkms

// With the tag cyborgkms_flags CGO_CFLAGS and CGO_LDFLAGS say where the library is, and pkg-config is not asked.

// #cgo pkg-config: cyborg_kms
import "C"
