/* The calls of an engine that call functions of the program. Not for users: engine.hpp describes them. */
#ifndef CYBORG_KMS_ENGINE_CALLS_HPP
#define CYBORG_KMS_ENGINE_CALLS_HPP

#include "engine.hpp"

namespace cyborg_kms {

namespace detail {
/* Gives an asynchronous opening's outcome to its callback. */
template <class Callback> void deliver(Callback &callback, Result<Index> &&opened) noexcept {
    try {
        callback(std::move(opened));
    } catch (...) { // nobody is there to catch it
    }
}
} // namespace detail

template <class F>
Result<void> Engine::try_open_index_async(Text index_name, const OpenOptions &options,
                                          F &&callback) const noexcept {
    using Callback = std::decay_t<F>;
    std::unique_ptr<Callback> own(new (std::nothrow) Callback(std::forward<F>(callback)));
    if (!own)
        return detail::no_memory();
    if (!index_name.whole()) {
        detail::deliver(*own, detail::not_whole());
        return {};
    }
    const cyborg_kms_open_options raw = detail::raw(options);
    const cyborg_kms_index_callback called = [](cyborg_kms_status status, cyborg_kms_index *index,
                                                cyborg_kms_error *error, void *user_data) noexcept {
        const std::unique_ptr<Callback> waits(static_cast<Callback *>(user_data));
        if (status == CYBORG_KMS_OK)
            detail::deliver(*waits, Index(index));
        else
            detail::deliver(*waits, Failure(status, error));
    };
    cyborg_kms_index_open_async(get(), index_name.c_str(), &raw, called, own.release());
    return {};
}

inline std::future<Index> Engine::open_index_async(Text index_name, const OpenOptions &options) const {
    std::promise<Index> promise;
    std::future<Index> future = promise.get_future();
    open_index_async(index_name, options, [promise = std::move(promise)](Result<Index> opened) mutable {
        try {
            promise.set_value(std::move(opened).value());
        } catch (...) {
            promise.set_exception(std::current_exception());
        }
    });
    return future;
}

template <class W> Result<Buffer> Engine::synced(const SyncOptions &options, W &waiting) const noexcept {
    const Engine used = retain(); // the callback may destroy this one
    const cyborg_kms_sync_options raw = detail::raw(options);
    const cyborg_kms_progress_callback callback = [](std::uint64_t done, std::uint64_t total,
                                                     const char *index_name, cyborg_kms_status status,
                                                     void *user_data) noexcept {
        return (*static_cast<W *>(user_data))(Progress{done, total, index_name, static_cast<Status>(status)});
    };
    return detail::given<Buffer, cyborg_kms_buffer *>({}, [&](auto out, auto error) {
        return cyborg_kms_engine_sync(used.get(), &raw, callback, &waiting, out, error);
    });
}

template <class F> Result<Buffer> Engine::try_sync(const SyncOptions &options, F &&callback) const noexcept {
    detail::Waiting<F> waiting(callback);
    Result<Buffer> report = synced(options, waiting);
    if (waiting.thrown())
        return detail::callback_threw();
    return report;
}

template <class F> Buffer Engine::sync(const SyncOptions &options, F &&callback) const {
    detail::Waiting<F> waiting(callback);
    Result<Buffer> report = synced(options, waiting);
    waiting.rethrow();
    return std::move(report).value();
}

} // namespace cyborg_kms

#endif
