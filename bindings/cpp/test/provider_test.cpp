// Providers of the caller's own.
#include "support.hpp"

#include <atomic>
#include <thread>

namespace {

class Providers : public testing::Test {
  protected:
    // Not cached: each use asks the provider.
    kms::Engine engine = kms::Engine::open_yaml(
        "{cache: {ttl: 0}, kms: {registry: {own: {provider: 'external:own', key_id: k1, max_retries: 0}}}}");
};

TEST_F(Providers, WrapAndUnwrap) {
    engine.register_provider("own", std::make_unique<Flip>());
    const kms::Index index = engine.create_index("a", "own");
    EXPECT_STREQ(index.key_id(), "k1");
    const kms::Blob blob = engine.store().get_index_kms("a");
    EXPECT_EQ(Flip::flipped(blob.wrapped_kek()), bytes_of(index.export_kek()));
    EXPECT_EQ(engine.try_register_provider("own", std::make_unique<Flip>()).status(),
              kms::Status::already_exists);
    EXPECT_EQ(engine.try_register_provider("none", std::unique_ptr<kms::Provider>()).status(),
              kms::Status::invalid_argument);
    EXPECT_EQ(engine.try_register_provider("none", std::unique_ptr<kms::AsyncProvider>()).status(),
              kms::Status::invalid_argument);
}

// What it is told to throw.
class Throwing : public Flip {
  public:
    std::vector<std::uint8_t> wrap(const char *, kms::Bytes, kms::Bytes) override {
        throw kms::AccessDeniedError("the role may not", "NoSuchGrant");
    }
    kms::SecretKey unwrap(const char *, kms::Bytes, kms::Bytes) override {
        throw std::out_of_range("a defect");
    }
};

class ThrowingInt : public Flip {
  public:
    std::vector<std::uint8_t> wrap(const char *, kms::Bytes, kms::Bytes) override { throw 7; }
};

TEST_F(Providers, WhatTheyThrowIsTheCallsFailure) {
    engine.register_provider("own", std::make_unique<Throwing>());
    const auto denied = thrown<kms::AccessDeniedError>([&] { engine.create_index("a", "own"); });
    EXPECT_EQ(denied.provider_code(), "NoSuchGrant");
    EXPECT_NE(denied.message().find("the role may not"), std::string::npos);
    kms::Blob blob;
    blob.set_kms_name("own");
    blob.set_provider("external:own");
    blob.set_key_id("k1");
    blob.set_wrapped_kek(ByteVector(32));
    engine.store().create_index_kms("b", blob);
    const auto defect = thrown<kms::InternalError>([&] { engine.open_index("b"); });
    EXPECT_NE(defect.message().find("a defect"), std::string::npos);
    kms::Engine other =
        kms::Engine::open_yaml("kms: {registry: {own: {provider: 'external:own', key_id: k}}}");
    other.register_provider("own", std::make_unique<ThrowingInt>());
    EXPECT_THROW(other.create_index("a", "own"), kms::InternalError);
}

// Answers from a thread of its own, later; or does something worse.
class Later : public kms::AsyncProvider {
  public:
    enum class Does { answers, forgets, answers_twice, throws_behind };
    Later(Does does, std::atomic<int> &destroyed) : does_(does), destroyed_(destroyed) {}
    ~Later() override {
        for (std::thread &thread : threads_)
            thread.join();
        ++destroyed_;
    }
    void wrap(const char *, kms::Bytes, kms::Bytes kek, kms::Reply &&reply) override {
        ByteVector flipped = Flip::flipped(kek);
        const std::lock_guard<std::mutex> lock(mutex_);
        threads_.emplace_back(
            [does = does_, flipped = std::move(flipped), answer = std::move(reply)]() mutable {
                if (does == Does::forgets)
                    return;
                answer.bytes(flipped);
                if (does == Does::answers_twice)
                    answer.error(kms::Status::internal, "too late");
            });
        if (does_ == Does::throws_behind)
            throw std::runtime_error("after it gave the reply away");
    }
    void unwrap(const char *key_id, kms::Bytes aad, kms::Bytes wrapped, kms::Reply &&reply) override {
        wrap(key_id, aad, wrapped, std::move(reply));
    }

  private:
    Does does_;
    std::atomic<int> &destroyed_;
    std::mutex mutex_;
    std::vector<std::thread> threads_;
};

TEST_F(Providers, AnswerLater) {
    std::atomic<int> destroyed{0};
    engine.register_provider("own", std::make_unique<Later>(Later::Does::answers, destroyed));
    EXPECT_STREQ(engine.create_index("a", "own").kms_name(), "own");
    EXPECT_EQ(destroyed, 0);
    engine = kms::Engine::open_yaml("{}");
    EXPECT_EQ(destroyed, 1);
}

TEST_F(Providers, ThatForgetToAnswerAreInternal) {
    std::atomic<int> destroyed{0};
    engine.register_provider("own", std::make_unique<Later>(Later::Does::forgets, destroyed));
    EXPECT_THROW(engine.create_index("a", "own"), kms::InternalError);
}

TEST_F(Providers, ASecondAnswerIsPassedOver) {
    std::atomic<int> destroyed{0};
    engine.register_provider("own", std::make_unique<Later>(Later::Does::answers_twice, destroyed));
    EXPECT_TRUE(engine.try_create_index("a", "own"));
}

TEST_F(Providers, WhatIsThrownBehindAnAnswerIsDropped) {
    std::atomic<int> destroyed{0};
    engine.register_provider("own", std::make_unique<Later>(Later::Does::throws_behind, destroyed));
    EXPECT_TRUE(engine.try_create_index("a", "own"));
}

TEST_F(Providers, AreDestroyedOnceAlsoWhenRefused) {
    std::atomic<int> destroyed{0};
    const auto make = [&] { return std::make_unique<Later>(Later::Does::answers, destroyed); };
    engine.register_provider("own", make());
    EXPECT_FALSE(engine.try_register_provider("own", make()));
    EXPECT_EQ(destroyed, 1);
    EXPECT_FALSE(engine.try_register_provider(std::string("a\0b", 3), make()));
    EXPECT_EQ(destroyed, 2);
    EXPECT_FALSE(engine.try_register_provider({}, make()));
    EXPECT_EQ(destroyed, 3);
    engine = kms::Engine::open_yaml("{}");
    EXPECT_EQ(destroyed, 4);
}

} // namespace
