/* The audit log: its events, its files. */
#ifndef CYBORG_KMS_AUDIT_HPP
#define CYBORG_KMS_AUDIT_HPP

#include "buffer.hpp"
#include "library.hpp"

#include <functional>
#include <mutex>

namespace cyborg_kms {

/* An event as a JSON object (docs/format.md, part 6), borrowed for the call. */
using AuditCallback = std::function<void(const char *event_json)>;

namespace detail {
/* What Engine::set_audit_callback sets: one for an engine and its scopes. */
class AuditSlot {
  public:
    AuditSlot() noexcept = default;
    AuditSlot(const AuditSlot &) = delete;
    AuditSlot &operator=(const AuditSlot &) = delete;
    /* With the last Engine of an engine: the callback must not outlive what it refers to. */
    ~AuditSlot() { cyborg_kms_engine_set_audit_callback(engine_.get(), nullptr, nullptr, nullptr); }

    Result<void> set(cyborg_kms_engine *engine, AuditCallback callback) noexcept {
        std::unique_ptr<AuditCallback> next;
        if (callback) {
            next.reset(new (std::nothrow) AuditCallback(std::move(callback)));
            if (!next)
                return no_memory();
        }
        const cyborg_kms_audit_callback called = [](const char *event_json, void *user_data) noexcept {
            try {
                (*static_cast<AuditCallback *>(user_data))(event_json);
            } catch (...) { // the event is in the file all the same
            }
        };
        EngineHandle retained(cyborg_kms_engine_retain(engine));
        const std::lock_guard<std::mutex> lock(changing_);
        Result<void> done = detail::called({}, [&](auto error) {
            return cyborg_kms_engine_set_audit_callback(engine, next ? called : nullptr, next.get(), error);
        });
        if (done) {
            callback_.swap(next); // the former one is destroyed: no thread is in it any more
            engine_.swap(retained);
        }
        return done;
    }

  private:
    std::mutex changing_;
    std::unique_ptr<AuditCallback> callback_;
    EngineHandle engine_;
};
} // namespace detail

/* Finds the first line of an audit log that was changed, removed or reordered. The report says what was
 * found, and whether that is a fault (`fault` is not null): a fault is no failure of this call.
 *
 * `path`: that of audit.path. `key`: the 32 bytes of audit.key_file; std::nullopt: MACs are not checked.
 * `head_json`: what audit_head gave earlier, kept elsewhere; none: a cut end can't be noticed. */
struct AuditReport {
    Buffer json;
    /* False: the log has a fault. */
    bool intact;
};
inline Result<AuditReport> try_audit_verify(Text path, std::optional<Bytes> key = {},
                                            Text head_json = {}) noexcept {
    if (Result<void> abi = try_check_abi(); !abi)
        return std::move(abi).failure();
    // To C an empty vector is none, and a forged log would pass.
    if (key && key->size() != CYBORG_KMS_KEY_LEN)
        return Failure(Status::invalid_argument,
                       "the audit key has not 32 bytes: give what audit.key_file holds");
    const Bytes given = key.value_or(Bytes());
    cyborg_kms_buffer *json = nullptr;
    Result<void> done = detail::called({path, head_json}, [&](auto error) {
        return cyborg_kms_audit_verify(path.c_str(), given.data(), given.size(), head_json.c_str(), &json,
                                       error);
    });
    Buffer report(json);
    if (!done && !(done.status() == Status::corrupt && json != nullptr))
        return std::move(done).failure();
    return AuditReport{std::move(report), done.ok()};
}
inline AuditReport audit_verify(Text path, std::optional<Bytes> key = {}, Text head_json = {}) {
    return try_audit_verify(path, key, head_json).value();
}

/* The number and hash of an audit log's last line, as JSON. */
inline Result<Buffer> try_audit_head(Text path) noexcept {
    if (Result<void> abi = try_check_abi(); !abi)
        return std::move(abi).failure();
    return detail::given<Buffer, cyborg_kms_buffer *>(
        {path}, [&](auto out, auto error) { return cyborg_kms_audit_head(path.c_str(), out, error); });
}
inline Buffer audit_head(Text path) {
    return try_audit_head(path).value();
}

} // namespace cyborg_kms

#endif
