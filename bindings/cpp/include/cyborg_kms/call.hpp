/* How a C function is called: what each call of the binding has in common. Not for users. */
#ifndef CYBORG_KMS_CALL_HPP
#define CYBORG_KMS_CALL_HPP

#include "result.hpp"

#include <initializer_list>
#include <memory>
#include <new>

namespace cyborg_kms::detail {

/* Frees a handle by the function of its noun. */
template <class T, void (*free_handle)(T *)> struct Free {
    void operator()(T *handle) const noexcept { free_handle(handle); }
};
template <class T, void (*free_handle)(T *)> using Handle = std::unique_ptr<T, Free<T, free_handle>>;

using BlobHandle = Handle<cyborg_kms_blob, cyborg_kms_blob_free>;
using BufferHandle = Handle<cyborg_kms_buffer, cyborg_kms_buffer_free>;
using EngineHandle = Handle<cyborg_kms_engine, cyborg_kms_engine_free>;
using IndexHandle = Handle<cyborg_kms_index, cyborg_kms_index_free>;
using StoreHandle = Handle<cyborg_kms_store, cyborg_kms_store_free>;

inline bool whole(std::initializer_list<Text> texts) noexcept {
    for (const Text &text : texts) {
        if (!text.whole())
            return false;
    }
    return true;
}

inline Failure not_whole() noexcept {
    return Failure(Status::invalid_argument, "a text has a NUL inside: give one without");
}

inline Failure no_memory() noexcept {
    return Failure(Status::internal, "the system gives no memory");
}

/* A call that gives nothing: `function(error)`. */
template <class F> Result<void> called(std::initializer_list<Text> texts, F &&function) noexcept {
    if (!whole(texts))
        return not_whole();
    cyborg_kms_error *error = nullptr;
    const cyborg_kms_status status = function(&error);
    if (status != CYBORG_KMS_OK)
        return Failure(status, error);
    return {};
}

/* A call that gives a value: `function(&raw, error)`, of which `T(raw)` is made. */
template <class T, class Raw, class F>
Result<T> given(std::initializer_list<Text> texts, F &&function) noexcept {
    if (!whole(texts))
        return not_whole();
    Raw raw{};
    cyborg_kms_error *error = nullptr;
    const cyborg_kms_status status = function(&raw, &error);
    if (status != CYBORG_KMS_OK)
        return Failure(status, error);
    return T(raw);
}

} // namespace cyborg_kms::detail

#endif
