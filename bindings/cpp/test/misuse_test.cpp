// What a program does wrong, or at a bad time: handles that end inside of callbacks, replies that nobody
// answers, errors that say nothing readable.
#include "support.hpp"

#include <atomic>
#include <condition_variable>
#include <future>
#include <thread>

namespace {

class Misuse : public testing::Test {
  protected:
    Folder folder;
    std::unique_ptr<kms::Engine> engine =
        std::make_unique<kms::Engine>(kms::Engine::open_yaml(configuration(folder)));
};

TEST_F(Misuse, AStoreMayEndWhileItIsListed) {
    engine->create_index("a", "prod");
    engine->create_index("b", "prod");
    auto store = std::make_unique<kms::Store>(engine->store());
    engine.reset();
    std::vector<std::string> names;
    store->list_index_kms({}, [&](const char *name) {
        store.reset();
        names.emplace_back(name);
    });
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
}

TEST_F(Misuse, AnEngineMayEndWhileItSyncs) {
    for (const char *name : {"a", "b", "c"})
        engine->create_index(name, "prod");
    int heard = 0;
    const kms::Buffer report = engine->sync({}, [&](const kms::Progress &) {
        engine.reset();
        ++heard;
    });
    EXPECT_EQ(heard, 3);
    EXPECT_NE(report.text().find("\"checked\""), std::string_view::npos);
}

// Keeps the replies it gets, and answers none until it is told to.
class Holding : public kms::AsyncProvider {
  public:
    struct Held {
        std::mutex mutex;
        std::condition_variable moved;
        std::vector<kms::Reply> replies;
        int destroyed = 0;
    };
    explicit Holding(std::shared_ptr<Held> held) : held_(std::move(held)) {}
    ~Holding() override {
        const std::lock_guard<std::mutex> lock(held_->mutex);
        ++held_->destroyed;
    }
    void wrap(const char *, kms::Bytes, kms::Bytes, kms::Reply &&reply) override {
        const std::lock_guard<std::mutex> lock(held_->mutex);
        held_->replies.push_back(std::move(reply));
        held_->moved.notify_all();
    }
    void unwrap(const char *key_id, kms::Bytes aad, kms::Bytes wrapped, kms::Reply &&reply) override {
        wrap(key_id, aad, wrapped, std::move(reply));
    }

  private:
    std::shared_ptr<Held> held_;
};

kms::Blob record_of_own() {
    kms::Blob blob;
    blob.set_kms_name("own");
    blob.set_provider("external:own");
    blob.set_key_id("k1");
    blob.set_wrapped_kek(ByteVector(32));
    return blob;
}

TEST_F(Misuse, AnEngineThatEndsCancelsWhatOpens) {
    auto held = std::make_shared<Holding::Held>();
    engine->register_provider("own", std::make_unique<Holding>(held));
    engine->store().create_index_kms("a", record_of_own());
    std::future<kms::Index> opens = engine->open_index_async("a");
    {
        std::unique_lock<std::mutex> lock(held->mutex);
        held->moved.wait(lock, [&] { return !held->replies.empty(); });
    }
    engine.reset();
    EXPECT_THROW(opens.get(), kms::CancelledError);
    held->replies.front().bytes(ByteVector(32)); // too late: nobody waits
    kms::Reply moved = std::move(held->replies.front());
    held->replies.front().error(kms::Status::timeout, "it was moved from"); // NOLINT
    held->replies.clear();
    EXPECT_EQ(held->destroyed, 1);
}

TEST_F(Misuse, AReplyThatEndsWithoutAnAnswerIsInternal) {
    auto held = std::make_shared<Holding::Held>();
    engine->register_provider("own", std::make_unique<Holding>(held));
    std::thread forgets([&] {
        std::unique_lock<std::mutex> lock(held->mutex);
        held->moved.wait(lock, [&] { return !held->replies.empty(); });
        kms::Reply &same = held->replies.front();
        same = std::move(held->replies.front()); // to itself: it is as it was
        held->replies.clear();
    });
    EXPECT_EQ(engine->try_create_index("a", "own").status(), kms::Status::internal);
    forgets.join();
}

class Unreadable : public Flip {
  public:
    std::vector<std::uint8_t> wrap(const char *, kms::Bytes, kms::Bytes) override {
        throw kms::AccessDeniedError("latin1: \xfc", "\xff");
    }
};

TEST_F(Misuse, AnUnreadableMessageKeepsItsStatus) {
    engine->register_provider("own", std::make_unique<Unreadable>());
    const auto denied = thrown<kms::AccessDeniedError>([&] { engine->create_index("a", "own"); });
    EXPECT_NE(denied.message().find("latin1: \xef\xbf\xbd"), std::string::npos) << denied.message();
    EXPECT_EQ(denied.provider_code(), "\xef\xbf\xbd");
}

class SaysOk : public Flip {
  public:
    std::vector<std::uint8_t> wrap(const char *, kms::Bytes, kms::Bytes) override {
        throw kms::Error(kms::Status::ok, "an error that is none");
    }
};

TEST_F(Misuse, AnErrorIsNeverASuccess) {
    engine->register_provider("own", std::make_unique<SaysOk>());
    EXPECT_EQ(engine->try_create_index("a", "own").status(), kms::Status::internal);
}

TEST_F(Misuse, AFutureThatNobodyWaitsForLeaksNothing) {
    engine->create_index("a", "prod");
    for (int round = 0; round < 20; ++round)
        static_cast<void>(engine->open_index_async("a"));
    engine.reset();
}

TEST_F(Misuse, EnginesAndIndexesEndOnManyThreads) {
    const kms::Index index = engine->create_index("a", "prod");
    std::vector<std::thread> threads;
    std::atomic<int> opened_pages{0};
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([&, own = engine->retain()]() mutable {
            for (int round = 0; round < 50; ++round) {
                const kms::Scope scope = own.scope();
                const kms::Index again = scope.open_index("a");
                opened_pages += opened(index, "x", sealed(again, "x", "page")) == bytes_of("page") ? 1 : 0;
            }
        });
    }
    engine.reset();
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_EQ(opened_pages, 200);
}

TEST_F(Misuse, TheCountersAreThoseOfC) {
    engine->create_index("a", "prod");
    engine->evict();
    engine->open_index("a");
    engine->open_index("a");
    cyborg_kms_stats raw{};
    raw.struct_size = sizeof raw;
    ASSERT_EQ(cyborg_kms_engine_stats(engine->get(), &raw, nullptr),
              static_cast<cyborg_kms_status>(CYBORG_KMS_OK));
    const kms::Stats stats = engine->stats();
    EXPECT_GT(stats.cache_hits, 0U);
    EXPECT_EQ(stats.cache_hits, raw.cache_hits);
    EXPECT_EQ(stats.cache_misses, raw.cache_misses);
    EXPECT_EQ(stats.cache_entries, raw.cache_entries);
    EXPECT_EQ(stats.kms_calls, raw.kms_calls);
    EXPECT_EQ(stats.kms_errors, raw.kms_errors);
    EXPECT_EQ(stats.kms_retries, raw.kms_retries);
    EXPECT_EQ(stats.coalesced_waits, raw.coalesced_waits);
    EXPECT_EQ(stats.stale_served, raw.stale_served);
    EXPECT_EQ(stats.store_reads, raw.store_reads);
    EXPECT_EQ(stats.store_writes, raw.store_writes);
    EXPECT_EQ(stats.audit_failures, raw.audit_failures);
}

} // namespace
