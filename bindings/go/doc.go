// Package cyborgkms keeps each index of a database engine encrypted under a key of its own, which a key management
// service (KMS) guards. It is a thin layer over the C library libcyborg_kms; include/cyborg_kms.h says of each
// function what this package does not repeat.
//
// # Handles
//
// [Engine], [Index] and [Store] are used by many goroutines at once. Close may be called at any time and as often as
// one likes: calls under way end first, later ones fail with [ErrClosed]. A handle that is forgotten is closed by the
// garbage collector some time later, and one of [Engine.OpenIndex] not before up to 31 others that were opened with it
// are out of use, too. Don't count on it where a key must be wiped soon.
//
// # Errors
//
// Every failure is an [*Error]. Compare its status with [errors.Is]:
//
//	if errors.Is(err, cyborgkms.ErrNotFound) { … }
//
// # Contexts
//
// What asks a KMS or a store takes a [context.Context]. When it ends the call returns at once: with an error
// that is both [ErrCancelled] and the context's own ([context.Canceled], [context.DeadlineExceeded]). Calls of an
// engine are cancelled inside the library, by a scope. Calls of a [Store] and [Index.Refresh], which a scope does not
// reach, go on to their end in the background; the error of one that changes something says so by OutcomeUnknown. A
// context that cannot end costs nothing.
//
// The other calls of an open [Index] take none: Encrypt, Decrypt, their detached forms, GenerateDataKey, UnwrapDataKey,
// DeriveKey and ExportKEK find their keys in memory. But when the keys' lifetime is over, or a page was sealed with a
// data key that is not known yet, they wait for store and KMS, too, which only the slot's and the store's own time
// limits end. Through a handle that was opened with [OpenNoWait] they never wait: they fail with [ErrKMSUnavailable],
// and [Index.Refresh] with a context does the waiting.
//
// # Secrets
//
// What the library hands out (opened pages, data keys, derived keys, an exported KEK) lies in Go's memory: [Wipe] it
// after use.
package cyborgkms
