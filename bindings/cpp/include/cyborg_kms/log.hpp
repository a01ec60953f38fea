/* The log of the process. */
#ifndef CYBORG_KMS_LOG_HPP
#define CYBORG_KMS_LOG_HPP

#include "library.hpp"

#include <functional>
#include <mutex>

namespace cyborg_kms {

enum class LogLevel : cyborg_kms_log_level {
    off = CYBORG_KMS_LOG_OFF,
    error = CYBORG_KMS_LOG_ERROR,
    warn = CYBORG_KMS_LOG_WARN,
    info = CYBORG_KMS_LOG_INFO,
    debug = CYBORG_KMS_LOG_DEBUG,
    trace = CYBORG_KMS_LOG_TRACE,
};

/* A line: its level, the part of the library, a message, fields as a JSON object. Nothing secret. The texts
 * are borrowed for the call. */
using LogCallback =
    std::function<void(LogLevel level, const char *target, const char *message, const char *fields_json)>;

namespace detail {
struct LogSlot {
    std::mutex changing;
    std::unique_ptr<LogCallback> callback;

    /* Never destroyed: other threads may log while the process ends. */
    static LogSlot *of_process() noexcept {
        static LogSlot *const slot = new (std::nothrow) LogSlot;
        return slot;
    }
};
} // namespace detail

/* Sets the process's log callback; an empty one, or LogLevel::off, ends it. When it returns, no thread is in
 * the former one any more, and that is destroyed. The callback runs on any thread that uses the library,
 * several at once, must not call the library, and what it throws is dropped. End it before what it refers to
 * ends, and before the code of it is unloaded (dlclose): the process's end does not. */
inline Result<void> try_set_log_callback(LogLevel max_level, LogCallback callback) noexcept {
    if (Result<void> abi = try_check_abi(); !abi)
        return abi;
    detail::LogSlot *const slot = detail::LogSlot::of_process();
    const bool hears = callback && max_level != LogLevel::off;
    std::unique_ptr<LogCallback> next(hears ? new (std::nothrow) LogCallback(std::move(callback)) : nullptr);
    if (slot == nullptr || (hears && !next))
        return detail::no_memory();
    const cyborg_kms_log_callback called = [](cyborg_kms_log_level level, const char *target,
                                              const char *message, const char *fields_json,
                                              void *user_data) noexcept {
        try {
            (*static_cast<LogCallback *>(user_data))(static_cast<LogLevel>(level), target, message,
                                                     fields_json);
        } catch (...) { // a line that can't be logged must not end what it tells of
        }
    };
    const std::lock_guard<std::mutex> lock(slot->changing);
    cyborg_kms_set_log_callback(static_cast<cyborg_kms_log_level>(max_level), next ? called : nullptr,
                                next.get());
    slot->callback.swap(next);
    return {};
}
inline void set_log_callback(LogLevel max_level, LogCallback callback) {
    try_set_log_callback(max_level, std::move(callback)).value();
}

} // namespace cyborg_kms

#endif
