package cyborgkms

// #include "shim.h"
import "C"

// Status is the outcome of a call. It is an error, so that errors.Is(err, ErrNotFound) works on any failure of this
// package, and so that a [Provider] or [Records] may return it.
type Status uint32

// OK is no failure: no error has it.
const OK Status = C.CYBORG_KMS_OK

// What can go wrong. docs/conventions.md of the library says what to do about each. Take a number that is not here,
// of a newer library, for a failure.
const (
	// ErrInvalidArgument: an argument is nil, too long, too short, not UTF-8, or does not fit the index.
	ErrInvalidArgument Status = C.CYBORG_KMS_INVALID_ARGUMENT
	// ErrNotFound: there is no such record. For an index that has pages: a lost or unmounted store.
	ErrNotFound Status = C.CYBORG_KMS_NOT_FOUND
	// ErrAlreadyExists: there is such a record already.
	ErrAlreadyExists Status = C.CYBORG_KMS_ALREADY_EXISTS
	// ErrConflict: someone else changed the record: read and try again.
	ErrConflict Status = C.CYBORG_KMS_CONFLICT
	// ErrCorrupt: a stored record or a sealed page is damaged, or a KMS gave another KEK back.
	ErrCorrupt Status = C.CYBORG_KMS_CORRUPT
	// ErrUnsupported: not built in, not in this version, or not for this kind of index.
	ErrUnsupported Status = C.CYBORG_KMS_UNSUPPORTED
	// ErrAuthenticationFailed: wrong key, wrong AAD, altered bytes, or another index's record.
	ErrAuthenticationFailed Status = C.CYBORG_KMS_AUTHENTICATION_FAILED
	// ErrAccessDenied: the KMS, its credentials or a capability say no.
	ErrAccessDenied Status = C.CYBORG_KMS_ACCESS_DENIED
	// ErrKeyDisabled: disabled or pending deletion, here or in the KMS.
	ErrKeyDisabled Status = C.CYBORG_KMS_KEY_DISABLED
	// ErrKMSUnavailable: the KMS does not answer, or answers that it can't.
	ErrKMSUnavailable Status = C.CYBORG_KMS_KMS_UNAVAILABLE
	// ErrThrottled: the KMS asks for fewer requests; Error.RetryAfter says how long to wait.
	ErrThrottled Status = C.CYBORG_KMS_THROTTLED
	// ErrTimeout: the deadline passed.
	ErrTimeout Status = C.CYBORG_KMS_TIMEOUT
	// ErrStorage: the store failed: full, read-only, gone.
	ErrStorage Status = C.CYBORG_KMS_STORAGE
	// ErrConfig: the configuration is wrong or lacks something, such as a slot.
	ErrConfig Status = C.CYBORG_KMS_CONFIG
	// ErrBufferTooSmall: the caller's buffer is too small. This package makes room itself, so it does not occur.
	ErrBufferTooSmall Status = C.CYBORG_KMS_BUFFER_TOO_SMALL
	// ErrInternal: a defect of the library or of a callback.
	ErrInternal Status = C.CYBORG_KMS_INTERNAL
	// ErrCancelled: the caller cancelled it, or the engine ended.
	ErrCancelled Status = C.CYBORG_KMS_CANCELLED
	// ErrKeyNotFound: the KMS has no such key.
	ErrKeyNotFound Status = C.CYBORG_KMS_KEY_NOT_FOUND
	// ErrRolledBack: the record is older than one that the caller has seen. Not to be tried again.
	ErrRolledBack Status = C.CYBORG_KMS_ROLLED_BACK
	// ErrKeySetIncomplete: a key set lacks a part.
	ErrKeySetIncomplete Status = C.CYBORG_KMS_KEY_SET_INCOMPLETE
	// ErrExpired: past its time.
	ErrExpired Status = C.CYBORG_KMS_EXPIRED
)

// String is the status's name, such as "NOT_FOUND"; "UNKNOWN" for a number that the library does not know.
func (s Status) String() string { return C.GoString(C.cyborg_kms_status_name(C.cyborg_kms_status(s))) }

// Error is the status's name with the library's before it.
func (s Status) Error() string { return "cyborg_kms: " + s.String() }
