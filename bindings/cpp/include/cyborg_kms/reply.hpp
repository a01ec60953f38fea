/* How a provider or a store of the caller's own answers. */
#ifndef CYBORG_KMS_REPLY_HPP
#define CYBORG_KMS_REPLY_HPP

#include "bytes.hpp"
#include "call.hpp"

#include <exception>

namespace cyborg_kms {

/* Answered once, from any thread, at once or later; a second answer is passed over. Destroyed without an
 * answer it is INTERNAL for the call. Move-only. */
class Reply {
  public:
    /* Takes the C handle over. */
    explicit Reply(cyborg_kms_reply *handle) noexcept : handle_(handle) {}

    /* Answers with bytes, which are copied; `revision`: what a store hands out for the record. */
    void bytes(Bytes bytes, std::uint64_t revision = 0) noexcept {
        cyborg_kms_reply_bytes(handle_.release(), bytes.data(), bytes.size(), revision);
    }
    /* Answers where no bytes are due: after a put with the new revision, after a remove or a list without. */
    void done(std::uint64_t revision = 0) noexcept { bytes({}, revision); }
    /* Answers with a failure. Never put a secret into its texts; what is no UTF-8 in them is shown as U+FFFD.
     */
    void error(Status status, Text message, Text provider_code = "") noexcept {
        cyborg_kms_reply_error(handle_.release(), static_cast<cyborg_kms_status>(status),
                               provider_code.c_str(), message.c_str());
    }
    /* Answers with what was thrown: an Error has its status, anything else is INTERNAL. */
    void error(const std::exception_ptr &thrown) noexcept {
        try {
            std::rethrow_exception(thrown);
        } catch (const Error &failed) {
            error(failed.status(), failed.message(), failed.provider_code());
        } catch (const std::exception &failed) {
            error(Status::internal, failed.what());
        } catch (...) {
            error(Status::internal, "a callback threw something that is no std::exception");
        }
    }

  private:
    detail::Handle<cyborg_kms_reply, cyborg_kms_reply_free> handle_;
};

namespace detail {

/* Runs what answers a reply; what it throws is the answer, unless it gave the reply away before. */
template <class F> void answer(Reply &&reply, F &&function) noexcept {
    try {
        function(std::move(reply));
    } catch (...) {
        reply.error(std::current_exception());
    }
}

} // namespace detail

} // namespace cyborg_kms

#endif
