/* Why a call failed: a Failure in a Result, an Error when it is thrown. */
#ifndef CYBORG_KMS_ERROR_HPP
#define CYBORG_KMS_ERROR_HPP

#include "status.hpp"
#include "text.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace cyborg_kms {

namespace detail {
struct FreeError {
    void operator()(cyborg_kms_error *error) const noexcept { cyborg_kms_error_free(error); }
};
} // namespace detail

/* Why a call failed, without an exception. Move-only; making one takes no memory. Act on the status, not on
 * the message. Texts are borrowed from it. */
class Failure {
  public:
    /* What a C function gave; takes `error` over, which may be NULL. */
    Failure(cyborg_kms_status status, cyborg_kms_error *error) noexcept
        : status_(static_cast<Status>(status)), error_(error) {}
    /* One of this binding's own; `message` is static. */
    Failure(Status status, const char *message) noexcept : status_(status), own_(message) {}

    Status status() const noexcept {
        return error_ ? static_cast<Status>(cyborg_kms_error_status(error_.get())) : status_;
    }
    /* One line that says what is wrong and what to do; never key material. */
    const char *message() const noexcept { return error_ ? cyborg_kms_error_message(error_.get()) : own_; }
    /* The KMS's own code, such as "AccessDeniedException", or "". */
    const char *provider_code() const noexcept { return cyborg_kms_error_provider_code(error_.get()); }
    /* The KMS's id of the request, for its support, or "". */
    const char *request_id() const noexcept { return cyborg_kms_error_request_id(error_.get()); }
    /* Whether the same call may succeed later without anyone changing anything. */
    bool is_retryable() const noexcept { return cyborg_kms_error_is_retryable(error_.get()); }
    /* How long the server asked to wait; 0 where it did not. */
    std::chrono::milliseconds retry_after() const noexcept {
        const std::uint64_t wait = cyborg_kms_error_retry_after_ms(error_.get());
        using Count = std::chrono::milliseconds::rep;
        constexpr auto most = static_cast<std::uint64_t>(std::chrono::milliseconds::max().count());
        return std::chrono::milliseconds(static_cast<Count>(wait < most ? wait : most));
    }
    /* Whether the change may have happened all the same: opening the index tells. */
    bool outcome_unknown() const noexcept { return cyborg_kms_error_outcome_unknown(error_.get()); }

  private:
    Status status_;
    const char *own_ = "the library gave no reason";
    std::unique_ptr<cyborg_kms_error, detail::FreeError> error_;
};

/* What a call throws. Its class is seen also where a program is built with hidden symbols, so that it is
 * caught across its libraries. what() is the status's name and the message. Thrown by a provider or a store
 * of the caller's own, it is that call's failure: never put a secret into it. */
class __attribute__((visibility("default"))) Error : public std::runtime_error {
  public:
    explicit Error(const Failure &failure)
        : std::runtime_error(std::string(status_name(failure.status())) + ": " + failure.message()),
          more_(std::make_shared<const More>(
              More{failure.status(), failure.message(), failure.provider_code(), failure.request_id(),
                   failure.is_retryable(), failure.retry_after(), failure.outcome_unknown()})) {}
    Error(Status status, const std::string &message, std::string provider_code = {})
        : std::runtime_error(std::string(status_name(status)) + ": " + message),
          more_(std::make_shared<const More>(
              More{status, message, std::move(provider_code), {}, false, {}, false})) {}

    Status status() const noexcept { return more_->status; }
    /* The rest is as for Failure. */
    const std::string &message() const noexcept { return more_->message; }
    const std::string &provider_code() const noexcept { return more_->provider_code; }
    const std::string &request_id() const noexcept { return more_->request_id; }
    bool is_retryable() const noexcept { return more_->is_retryable; }
    std::chrono::milliseconds retry_after() const noexcept { return more_->retry_after; }
    bool outcome_unknown() const noexcept { return more_->outcome_unknown; }

  private:
    struct More {
        Status status;
        std::string message;
        std::string provider_code;
        std::string request_id;
        bool is_retryable;
        std::chrono::milliseconds retry_after;
        bool outcome_unknown;
    };
    /* Shared, since copying an exception must not throw. */
    std::shared_ptr<const More> more_;
};

/* The Error of one status. */
template <Status status_of> class __attribute__((visibility("default"))) ErrorOf : public Error {
  public:
    explicit ErrorOf(const Failure &failure) : Error(failure) {}
    explicit ErrorOf(const std::string &message, std::string provider_code = {})
        : Error(status_of, message, std::move(provider_code)) {}
};

using InvalidArgumentError = ErrorOf<Status::invalid_argument>;
using NotFoundError = ErrorOf<Status::not_found>;
using AlreadyExistsError = ErrorOf<Status::already_exists>;
using ConflictError = ErrorOf<Status::conflict>;
using CorruptError = ErrorOf<Status::corrupt>;
using UnsupportedError = ErrorOf<Status::unsupported>;
using AuthenticationFailedError = ErrorOf<Status::authentication_failed>;
using AccessDeniedError = ErrorOf<Status::access_denied>;
using KeyDisabledError = ErrorOf<Status::key_disabled>;
using KmsUnavailableError = ErrorOf<Status::kms_unavailable>;
using ThrottledError = ErrorOf<Status::throttled>;
using TimeoutError = ErrorOf<Status::timeout>;
using StorageError = ErrorOf<Status::storage>;
using ConfigError = ErrorOf<Status::config>;
using BufferTooSmallError = ErrorOf<Status::buffer_too_small>;
using InternalError = ErrorOf<Status::internal>;
using CancelledError = ErrorOf<Status::cancelled>;
using KeyNotFoundError = ErrorOf<Status::key_not_found>;
using RolledBackError = ErrorOf<Status::rolled_back>;
using KeySetIncompleteError = ErrorOf<Status::key_set_incomplete>;
using ExpiredError = ErrorOf<Status::expired>;

/* Throws the Error of the failure's class; a plain Error for a status that this header does not know. */
[[noreturn]] inline void throw_failure(const Failure &failure) {
    switch (failure.status()) {
    case Status::ok:
        break;
    case Status::invalid_argument:
        throw InvalidArgumentError(failure);
    case Status::not_found:
        throw NotFoundError(failure);
    case Status::already_exists:
        throw AlreadyExistsError(failure);
    case Status::conflict:
        throw ConflictError(failure);
    case Status::corrupt:
        throw CorruptError(failure);
    case Status::unsupported:
        throw UnsupportedError(failure);
    case Status::authentication_failed:
        throw AuthenticationFailedError(failure);
    case Status::access_denied:
        throw AccessDeniedError(failure);
    case Status::key_disabled:
        throw KeyDisabledError(failure);
    case Status::kms_unavailable:
        throw KmsUnavailableError(failure);
    case Status::throttled:
        throw ThrottledError(failure);
    case Status::timeout:
        throw TimeoutError(failure);
    case Status::storage:
        throw StorageError(failure);
    case Status::config:
        throw ConfigError(failure);
    case Status::buffer_too_small:
        throw BufferTooSmallError(failure);
    case Status::internal:
        throw InternalError(failure);
    case Status::cancelled:
        throw CancelledError(failure);
    case Status::key_not_found:
        throw KeyNotFoundError(failure);
    case Status::rolled_back:
        throw RolledBackError(failure);
    case Status::key_set_incomplete:
        throw KeySetIncompleteError(failure);
    case Status::expired:
        throw ExpiredError(failure);
    }
    throw Error(failure);
}

} // namespace cyborg_kms

#endif
