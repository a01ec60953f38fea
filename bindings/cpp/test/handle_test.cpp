// Ownership: what is moved, retained, destroyed in which order.
#include "support.hpp"

#include <type_traits>

namespace {

template <class T>
constexpr bool move_only = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                           !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(move_only<kms::Engine> && move_only<kms::Index> && move_only<kms::Store>);
static_assert(move_only<kms::Blob> && move_only<kms::Buffer> && move_only<kms::Reply> &&
              move_only<kms::Failure>);
static_assert(!std::is_copy_constructible_v<kms::Result<kms::Index>>);

TEST(Handles, ThatWereMovedFromAreRefused) {
    Folder folder;
    kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
    kms::Index index = engine.create_index("a", "prod");
    kms::Store store = engine.store();
    kms::Blob blob = store.get_index_kms("a");
    const kms::Engine to = std::move(engine);
    const kms::Index index_to = std::move(index);
    const kms::Store store_to = std::move(store);
    const kms::Blob blob_to = std::move(blob);
    ByteVector room(100);
    EXPECT_EQ(engine.try_open_index("a").status(), kms::Status::invalid_argument); // NOLINT: moved from
    EXPECT_EQ(engine.try_stats().status(), kms::Status::invalid_argument);
    EXPECT_EQ(engine.try_scope().status(), kms::Status::invalid_argument);
    EXPECT_EQ(engine.try_register_provider("x", std::make_unique<Flip>()).status(),
              kms::Status::invalid_argument);
    EXPECT_EQ(engine.try_set_audit_callback([](const char *) {}).status(), kms::Status::invalid_argument);
    EXPECT_EQ(engine.retain().try_check().status(), kms::Status::invalid_argument);
    kms::Scope scope = to.scope();
    const kms::Scope scope_to = std::move(scope);
    scope.cancel(); // NOLINT: nothing happens
    EXPECT_TRUE(scope_to.try_stats());
    EXPECT_EQ(index.try_encrypt("", "", room).status(), kms::Status::invalid_argument); // NOLINT
    EXPECT_EQ(index.try_refresh().status(), kms::Status::invalid_argument);
    EXPECT_STREQ(index.name(), "");
    EXPECT_EQ(index.epoch(), 0U);
    EXPECT_EQ(store.try_get_index_kms("a").status(), kms::Status::invalid_argument); // NOLINT
    EXPECT_THROW(store.list_index_kms(), kms::InvalidArgumentError);
    EXPECT_EQ(blob.try_encode().status(), kms::Status::invalid_argument); // NOLINT
    EXPECT_EQ(blob.kms_name(), "");
    EXPECT_EQ(sealed(index_to, "", "page").size(), 4 + kms::overhead);
    EXPECT_EQ(blob_to.kms_name(), "prod");
}

TEST(Handles, MayBeMovedToThemselves) {
    kms::Engine engine = kms::Engine::open_yaml("{}");
    kms::Engine &same = engine;
    engine = std::move(same);
    EXPECT_TRUE(engine.try_stats());
    kms::Index index = engine.create_index_with_key("a", {}, kms::SecretKey::random());
    kms::Index &same_index = index;
    index = std::move(same_index);
    EXPECT_STREQ(index.name(), "a");
}

TEST(Handles, MayBeDestroyedInAnyOrder) {
    Folder folder;
    std::optional<kms::Store> store(kms::Store::open("memory://"));
    std::optional<kms::Engine> engine(kms::Engine::open_yaml(configuration(folder), *store));
    std::optional<kms::Scope> scope(engine->scope());
    const kms::Index index = scope->create_index("a", "prod");
    const kms::Store of_engine = engine->store();
    store.reset();
    engine.reset();
    EXPECT_EQ(of_engine.list_index_kms(), std::vector<std::string>{"a"});
    scope.reset();
    EXPECT_EQ(opened(index, "", sealed(index, "", "page")), bytes_of("page"));
    EXPECT_STREQ(index.kms_name(), "prod");
}

TEST(Handles, AreRetained) {
    std::optional<kms::Engine> engine(kms::Engine::open_yaml("{}"));
    const kms::Engine other = engine->retain();
    std::optional<kms::Index> index(other.create_index_with_key("a", {}, kms::SecretKey::random()));
    const kms::Index second = index->retain();
    std::optional<kms::Store> store(engine->store());
    const kms::Store third = store->retain();
    engine.reset();
    index.reset();
    store.reset();
    EXPECT_TRUE(other.try_stats());
    EXPECT_STREQ(second.name(), "a");
    EXPECT_EQ(third.list_index_kms().size(), 1U);
}

} // namespace
