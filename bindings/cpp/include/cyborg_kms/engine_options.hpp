/* What calls of an engine take and give. */
#ifndef CYBORG_KMS_ENGINE_OPTIONS_HPP
#define CYBORG_KMS_ENGINE_OPTIONS_HPP

#include "status.hpp"
#include "text.hpp"

#include <algorithm>
#include <chrono>
#include <string>

namespace cyborg_kms {

/* Settings for everything that is called through a scope; Engine::scope. */
struct ScopeOptions {
    /* What a whole call may take, retries included; 0: no limit of its own. Beyond 49 days it is that. */
    std::chrono::milliseconds deadline = std::chrono::milliseconds::zero();
    /* Who acts, for the audit trail; empty: the configuration's. */
    std::string principal;
};

/* What an engine has counted since it was opened. */
struct Stats {
    /* Openings that found the KEK in the cache. */
    std::uint64_t cache_hits = 0;
    /* Openings and refreshes that did not. */
    std::uint64_t cache_misses = 0;
    /* Indexes in the cache now. */
    std::uint64_t cache_entries = 0;
    /* Wraps and unwraps asked of providers, tries included. */
    std::uint64_t kms_calls = 0;
    /* Those that failed. */
    std::uint64_t kms_errors = 0;
    /* Those that repeated another. */
    std::uint64_t kms_retries = 0;
    /* Callers that waited for the load of another. */
    std::uint64_t coalesced_waits = 0;
    /* Uses of a KEK beyond its lifetime since the KMS did not answer. */
    std::uint64_t stale_served = 0;
    /* Records read. */
    std::uint64_t store_reads = 0;
    /* Records written or removed. */
    std::uint64_t store_writes = 0;
    /* Audit events that could not be written. */
    std::uint64_t audit_failures = 0;
};

/* What a rotation changes. */
enum class Rotation : cyborg_kms_rotation {
    /* The same KEK, wrapped anew. */
    rewrap = CYBORG_KMS_ROTATE_REWRAP,
    /* A new KEK, the data keys wrapped anew under it, the former KEK kept under it. */
    kek = CYBORG_KMS_ROTATE_KEK,
    /* A new data key for new pages; old pages stay readable. */
    data_key = CYBORG_KMS_ROTATE_DATA_KEY,
};

/* Settings of a sync. */
struct SyncOptions {
    /* Says what would be done, and does nothing. No KMS is asked. */
    bool dry_run = false;
    /* How many indexes at once, at most 256; 0: 8. */
    std::uint32_t concurrency = 0;
    /* To each slot's KMS, at most 1,000,000; 0: the slot's. */
    std::uint32_t requests_per_second = 0;
};

/* How far a sync is: an index that it is done with, and Status::ok or why it failed. The name is borrowed. */
struct Progress {
    std::uint64_t done;
    std::uint64_t total;
    const char *index_name;
    Status status;
};

namespace detail {

inline cyborg_kms_scope_options raw(const ScopeOptions &options) noexcept {
    using Count = std::chrono::milliseconds::rep;
    cyborg_kms_scope_options raw{};
    raw.struct_size = sizeof raw;
    raw.deadline_ms = static_cast<std::uint32_t>(
        std::clamp(options.deadline.count(), Count{0}, static_cast<Count>(UINT32_MAX)));
    if (options.deadline.count() < 0)
        raw.deadline_ms = 1; // it is over: 0 would be no deadline at all
    raw.principal = options.principal.empty() ? nullptr : options.principal.c_str();
    return raw;
}

inline cyborg_kms_sync_options raw(const SyncOptions &options) noexcept {
    cyborg_kms_sync_options raw{};
    raw.struct_size = sizeof raw;
    raw.dry_run = options.dry_run;
    raw.concurrency = options.concurrency;
    raw.requests_per_second = options.requests_per_second;
    return raw;
}

} // namespace detail

} // namespace cyborg_kms

#endif
