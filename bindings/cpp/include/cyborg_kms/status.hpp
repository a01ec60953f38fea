/* The outcome of a call. */
#ifndef CYBORG_KMS_STATUS_HPP
#define CYBORG_KMS_STATUS_HPP

#include <cyborg_kms.h>

namespace cyborg_kms {

/* docs/conventions.md says what to do for each. Take an unknown number for a failure. */
enum class Status : cyborg_kms_status {
    ok = CYBORG_KMS_OK,
    invalid_argument = CYBORG_KMS_INVALID_ARGUMENT,
    not_found = CYBORG_KMS_NOT_FOUND,
    already_exists = CYBORG_KMS_ALREADY_EXISTS,
    conflict = CYBORG_KMS_CONFLICT,
    corrupt = CYBORG_KMS_CORRUPT,
    unsupported = CYBORG_KMS_UNSUPPORTED,
    authentication_failed = CYBORG_KMS_AUTHENTICATION_FAILED,
    access_denied = CYBORG_KMS_ACCESS_DENIED,
    key_disabled = CYBORG_KMS_KEY_DISABLED,
    kms_unavailable = CYBORG_KMS_KMS_UNAVAILABLE,
    throttled = CYBORG_KMS_THROTTLED,
    timeout = CYBORG_KMS_TIMEOUT,
    storage = CYBORG_KMS_STORAGE,
    config = CYBORG_KMS_CONFIG,
    buffer_too_small = CYBORG_KMS_BUFFER_TOO_SMALL,
    internal = CYBORG_KMS_INTERNAL,
    cancelled = CYBORG_KMS_CANCELLED,
    key_not_found = CYBORG_KMS_KEY_NOT_FOUND,
    rolled_back = CYBORG_KMS_ROLLED_BACK,
    key_set_incomplete = CYBORG_KMS_KEY_SET_INCOMPLETE,
    expired = CYBORG_KMS_EXPIRED,
};

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. The text is static. */
inline const char *status_name(Status status) noexcept {
    return cyborg_kms_status_name(static_cast<cyborg_kms_status>(status));
}

} // namespace cyborg_kms

#endif
