package cyborgkms

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"math"
	"time"
)

// ErrClosed is what a call on a closed handle returns; it is ErrInvalidArgument too.
var ErrClosed = errors.New("cyborgkms: the handle is closed")

// Error says why a call failed. Act on Status, not on Message.
type Error struct {
	// Status says what kind of failure it is.
	Status Status
	// Message is one line that says what is wrong and what to do; it never holds key material.
	Message string
	// ProviderCode is the KMS's own code, such as "AccessDeniedException", or "".
	ProviderCode string
	// RequestID is the KMS's, for its support, or "".
	RequestID string
	// Retryable says whether the same call may succeed later without anyone changing anything.
	Retryable bool
	// RetryAfter is how long the server asked to wait, or 0.
	RetryAfter time.Duration
	// OutcomeUnknown says whether the change may have happened all the same: opening the index tells.
	OutcomeUnknown bool

	cause error
}

// Error is the status's name and the message.
func (e *Error) Error() string { return e.Status.Error() + ": " + e.Message }

// Is says whether the target is this error's status.
func (e *Error) Is(target error) bool { return target == e.Status }

// Unwrap gives ErrClosed, or the error of the context that ended the call.
func (e *Error) Unwrap() error { return e.cause }

// failure takes over what a call of the library gave: nil where it succeeded.
func failure(status C.cyborg_kms_status, failed *C.cyborg_kms_error) error {
	if status == C.CYBORG_KMS_OK {
		return nil
	}
	if failed == nil {
		return &Error{Status: Status(status), Message: "the library gave no reason"}
	}
	defer C.cyborg_kms_error_free(failed)
	wait := uint64(C.cyborg_kms_error_retry_after_ms(failed))
	return &Error{
		Status:         Status(C.cyborg_kms_error_status(failed)),
		Message:        C.GoString(C.cyborg_kms_error_message(failed)),
		ProviderCode:   C.GoString(C.cyborg_kms_error_provider_code(failed)),
		RequestID:      C.GoString(C.cyborg_kms_error_request_id(failed)),
		Retryable:      bool(C.cyborg_kms_error_is_retryable(failed)),
		RetryAfter:     time.Duration(min(wait, uint64(math.MaxInt64/time.Millisecond))) * time.Millisecond,
		OutcomeUnknown: bool(C.cyborg_kms_error_outcome_unknown(failed)),
	}
}

func invalid(message string) *Error { return &Error{Status: ErrInvalidArgument, Message: message} }

// cancelled is the error of a call that its context ended.
func cancelled(ctx context.Context, message string, outcomeUnknown bool) *Error {
	return &Error{
		Status: ErrCancelled, Message: message, OutcomeUnknown: outcomeUnknown, cause: ctx.Err(),
	}
}
