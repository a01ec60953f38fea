/* An engine: registry, store, cache. Opens indexes and changes their keys. */
#ifndef CYBORG_KMS_ENGINE_HPP
#define CYBORG_KMS_ENGINE_HPP

#include "audit.hpp"
#include "engine_options.hpp"
#include "index.hpp"
#include "provider.hpp"
#include "store.hpp"

#include <future>

namespace cyborg_kms {

class Scope;

/* A registry of slots, a store of records and a cache of KEKs. A process has one. */
class Engine {
  public:
    /* From a configuration file: YAML or JSON; relative paths in it start at its folder. No KMS is asked. */
    static Result<Engine> try_open(Text config_path) noexcept {
        return opened({config_path}, [&](auto out, auto error) {
            return cyborg_kms_engine_open(config_path.c_str(), out, error);
        });
    }
    /* From the configuration's text; "{}" is a store in memory and no slot. */
    static Result<Engine> try_open_yaml(Text yaml) noexcept {
        return opened({yaml}, [&](auto out, auto error) {
            return cyborg_kms_engine_open_yaml(yaml.c_str(), out, error);
        });
    }
    /* With a store in place of the configuration's section storage, which must be absent. */
    static Result<Engine> try_open_yaml(Text yaml, const Store &store) noexcept {
        return opened({yaml}, [&](auto out, auto error) {
            return cyborg_kms_engine_open_yaml_with_store(yaml.c_str(), store.get(), out, error);
        });
    }
    static Engine open(Text config_path) { return try_open(config_path).value(); }
    static Engine open_yaml(Text yaml) { return try_open_yaml(yaml).value(); }
    static Engine open_yaml(Text yaml, const Store &store) { return try_open_yaml(yaml, store).value(); }

    Engine(Engine &&) noexcept = default;
    Engine &operator=(Engine &&other) noexcept {
        handle_ = std::move(other.handle_); // before the slot, which its callback may refer to
        audit_ = std::move(other.audit_);
        return *this;
    }
    ~Engine() = default;

    /* One more handle of the same engine. */
    Engine retain() const noexcept { return Engine(cyborg_kms_engine_retain(get()), audit_); }

    /* The same engine with settings of its own: what is called through it has its deadline and principal, and
     * can be cancelled. It costs little: make one for each request. */
    Result<Scope> try_scope(const ScopeOptions &options = {}) const noexcept;
    Scope scope(const ScopeOptions &options = {}) const;

    /* Reads the configuration anew, from its file or from a text: slots come, change and go, cache and open
     * indexes stay. All or nothing. */
    Result<void> try_reload(Text yaml = {}) const noexcept {
        return detail::called(
            {yaml}, [&](auto error) { return cyborg_kms_engine_reload(get(), yaml.c_str(), error); });
    }
    void reload(Text yaml = {}) const { try_reload(yaml).value(); }

    Result<Store> try_store() const noexcept {
        return detail::given<Store, cyborg_kms_store *>(
            {}, [&](auto out, auto error) { return cyborg_kms_engine_store(get(), out, error); });
    }
    Store store() const { return try_store().value(); }

    /* Proves that a slot works, by a wrap and an unwrap of random bytes; without a name: every slot but those
     * of provider none. */
    Result<void> try_check(Text kms_name = {}) const noexcept {
        return named(cyborg_kms_engine_check, kms_name);
    }
    void check(Text kms_name = {}) const { try_check(kms_name).value(); }

    /* Wipes the cached keys of an index, for open handles too; without a name: of all. The next use asks the
     * KMS. */
    Result<void> try_evict(Text index_name = {}) const noexcept {
        return named(cyborg_kms_engine_evict, index_name);
    }
    void evict(Text index_name = {}) const { try_evict(index_name).value(); }

    Result<Stats> try_stats() const noexcept {
        cyborg_kms_stats raw{};
        raw.struct_size = sizeof raw;
        Result<void> done =
            detail::called({}, [&](auto error) { return cyborg_kms_engine_stats(get(), &raw, error); });
        if (!done)
            return std::move(done).failure();
        return Stats{raw.cache_hits,  raw.cache_misses, raw.cache_entries,   raw.kms_calls,
                     raw.kms_errors,  raw.kms_retries,  raw.coalesced_waits, raw.stale_served,
                     raw.store_reads, raw.store_writes, raw.audit_failures};
    }
    Stats stats() const { return try_stats().value(); }

    /* Counters, latencies and breaker states as OpenMetrics 1.0 text. */
    Result<Buffer> try_metrics() const noexcept {
        return detail::given<Buffer, cyborg_kms_buffer *>(
            {}, [&](auto out, auto error) { return cyborg_kms_engine_metrics(get(), out, error); });
    }
    Buffer metrics() const { return try_metrics().value(); }

    /* Has a provider serve the slots that say "provider: external:NAME", and takes it over on every path.
     * Until then using such a slot is ConfigError. */
    Result<void> try_register_provider(Text provider_name,
                                       std::unique_ptr<AsyncProvider> provider) const noexcept {
        if (!provider)
            return Failure(Status::invalid_argument, "there is no provider: give one");
        if (!provider_name.whole())
            return detail::not_whole();
        const cyborg_kms_provider_callbacks callbacks = detail::ProviderCallbacks::table();
        AsyncProvider *const own =
            provider.release(); // the callback `destroy` deletes it, also when this fails
        return detail::called({}, [&](auto error) {
            return cyborg_kms_engine_register_provider(get(), provider_name.c_str(), &callbacks, own, error);
        });
    }
    Result<void> try_register_provider(Text provider_name,
                                       std::unique_ptr<Provider> provider) const noexcept {
        if (!provider)
            return Failure(Status::invalid_argument, "there is no provider: give one");
        std::unique_ptr<AsyncProvider> waiting(new (std::nothrow)
                                                   detail::WaitingProvider(std::move(provider)));
        if (!waiting)
            return detail::no_memory();
        return try_register_provider(provider_name, std::move(waiting));
    }
    void register_provider(Text provider_name, std::unique_ptr<AsyncProvider> provider) const {
        try_register_provider(provider_name, std::move(provider)).value();
    }
    void register_provider(Text provider_name, std::unique_ptr<Provider> provider) const {
        try_register_provider(provider_name, std::move(provider)).value();
    }

    /* Gives the engine's audit events to a callback, besides the file of audit.path or without one; an empty
     * one ends it. When it returns, no thread is in the former one any more, and that is destroyed. It ends
     * with the last Engine of this engine, scopes included, whatever indexes are still open. It runs on the
     * thread of the operation, several at once, must not call the library or own an Engine, and what it
     * throws is dropped. Not from within the callback. */
    Result<void> try_set_audit_callback(AuditCallback callback) const noexcept {
        if (!audit_)
            return Failure(Status::invalid_argument, "the engine was moved from");
        return audit_->set(get(), std::move(callback));
    }
    void set_audit_callback(AuditCallback callback) const {
        try_set_audit_callback(std::move(callback)).value();
    }

    /* Creates an index: a fresh KEK that the slot guards. Durable when it returns. Create only where your
     * catalog says that the index is new: NotFoundError from open_index is no reason. */
    Result<Index> try_create_index(Text index_name, Text kms_name) const noexcept {
        return index({index_name, kms_name}, [&](auto out, auto error) {
            return cyborg_kms_index_create(get(), index_name.c_str(), kms_name.c_str(), out, error);
        });
    }
    /* With a KEK of 32 bytes that the caller has. Without a slot it is of provider none: the caller brings
     * the KEK at each opening, and nobody can help if it is lost. */
    Result<Index> try_create_index_with_key(Text index_name, Text kms_name, Bytes kek) const noexcept {
        return index({index_name, kms_name}, [&](auto out, auto error) {
            return cyborg_kms_index_create_with_key(get(), index_name.c_str(), kms_name.c_str(), kek.data(),
                                                    kek.size(), out, error);
        });
    }
    /* Opens an index: from the cache, else by one read of its record and one unwrap, however many callers
     * wait. */
    Result<Index> try_open_index(Text index_name) const noexcept {
        return index({index_name}, [&](auto out, auto error) {
            return cyborg_kms_index_open(get(), index_name.c_str(), out, error);
        });
    }
    Result<Index> try_open_index(Text index_name, const OpenOptions &options) const noexcept {
        const cyborg_kms_open_options raw = detail::raw(options);
        return index({index_name}, [&](auto out, auto error) {
            return cyborg_kms_index_open_with_options(get(), index_name.c_str(), &raw, out, error);
        });
    }
    /* Opens an index of provider none with its KEK of 32 bytes. */
    Result<Index> try_open_index_with_key(Text index_name, Bytes kek) const noexcept {
        return index({index_name}, [&](auto out, auto error) {
            return cyborg_kms_index_open_with_key(get(), index_name.c_str(), kek.data(), kek.size(), out,
                                                  error);
        });
    }
    Index create_index(Text index_name, Text kms_name) const {
        return try_create_index(index_name, kms_name).value();
    }
    Index create_index_with_key(Text index_name, Text kms_name, Bytes kek) const {
        return try_create_index_with_key(index_name, kms_name, kek).value();
    }
    Index open_index(Text index_name) const { return try_open_index(index_name).value(); }
    Index open_index(Text index_name, const OpenOptions &options) const {
        return try_open_index(index_name, options).value();
    }
    Index open_index_with_key(Text index_name, Bytes kek) const {
        return try_open_index_with_key(index_name, kek).value();
    }

    /* Opens an index on a thread of the library, and returns at once. `callback(Result<Index>)` runs once,
     * there, also for what is wrong with the arguments; it may use what it got, and destroy engines. What it
     * throws is dropped: nobody is there to catch it. The only failure is that there is no memory for the
     * callback, which then does not run. */
    template <class F>
    Result<void> try_open_index_async(Text index_name, const OpenOptions &options,
                                      F &&callback) const noexcept;
    template <class F>
    void open_index_async(Text index_name, const OpenOptions &options, F &&callback) const {
        try_open_index_async(index_name, options, std::forward<F>(callback)).value();
    }
    /* The same with a future, whose get() gives the index or throws. */
    std::future<Index> open_index_async(Text index_name, const OpenOptions &options = {}) const;

    /* Rotates the keys of an index in one atomic write, online. `kms_name`: the slot that wraps from now on;
     * none: its own. */
    Result<void> try_rotate_index(Text index_name, Rotation rotation, Text kms_name = {}) const noexcept {
        return detail::called({index_name, kms_name}, [&](auto error) {
            return cyborg_kms_index_rotate(get(), index_name.c_str(),
                                           static_cast<cyborg_kms_rotation>(rotation), kms_name.c_str(),
                                           error);
        });
    }
    /* The same for an index of provider none, or from and to none (`kms_name` ""). The keys have 32 bytes, or
     * none where a KMS has the old one, or the new one is the old. */
    Result<void> try_rotate_index_with_key(Text index_name, Rotation rotation, Text kms_name, Bytes old_kek,
                                           Bytes new_kek) const noexcept {
        return detail::called({index_name, kms_name}, [&](auto error) {
            return cyborg_kms_index_rotate_with_key(
                get(), index_name.c_str(), static_cast<cyborg_kms_rotation>(rotation), kms_name.c_str(),
                old_kek.data(), old_kek.size(), new_kek.data(), new_kek.size(), error);
        });
    }
    void rotate_index(Text index_name, Rotation rotation, Text kms_name = {}) const {
        try_rotate_index(index_name, rotation, kms_name).value();
    }
    void rotate_index_with_key(Text index_name, Rotation rotation, Text kms_name, Bytes old_kek,
                               Bytes new_kek) const {
        try_rotate_index_with_key(index_name, rotation, kms_name, old_kek, new_kek).value();
    }

    /* Forgets a data key: the pages that it sealed can never be read again. Not before quiet_at of
     * describe_index. */
    Result<void> try_retire_data_key(Text index_name, std::uint32_t data_key_id) const noexcept {
        return detail::called({index_name}, [&](auto error) {
            return cyborg_kms_index_retire_data_key(get(), index_name.c_str(), data_key_id, error);
        });
    }
    /* Forgets a former KEK: what was encrypted under it, once it was exported, can never be read again. */
    Result<void> try_retire_kek(Text index_name, std::uint32_t version) const noexcept {
        return detail::called({index_name}, [&](auto error) {
            return cyborg_kms_index_retire_kek(get(), index_name.c_str(), version, error);
        });
    }
    /* Refuses every use of an index (KeyDisabledError): here at once, in other processes within cache.ttl. */
    Result<void> try_disable_index(Text index_name) const noexcept {
        return named(cyborg_kms_index_disable, index_name);
    }
    Result<void> try_enable_index(Text index_name) const noexcept {
        return named(cyborg_kms_index_enable, index_name);
    }
    /* 24 to 8,760 hours; a sync deletes it when it is due. */
    Result<void> try_schedule_deletion(Text index_name, std::uint32_t waiting_hours) const noexcept {
        return detail::called({index_name}, [&](auto error) {
            return cyborg_kms_index_schedule_deletion(get(), index_name.c_str(), waiting_hours, error);
        });
    }
    /* Leaves the index disabled. */
    Result<void> try_cancel_deletion(Text index_name) const noexcept {
        return named(cyborg_kms_index_cancel_deletion, index_name);
    }
    /* Deletes an index at once: what its keys protect can never be read again. Gives a receipt as JSON. */
    Result<Buffer> try_delete_index(Text index_name) const noexcept {
        return told(cyborg_kms_index_delete, index_name);
    }
    /* State, slot, key, version, epoch, data keys, former KEKs as JSON. No KMS is asked. */
    Result<Buffer> try_describe_index(Text index_name) const noexcept {
        return told(cyborg_kms_index_describe, index_name);
    }
    void retire_data_key(Text index_name, std::uint32_t data_key_id) const {
        try_retire_data_key(index_name, data_key_id).value();
    }
    void retire_kek(Text index_name, std::uint32_t version) const {
        try_retire_kek(index_name, version).value();
    }
    void disable_index(Text index_name) const { try_disable_index(index_name).value(); }
    void enable_index(Text index_name) const { try_enable_index(index_name).value(); }
    void schedule_deletion(Text index_name, std::uint32_t waiting_hours) const {
        try_schedule_deletion(index_name, waiting_hours).value();
    }
    void cancel_deletion(Text index_name) const { try_cancel_deletion(index_name).value(); }
    Buffer delete_index(Text index_name) const { return try_delete_index(index_name).value(); }
    Buffer describe_index(Text index_name) const { return try_describe_index(index_name).value(); }

    /* Holds every stored record against the registry: what drifted is wrapped anew, what is due is rotated or
     * deleted. Gives a report as JSON; what failed for one index is in it. `callback(const Progress &)` hears
     * of each index, on this thread; it returns false to stop, or nothing; what it throws stops the sync and
     * is thrown on. */
    template <class F> Result<Buffer> try_sync(const SyncOptions &options, F &&callback) const noexcept;
    template <class F> Buffer sync(const SyncOptions &options, F &&callback) const;
    Buffer sync(const SyncOptions &options = {}) const {
        return sync(options, [](const Progress &) {});
    }

    /* The C handle, which stays the engine's. */
    cyborg_kms_engine *get() const noexcept { return handle_.get(); }

  protected:
    Engine(cyborg_kms_engine *handle, std::shared_ptr<detail::AuditSlot> audit) noexcept
        : audit_(std::move(audit)), handle_(handle) {}

  private:
    template <class F> static Result<Engine> opened(std::initializer_list<Text> texts, F &&function) noexcept;
    template <class F> static Result<Index> index(std::initializer_list<Text> texts, F &&function) noexcept {
        return detail::given<Index, cyborg_kms_index *>(texts, std::forward<F>(function));
    }
    using Named = cyborg_kms_status (*)(cyborg_kms_engine *, const char *, cyborg_kms_error **);
    Result<void> named(Named function, Text name) const noexcept {
        return detail::called({name}, [&](auto error) { return function(get(), name.c_str(), error); });
    }
    using Told = cyborg_kms_status (*)(cyborg_kms_engine *, const char *, cyborg_kms_buffer **,
                                       cyborg_kms_error **);
    Result<Buffer> told(Told function, Text name) const noexcept {
        return detail::given<Buffer, cyborg_kms_buffer *>(
            {name}, [&](auto out, auto error) { return function(get(), name.c_str(), out, error); });
    }
    template <class W> Result<Buffer> synced(const SyncOptions &options, W &waiting) const noexcept;

    std::shared_ptr<detail::AuditSlot> audit_; // outlives the handle
    detail::EngineHandle handle_;
};

template <class F> Result<Engine> Engine::opened(std::initializer_list<Text> texts, F &&function) noexcept {
    if (Result<void> abi = try_check_abi(); !abi)
        return std::move(abi).failure();
    std::shared_ptr<detail::AuditSlot> audit;
    try {
        audit = std::make_shared<detail::AuditSlot>();
    } catch (const std::bad_alloc &) {
        return detail::no_memory();
    }
    cyborg_kms_engine *out = nullptr;
    Result<void> done = detail::called(texts, [&](auto error) { return function(&out, error); });
    if (!done)
        return std::move(done).failure();
    return Engine(out, std::move(audit));
}

} // namespace cyborg_kms

#include "engine_calls.hpp"
#include "scope.hpp"

#endif
