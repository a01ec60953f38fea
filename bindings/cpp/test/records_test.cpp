// Blobs and stores: the library's, and the caller's own.
#include "support.hpp"

#include <atomic>
#include <thread>

namespace {

TEST(Blobs, HoldWhatIsSet) {
    kms::Blob blob;
    EXPECT_EQ(blob.version(), 1U);
    EXPECT_TRUE(blob.wrapped_kek().empty());
    blob.set_kms_name("prod");
    blob.set_provider("aws-kms");
    blob.set_key_id("alias/ü");
    blob.set_region("eu-west-1");
    blob.set_wrapped_kek("wrapped");
    blob.set_version(3);
    blob.set_created_at(-5);
    const kms::Blob back = kms::Blob::decode(blob.encode());
    EXPECT_EQ(back.kms_name(), "prod");
    EXPECT_EQ(back.provider(), "aws-kms");
    EXPECT_EQ(back.key_id(), "alias/ü");
    EXPECT_EQ(back.region(), "eu-west-1");
    EXPECT_EQ(bytes_of(back.wrapped_kek()), bytes_of("wrapped"));
    EXPECT_EQ(back.version(), 3U);
    EXPECT_EQ(back.created_at(), -5);
    EXPECT_EQ(blob.try_set_version(0).status(), kms::Status::invalid_argument);
    EXPECT_EQ(blob.try_set_region("\xff").status(), kms::Status::invalid_argument);
    EXPECT_EQ(blob.try_set_kms_name(std::string("a\0b", 3)).status(), kms::Status::invalid_argument);
    EXPECT_EQ(blob.try_set_wrapped_kek(ByteVector((1 << 20) + 1)).status(), kms::Status::invalid_argument);
    EXPECT_THROW(kms::Blob::decode("no record"), kms::CorruptError);
}

void keep_records(const kms::Store &store) {
    kms::Blob blob;
    blob.set_kms_name("first");
    store.create_index_kms("a", blob);
    EXPECT_THROW(store.create_index_kms("a", blob), kms::AlreadyExistsError);
    blob.set_kms_name("second");
    store.push_index_kms("a", blob);
    store.push_index_kms("b/ü", blob);
    EXPECT_EQ(store.get_index_kms("a").kms_name(), "second");
    EXPECT_EQ(store.list_index_kms(), (std::vector<std::string>{"a", "b/ü"}));
    std::vector<std::string> behind;
    store.list_index_kms("a", [&](const char *name) { behind.emplace_back(name); });
    EXPECT_EQ(behind, std::vector<std::string>{"b/ü"});
    store.delete_index_kms("a");
    store.delete_index_kms("a");
    EXPECT_THROW(store.get_index_kms("a"), kms::NotFoundError);
    EXPECT_EQ(store.try_get_index_kms(std::string(221, 'x')).status(), kms::Status::invalid_argument);
}

TEST(Stores, OfTheLibraryKeepRecords) {
    Folder folder;
    keep_records(kms::Store::open("memory://"));
    keep_records(kms::Store::open(folder.at("keys")));
    EXPECT_EQ(kms::Store::try_open("nonsense://x").status(), kms::Status::config);
    EXPECT_THROW(kms::Store::open(""), kms::InvalidArgumentError);
}

TEST(Stores, OfTheCallerKeepRecords) {
    Catalog catalog;
    keep_records(kms::Store::open(std::make_unique<CatalogRecords>(catalog)));
    EXPECT_EQ(catalog.records.size(), 1U);
    EXPECT_EQ(catalog.destroyed, 1);
    EXPECT_EQ(kms::Store::try_open(std::unique_ptr<kms::Records>()).status(), kms::Status::invalid_argument);
    EXPECT_EQ(kms::Store::try_open(std::unique_ptr<kms::AsyncRecords>()).status(),
              kms::Status::invalid_argument);
}

TEST(Stores, OfTheCallerServeAnEngine) {
    Catalog catalog;
    Folder folder;
    {
        const kms::Store store =
            kms::Store::open(std::make_unique<CatalogRecords>(catalog), kms::StoreFlags::caller_thread);
        const kms::Engine engine = kms::Engine::open_yaml(configuration(folder), store);
        const kms::Index index = engine.create_index("a", "prod");
        engine.rotate_index("a", kms::Rotation::kek);
        EXPECT_EQ(opened(index, "", sealed(index, "", "page")), bytes_of("page"));
        EXPECT_EQ(kms::Blob::decode(catalog.records.at("a").data).kms_name(), "prod");
        EXPECT_THROW(engine.open_index_async("a").get(), kms::UnsupportedError)
            << "it has the caller's threads only";
    }
    EXPECT_EQ(catalog.destroyed, 1);
    EXPECT_EQ(kms::Store::try_open(std::make_unique<CatalogRecords>(catalog), static_cast<kms::StoreFlags>(8))
                  .status(),
              kms::Status::invalid_argument);
    EXPECT_EQ(catalog.destroyed, 2) << "also where opening failed";
}

class Broken : public CatalogRecords {
  public:
    using CatalogRecords::CatalogRecords;
    std::optional<kms::Record> get(const char *) override { throw kms::StorageError("the table is locked"); }
    void remove(const char *, std::uint64_t) override { throw std::bad_alloc(); }
    void list(const char *, const kms::NameSink &) override { throw 7; }
};

TEST(Stores, WhatTheyThrowIsTheCallsFailure) {
    Catalog catalog;
    const kms::Store store = kms::Store::open(std::make_unique<Broken>(catalog));
    const auto locked = thrown<kms::StorageError>([&] { store.get_index_kms("a"); });
    EXPECT_NE(locked.message().find("the table is locked"), std::string::npos);
    EXPECT_FALSE(store.try_delete_index_kms("a"));
    EXPECT_THROW(store.list_index_kms(), kms::InternalError);
}

TEST(Stores, WhatAListingsCallbackThrowsComesOut) {
    Catalog catalog;
    const kms::Store own = kms::Store::open(std::make_unique<CatalogRecords>(catalog));
    for (const kms::Store &store : {std::cref(own)}) {
        for (const char *name : {"a", "b", "c"})
            store.create_index_kms(name, kms::Blob());
        int heard = 0;
        const auto throws = [&](const char *) {
            ++heard;
            throw std::runtime_error("enough");
        };
        EXPECT_THROW(store.list_index_kms({}, throws), std::runtime_error);
        EXPECT_EQ(store.try_list_index_kms({}, throws).status(), kms::Status::internal);
        EXPECT_EQ(heard, 2) << "each stops at its first";
        int some = 0;
        store.list_index_kms({}, [&](const char *) { return ++some < 2; });
        EXPECT_EQ(some, 2) << "false stops it";
    }
}

// Answers each from a thread of its own.
class LaterRecords : public kms::AsyncRecords {
  public:
    explicit LaterRecords(Catalog &catalog) : records_(catalog) {}
    ~LaterRecords() override {
        for (std::thread &thread : threads_)
            thread.join();
    }
    void get(const char *index_name, kms::Reply &&reply) override {
        later(std::move(reply), [this, name = std::string(index_name)](kms::Reply &to) {
            if (const std::optional<kms::Record> record = records_.get(name.c_str()))
                to.bytes(record->data, record->revision);
            else
                to.error(kms::Status::not_found, "no row");
        });
    }
    void put(const char *index_name, kms::Bytes data, std::uint64_t expected, kms::Reply &&reply) override {
        later(std::move(reply), [this, name = std::string(index_name), data = bytes_of(data), expected](
                                    kms::Reply &to) { to.done(records_.put(name.c_str(), data, expected)); });
    }
    void remove(const char *index_name, std::uint64_t expected, kms::Reply &&reply) override {
        later(std::move(reply), [this, name = std::string(index_name), expected](kms::Reply &to) {
            records_.remove(name.c_str(), expected);
            to.done();
        });
    }
    void list(const char *start_after, kms::NameSink name, kms::Reply &&reply) override {
        later(std::move(reply),
              [this, after = start_after ? std::optional<std::string>(start_after) : std::nullopt,
               name](kms::Reply &to) {
                  records_.list(after ? after->c_str() : nullptr, name);
                  to.done();
              });
    }

  private:
    template <class F> void later(kms::Reply &&reply, F work) {
        const std::lock_guard<std::mutex> lock(mutex_);
        threads_.emplace_back([to = std::move(reply), work = std::move(work)]() mutable {
            try {
                work(to);
            } catch (...) {
                to.error(std::current_exception());
            }
        });
    }
    CatalogRecords records_;
    std::mutex mutex_;
    std::vector<std::thread> threads_;
};

TEST(Stores, MayAnswerLater) {
    Catalog catalog;
    keep_records(kms::Store::open(std::make_unique<LaterRecords>(catalog)));
    EXPECT_EQ(catalog.records.size(), 1U);
}

} // namespace
