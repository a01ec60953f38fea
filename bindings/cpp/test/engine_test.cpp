// Engines: opening, slots, scopes, counters; the life of an index.
#include "support.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace {

using nlohmann::json;

TEST(Engines, OpenFromFileTextAndStore) {
    Folder folder;
    std::ofstream(folder.at("db.yaml")) << "storage: {url: keys}\n" << configuration(folder);
    const kms::Engine from_file = kms::Engine::open(folder.at("db.yaml"));
    from_file.create_index("a", "prod");
    EXPECT_TRUE(std::filesystem::exists(folder.at("keys/_catalog/config/a.kms.cat")));
    const kms::Store store = kms::Store::open(folder.at("keys"));
    const kms::Engine over_store = kms::Engine::open_yaml(configuration(folder), store);
    EXPECT_STREQ(over_store.open_index("a").provider(), "local");
    EXPECT_EQ(kms::Engine::try_open(folder.at("none.yaml")).status(), kms::Status::config);
    EXPECT_THROW(kms::Engine::open_yaml("kms: 7"), kms::ConfigError);
    EXPECT_EQ(kms::Engine::try_open_yaml("storage: {url: x}", store).status(), kms::Status::config);
    EXPECT_EQ(kms::Engine::try_open({}).status(), kms::Status::invalid_argument);
}

TEST(Engines, ReloadCheckAndEvict) {
    Folder folder;
    const kms::Engine engine = kms::Engine::open_yaml("{}");
    EXPECT_EQ(engine.try_check("prod").status(), kms::Status::config);
    engine.reload(configuration(folder));
    engine.check("prod");
    EXPECT_EQ(engine.try_check().status(), kms::Status::config) << "the slot own has no provider yet";
    engine.register_provider("own", std::make_unique<Flip>());
    engine.check();
    EXPECT_THROW(engine.reload("nonsense: 1"), kms::ConfigError);
    EXPECT_THROW(engine.reload(), kms::InvalidArgumentError) << "there is no file to read";
    const kms::Index index = engine.create_index("a", "prod");
    const std::uint64_t before = engine.stats().kms_calls;
    engine.evict("a");
    engine.evict();
    EXPECT_EQ(sealed(index, "", "page").size(), 4 + kms::overhead);
    EXPECT_GT(engine.stats().kms_calls, before);
    EXPECT_EQ(engine.stats().cache_entries, 1U);
    EXPECT_NE(engine.metrics().text().find("# EOF"), std::string::npos);
}

// A provider that waits until it is let go.
struct Gate {
    std::mutex mutex;
    std::condition_variable moved;
    bool open = false;
    int inside = 0;

    void pass() {
        std::unique_lock<std::mutex> lock(mutex);
        ++inside;
        moved.notify_all();
        moved.wait(lock, [&] { return open; });
    }
    void wait_inside() {
        std::unique_lock<std::mutex> lock(mutex);
        moved.wait(lock, [&] { return inside > 0; });
    }
    void let_go() {
        const std::lock_guard<std::mutex> lock(mutex);
        open = true;
        moved.notify_all();
    }
};

class Slow : public Flip {
  public:
    explicit Slow(Gate &gate) : gate_(gate) {}
    std::vector<std::uint8_t> wrap(const char *key_id, kms::Bytes aad, kms::Bytes kek) override {
        gate_.pass();
        return Flip::wrap(key_id, aad, kek);
    }

  private:
    Gate &gate_;
};

TEST(Scopes, AreCancelledFromAnotherThread) {
    Folder folder;
    Gate gate;
    const kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
    engine.register_provider("own", std::make_unique<Slow>(gate));
    const kms::Scope scope = engine.scope();
    std::thread other([&] {
        gate.wait_inside();
        scope.cancel();
    });
    EXPECT_THROW(scope.create_index("a", "own"), kms::CancelledError);
    other.join();
    EXPECT_EQ(scope.try_open_index("a").status(), kms::Status::cancelled) << "and what comes after, too";
    EXPECT_EQ(engine.try_open_index("a").status(), kms::Status::not_found);
    gate.let_go();
}

TEST(Scopes, HaveADeadline) {
    Folder folder;
    Gate gate;
    const kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
    engine.register_provider("own", std::make_unique<Slow>(gate));
    kms::ScopeOptions options;
    options.deadline = std::chrono::milliseconds(20);
    options.principal = "job 7";
    EXPECT_THROW(engine.scope(options).create_index("a", "own"), kms::TimeoutError);
    options.deadline = std::chrono::milliseconds(-1);
    EXPECT_EQ(engine.scope(options).try_create_index("a", "own").status(), kms::Status::timeout);
    options.deadline = std::chrono::hours(24 * 365); // more than C can say: as long as it can
    EXPECT_TRUE(engine.scope(options).try_create_index("b", "prod"));
    gate.let_go();
}

class Life : public testing::Test {
  protected:
    Folder folder;
    kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
    json described() const { return json::parse(engine.describe_index("a").text()); }
};

TEST_F(Life, KeysAreRotated) {
    const kms::Index index = engine.create_index("a", "prod");
    const ByteVector page = sealed(index, "aad", "page");
    const ByteVector kek = bytes_of(index.export_kek());
    const std::uint64_t epoch = index.epoch();
    engine.rotate_index("a", kms::Rotation::rewrap);
    engine.rotate_index("a", kms::Rotation::kek);
    engine.rotate_index("a", kms::Rotation::data_key);
    index.refresh();
    EXPECT_GT(index.epoch(), epoch);
    EXPECT_EQ(index.version(), 3U);
    EXPECT_EQ(index.data_key_id(), 2U);
    EXPECT_NE(bytes_of(index.export_kek()), kek);
    EXPECT_EQ(bytes_of(index.export_kek(1)), kek);
    EXPECT_EQ(opened(index, "aad", page), bytes_of("page"));
    EXPECT_EQ(kms::page_data_key_id(sealed(index, "aad", "page")), 2U);
    EXPECT_EQ(engine.try_retire_data_key("a", 1).status(), kms::Status::conflict) << "not before quiet_at";
    EXPECT_THROW(engine.retire_data_key("a", 7), kms::NotFoundError);
    EXPECT_THROW(engine.retire_kek("a", 7), kms::NotFoundError);
    engine.retire_kek("a", 1);
    EXPECT_THROW(index.export_kek(1), kms::NotFoundError);
    EXPECT_EQ(engine.try_rotate_index("a", static_cast<kms::Rotation>(9)).status(),
              kms::Status::invalid_argument);
}

TEST_F(Life, KeysOfTheCallerAreRotated) {
    const kms::SecretKey first = kms::SecretKey::random();
    const kms::SecretKey second = kms::SecretKey::random();
    engine.create_index_with_key("a", {}, first);
    engine.rotate_index_with_key("a", kms::Rotation::kek, {}, first, second);
    EXPECT_EQ(engine.try_open_index_with_key("a", first).status(), kms::Status::authentication_failed);
    EXPECT_STREQ(engine.open_index_with_key("a", second).provider(), "none");
    EXPECT_EQ(engine.try_open_index("a").status(), kms::Status::invalid_argument);
    kms::OpenOptions options;
    options.kek = second;
    EXPECT_EQ(engine.open_index("a", options).version(), 2U);
    engine.rotate_index_with_key("a", kms::Rotation::rewrap, "prod", second, {});
    EXPECT_STREQ(engine.open_index("a").key_id(), folder.at("wrap.key").c_str());
}

TEST_F(Life, IndexesAreDisabledScheduledAndDeleted) {
    const kms::Index index = engine.create_index("a", "prod");
    engine.disable_index("a");
    EXPECT_THROW(sealed(index, "", "page"), kms::KeyDisabledError);
    EXPECT_EQ(described()["state"], "disabled");
    engine.enable_index("a");
    EXPECT_EQ(sealed(index, "", "page").size(), 4 + kms::overhead);
    EXPECT_EQ(engine.try_schedule_deletion("a", 23).status(), kms::Status::invalid_argument);
    engine.schedule_deletion("a", 24);
    EXPECT_THROW(engine.enable_index("a"), kms::KeyDisabledError);
    engine.cancel_deletion("a");
    EXPECT_EQ(described()["state"], "disabled");
    engine.enable_index("a");
    EXPECT_THROW(engine.cancel_deletion("a"), kms::ConflictError);
    const json receipt = json::parse(engine.delete_index("a").text());
    EXPECT_EQ(receipt["index"], "a");
    EXPECT_THROW(engine.delete_index("a"), kms::NotFoundError);
    EXPECT_THROW(engine.describe_index("a"), kms::NotFoundError);
    EXPECT_EQ(index.try_encrypt("", "", ByteVector(kms::overhead)).status(), kms::Status::not_found);
}

TEST_F(Life, SyncTellsItsProgress) {
    for (const char *name : {"a", "b", "c"})
        engine.create_index(name, "prod");
    std::vector<std::string> names;
    const kms::Buffer report = engine.sync({}, [&](const kms::Progress &progress) {
        names.emplace_back(progress.index_name);
        EXPECT_EQ(progress.total, 3U);
        EXPECT_EQ(progress.done, names.size());
        EXPECT_EQ(progress.status, kms::Status::ok);
    });
    EXPECT_EQ(names.size(), 3U);
    EXPECT_EQ(json::parse(report.text())["checked"], 3);
    kms::SyncOptions options;
    options.dry_run = true;
    options.concurrency = 1;
    options.requests_per_second = 10;
    const kms::Result<kms::Buffer> stopped =
        engine.try_sync(options, [](const kms::Progress &) { return false; });
    ASSERT_TRUE(stopped.ok());
    EXPECT_EQ(json::parse(kms::Result<kms::Buffer>(engine.sync(options)).value().text())["dry_run"], true);
    options.concurrency = 257;
    EXPECT_EQ(engine.try_sync(options, [](const kms::Progress &) {}).status(), kms::Status::invalid_argument);
}

TEST_F(Life, WhatAProgressCallbackThrowsComesOut) {
    for (const char *name : {"a", "b", "c"})
        engine.create_index(name, "prod");
    int heard = 0;
    const auto throws = [&](const kms::Progress &) {
        ++heard;
        throw std::runtime_error("enough");
    };
    EXPECT_THROW(engine.sync({}, throws), std::runtime_error);
    EXPECT_EQ(heard, 1) << "it stops the sync";
    EXPECT_EQ(engine.try_sync({}, throws).status(), kms::Status::internal);
    EXPECT_TRUE(engine.try_sync({}, [](const kms::Progress &) {})) << "and the engine is as it was";
}

} // namespace
