// Package cyborgkms keeps each index of a database engine encrypted under a key of its own, which a key management
// service (KMS) guards. It is a thin layer over the C library libcyborg_kms; include/cyborg_kms.h says of each
// function what this package does not repeat.
//
// # Handles
//
// [Engine], [Index] and [Store] are used by many goroutines at once. Close may be called at any time and as often as
// one likes: calls under way end first, later ones fail with [ErrClosed]. A handle that is forgotten is closed by the
// garbage collector some time later; don't count on it where a key must be wiped soon.
//
// # Errors
//
// Every failure is an [*Error]. Compare its status with [errors.Is]:
//
//	if errors.Is(err, cyborgkms.ErrNotFound) { … }
//
// # Contexts
//
// What can wait for a KMS or a store takes a [context.Context]. When it ends the call returns at once: with an error
// that is both [ErrCancelled] and the context's own ([context.Canceled], [context.DeadlineExceeded]). Calls of an
// engine are cancelled inside the library, by a scope. Calls of a [Store] and [Index.Refresh], which a scope does not
// reach, go on to their end in the background; the error of one that changes something says so by OutcomeUnknown. A
// context that cannot end costs nothing.
//
// # Secrets
//
// What the library hands out (opened pages, data keys, derived keys, an exported KEK) lies in Go's memory: [Wipe] it
// after use.
package cyborgkms
