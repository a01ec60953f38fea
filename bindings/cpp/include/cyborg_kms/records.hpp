/* Stores of the caller's own: derive from Records, or from AsyncRecords to answer later. */
#ifndef CYBORG_KMS_RECORDS_HPP
#define CYBORG_KMS_RECORDS_HPP

#include "reply.hpp"

#include <optional>
#include <vector>

namespace cyborg_kms {

/* For Records::put: write only if there is no record; and whatever there is. */
constexpr std::uint64_t revision_absent = CYBORG_KMS_REVISION_ABSENT;
constexpr std::uint64_t revision_any = CYBORG_KMS_REVISION_ANY;

/* How a store of the caller's own is called. */
enum class StoreFlags : std::uint32_t {
    none = 0,
    /* Never from a thread of the library: no refreshing ahead, and Engine::open_index_async is UNSUPPORTED.
     */
    caller_thread = CYBORG_KMS_STORE_CALLER_THREAD,
};

/* A stored record: its bytes, and its revision (never 0, never the same for two different contents of one
 * name). */
struct Record {
    std::vector<std::uint8_t> data;
    std::uint64_t revision;
};

/* Takes the names that a store lists. */
class NameSink {
  public:
    NameSink(cyborg_kms_name_callback name, void *name_data) noexcept : name_(name), data_(name_data) {}
    /* False: enough. */
    bool operator()(const std::string &index_name) const noexcept { return name_(index_name.c_str(), data_); }

  private:
    cyborg_kms_name_callback name_;
    void *data_;
};

/* Keeps envelope records where the program has its catalog: a system table, a manifest, its own transactions.
 * Store::open takes it over.
 *
 * Its functions run on the calling thread where there is one, else on a thread of the library, several at
 * once, and must not call the engine that uses the store. Their arguments are borrowed for the call. One that
 * takes longer than 10 seconds is TIMEOUT for the caller. What they throw is the call's failure: an Error has
 * its status, anything else is INTERNAL. Destroyed once, when nothing uses it any more, also when opening the
 * store failed. */
class Records {
  public:
    virtual ~Records() = default;
    /* The record, or none. */
    virtual std::optional<Record> get(const char *index_name) = 0;
    /* Writes at most 1 MiB if the record has `expected_revision`; atomic and durable when it returns, with
     * the new revision. Throws AlreadyExistsError (expected revision_absent), ConflictError. */
    virtual std::uint64_t put(const char *index_name, Bytes data, std::uint64_t expected_revision) = 0;
    /* Removes the record if it has `expected_revision`: else ConflictError. That there is none is fine. */
    virtual void remove(const char *index_name, std::uint64_t expected_revision) = 0;
    /* Gives `name` each record behind `start_after` (NULL: from the first), until it returns false. */
    virtual void list(const char *start_after, const NameSink &name) = 0;
};

/* The same for a catalog whose answers come later, or on another thread: each function answers `reply`, or
 * moves it to where it will be answered, with a copy of what it needs of the other arguments. */
class AsyncRecords {
  public:
    virtual ~AsyncRecords() = default;
    /* Answers with bytes and revision, or with Status::not_found. */
    virtual void get(const char *index_name, Reply &&reply) = 0;
    /* Answers with Reply::done(revision), or with Status::already_exists or conflict. */
    virtual void put(const char *index_name, Bytes data, std::uint64_t expected_revision, Reply &&reply) = 0;
    virtual void remove(const char *index_name, std::uint64_t expected_revision, Reply &&reply) = 0;
    /* A copy of `name` may be used until the reply is answered. */
    virtual void list(const char *start_after, NameSink name, Reply &&reply) = 0;
};

namespace detail {

/* A Records as an AsyncRecords. */
class WaitingRecords final : public AsyncRecords {
  public:
    explicit WaitingRecords(std::unique_ptr<Records> &&records) noexcept : records_(std::move(records)) {}
    void get(const char *index_name, Reply &&reply) override {
        if (const std::optional<Record> record = records_->get(index_name))
            reply.bytes(record->data, record->revision);
        else
            reply.error(Status::not_found, "there is no such record");
    }
    void put(const char *index_name, Bytes data, std::uint64_t expected_revision, Reply &&reply) override {
        reply.done(records_->put(index_name, data, expected_revision));
    }
    void remove(const char *index_name, std::uint64_t expected_revision, Reply &&reply) override {
        records_->remove(index_name, expected_revision);
        reply.done();
    }
    void list(const char *start_after, NameSink name, Reply &&reply) override {
        records_->list(start_after, name);
        reply.done();
    }

  private:
    std::unique_ptr<Records> records_;
};

/* What the C library calls; `user_data` is an AsyncRecords. */
struct StoreCallbacks {
    static cyborg_kms_store_callbacks table(StoreFlags flags) noexcept {
        cyborg_kms_store_callbacks callbacks{};
        callbacks.struct_size = sizeof callbacks;
        callbacks.flags = static_cast<std::uint32_t>(flags);
        callbacks.get = get;
        callbacks.put = put;
        callbacks.remove = remove;
        callbacks.list = list;
        callbacks.destroy = destroy;
        return callbacks;
    }

  private:
    static AsyncRecords &of(void *user_data) noexcept { return *static_cast<AsyncRecords *>(user_data); }
    static void get(const char *index_name, cyborg_kms_reply *reply, void *user_data) noexcept {
        answer(Reply(reply), [&](Reply &&to) { of(user_data).get(index_name, std::move(to)); });
    }
    static void put(const char *index_name, const std::uint8_t *data, std::size_t len,
                    std::uint64_t expected_revision, cyborg_kms_reply *reply, void *user_data) noexcept {
        answer(Reply(reply), [&](Reply &&to) {
            of(user_data).put(index_name, {data, len}, expected_revision, std::move(to));
        });
    }
    static void remove(const char *index_name, std::uint64_t expected_revision, cyborg_kms_reply *reply,
                       void *user_data) noexcept {
        answer(Reply(reply),
               [&](Reply &&to) { of(user_data).remove(index_name, expected_revision, std::move(to)); });
    }
    static void list(const char *start_after, cyborg_kms_name_callback name, void *name_data,
                     cyborg_kms_reply *reply, void *user_data) noexcept {
        answer(Reply(reply), [&](Reply &&to) {
            of(user_data).list(start_after, NameSink(name, name_data), std::move(to));
        });
    }
    static void destroy(void *user_data) noexcept { delete &of(user_data); }
};

} // namespace detail

} // namespace cyborg_kms

#endif
