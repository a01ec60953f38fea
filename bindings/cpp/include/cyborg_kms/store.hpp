/* A store of envelope records. */
#ifndef CYBORG_KMS_STORE_HPP
#define CYBORG_KMS_STORE_HPP

#include "blob.hpp"
#include "callback.hpp"
#include "library.hpp"
#include "records.hpp"

#include <string>
#include <vector>

namespace cyborg_kms {

/* Where envelope records are kept. An engine that uses it keeps it alive. */
class Store {
  public:
    /* Takes the C handle over. */
    explicit Store(cyborg_kms_store *handle) noexcept : handle_(handle) {}

    /* "memory://" (a new one each time), a path such as "/var/lib/db", "s3://bucket/prefix?region=eu-west-1",
     * …: docs/stores.md. */
    static Result<Store> try_open(Text url) noexcept {
        if (Result<void> abi = try_check_abi(); !abi)
            return std::move(abi).failure();
        return detail::given<Store, cyborg_kms_store *>(
            {url}, [&](auto out, auto error) { return cyborg_kms_store_open(url.c_str(), out, error); });
    }
    /* Over records of the program's own. */
    static Result<Store> try_open(std::unique_ptr<AsyncRecords> records,
                                  StoreFlags flags = StoreFlags::none) noexcept {
        if (!records)
            return Failure(Status::invalid_argument, "there are no records: give some");
        if (Result<void> abi = try_check_abi(); !abi)
            return std::move(abi).failure();
        const cyborg_kms_store_callbacks callbacks = detail::StoreCallbacks::table(flags);
        AsyncRecords *const own =
            records.release(); // the callback `destroy` deletes it, also when this fails
        return detail::given<Store, cyborg_kms_store *>({}, [&](auto out, auto error) {
            return cyborg_kms_store_open_callbacks(&callbacks, own, out, error);
        });
    }
    static Result<Store> try_open(std::unique_ptr<Records> records,
                                  StoreFlags flags = StoreFlags::none) noexcept {
        if (!records)
            return Failure(Status::invalid_argument, "there are no records: give some");
        std::unique_ptr<AsyncRecords> waiting(new (std::nothrow) detail::WaitingRecords(std::move(records)));
        if (!waiting)
            return detail::no_memory();
        return try_open(std::move(waiting), flags);
    }
    static Store open(Text url) { return try_open(url).value(); }
    static Store open(std::unique_ptr<AsyncRecords> records, StoreFlags flags = StoreFlags::none) {
        return try_open(std::move(records), flags).value();
    }
    static Store open(std::unique_ptr<Records> records, StoreFlags flags = StoreFlags::none) {
        return try_open(std::move(records), flags).value();
    }

    /* One more handle of the same store. */
    Store retain() const noexcept { return Store(cyborg_kms_store_retain(get())); }

    /* A strict insert: AlreadyExistsError. Durable when it returns. */
    Result<void> try_create_index_kms(Text index_name, const Blob &blob) const noexcept {
        return detail::called({index_name}, [&](auto error) {
            return cyborg_kms_create_index_kms(get(), index_name.c_str(), blob.get(), error);
        });
    }
    /* Whether there is one or not: sets what the blob holds and keeps the rest of the record. */
    Result<void> try_push_index_kms(Text index_name, const Blob &blob) const noexcept {
        return detail::called({index_name}, [&](auto error) {
            return cyborg_kms_push_index_kms(get(), index_name.c_str(), blob.get(), error);
        });
    }
    Result<Blob> try_get_index_kms(Text index_name) const noexcept {
        return detail::given<Blob, cyborg_kms_blob *>({index_name}, [&](auto out, auto error) {
            return cyborg_kms_get_index_kms(get(), index_name.c_str(), out, error);
        });
    }
    /* Removes the record, and with it the wraps of its keys: what they protect can't be read any more. That
     * there is none is fine. */
    Result<void> try_delete_index_kms(Text index_name) const noexcept {
        return detail::called({index_name}, [&](auto error) {
            return cyborg_kms_delete_index_kms(get(), index_name.c_str(), error);
        });
    }
    /* Gives `callback(const char *index_name)` the name of each record behind `start_after` (without one:
     * from the first), in the order of the encoded names, on this thread. It returns false to stop, or
     * nothing; what it throws stops the listing and is thrown on. */
    template <class F> Result<void> try_list_index_kms(Text start_after, F &&callback) const noexcept {
        detail::Waiting<F> waiting(callback);
        Result<void> listed = listed_by(start_after, waiting);
        if (waiting.thrown())
            return detail::callback_threw();
        return listed;
    }

    void create_index_kms(Text index_name, const Blob &blob) const {
        try_create_index_kms(index_name, blob).value();
    }
    void push_index_kms(Text index_name, const Blob &blob) const {
        try_push_index_kms(index_name, blob).value();
    }
    Blob get_index_kms(Text index_name) const { return try_get_index_kms(index_name).value(); }
    void delete_index_kms(Text index_name) const { try_delete_index_kms(index_name).value(); }
    template <class F> void list_index_kms(Text start_after, F &&callback) const {
        detail::Waiting<F> waiting(callback);
        const Result<void> listed = listed_by(start_after, waiting);
        waiting.rethrow();
        listed.value();
    }
    /* All of them. */
    std::vector<std::string> list_index_kms() const {
        std::vector<std::string> names;
        list_index_kms({}, [&](const char *index_name) { names.emplace_back(index_name); });
        return names;
    }

    /* The C handle, which stays the store's. */
    cyborg_kms_store *get() const noexcept { return handle_.get(); }

  private:
    template <class W> Result<void> listed_by(Text start_after, W &waiting) const noexcept {
        const cyborg_kms_name_callback callback = [](const char *index_name, void *user_data) noexcept {
            return (*static_cast<W *>(user_data))(index_name);
        };
        const Store used = retain(); // the callback may destroy this one
        return detail::called({start_after}, [&](auto error) {
            return cyborg_kms_list_index_kms(used.get(), start_after.c_str(), callback, &waiting, error);
        });
    }

    detail::StoreHandle handle_;
};

} // namespace cyborg_kms

#endif
