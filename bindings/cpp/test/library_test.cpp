// Versions, the ABI, random keys, wiping; views of bytes and texts.
#include "support.hpp"

#include <array>
#include <cstddef>
#include <string_view>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace {

TEST(Library, SaysItsVersionAndAbi) {
    EXPECT_STREQ(kms::version(), kms::header_version);
    EXPECT_EQ(kms::abi_version(), kms::header_abi_version);
    EXPECT_TRUE(kms::try_check_abi());
    const std::string parts = std::to_string(kms::header_version_major) + "." +
                              std::to_string(kms::header_version_minor) + "." +
                              std::to_string(kms::header_version_patch);
    EXPECT_EQ(parts, kms::version());
}

TEST(Library, GivesRandomKeysAndWipes) {
    std::array<std::uint8_t, kms::key_len> one{};
    std::array<std::uint8_t, kms::key_len> other{};
    kms::random_key(one);
    kms::random_key(other);
    EXPECT_NE(one, other);
    kms::wipe(one);
    EXPECT_EQ(one, (std::array<std::uint8_t, kms::key_len>{}));
    EXPECT_EQ(kms::try_random_key({}).status(), kms::Status::invalid_argument);
}

TEST(SecretKeys, AreMovedNotCopied) {
    static_assert(!std::is_copy_constructible_v<kms::SecretKey> &&
                  !std::is_copy_assignable_v<kms::SecretKey>);
    static_assert(std::is_nothrow_move_constructible_v<kms::SecretKey>);
    kms::SecretKey key = kms::SecretKey::random();
    const ByteVector before = bytes_of(key);
    kms::SecretKey moved = std::move(key);
    EXPECT_EQ(bytes_of(moved), before);
    EXPECT_EQ(bytes_of(key), ByteVector(kms::key_len)); // NOLINT: what was moved from is wiped
    key = std::move(moved);
    EXPECT_EQ(bytes_of(key), before);
    EXPECT_EQ(bytes_of(moved), ByteVector(kms::key_len)); // NOLINT
    kms::SecretKey &same = key;
    key = std::move(same);
    EXPECT_EQ(bytes_of(key), before);
    EXPECT_THROW(kms::SecretKey(ByteVector(31)), kms::InvalidArgumentError);
}

TEST(SecretKeys, AreWipedWhereTheyLay) {
    alignas(kms::SecretKey) std::array<unsigned char, sizeof(kms::SecretKey)> place;
    place.fill(0xff);
    auto *key = new (place.data()) kms::SecretKey(ByteVector(kms::key_len, 0x42));
    EXPECT_EQ(place[0], 0x42);
    key->~SecretKey();
    EXPECT_EQ(bytes_of(place), ByteVector(sizeof(kms::SecretKey)));
}

TEST(Views, AreMadeOfWhatHoldsBytes) {
    const auto size = [](kms::Bytes bytes) { return bytes.size(); };
    const std::string text("a\0b", 3);
    const std::array<std::byte, 4> bytes{};
    const char chars[2] = {'a', 'b'};
    const std::uint8_t numbers[5] = {};
    EXPECT_EQ(size("literal"), 7U);
    EXPECT_EQ(size(std::string_view("view")), 4U);
    EXPECT_EQ(size(text), 3U);
    EXPECT_EQ(size(ByteVector(9)), 9U);
    EXPECT_EQ(size(bytes), 4U);
    EXPECT_EQ(size(numbers), 5U);
    EXPECT_EQ(size({chars, sizeof chars}), 2U);
    EXPECT_EQ(size({}), 0U);
    std::string room(6, 'x');
    EXPECT_EQ(kms::MutableBytes(room).size(), 6U);
    std::array<std::byte, 4> out{};
    kms::MutableBytes writable = out;
    EXPECT_EQ(size(writable), 4U);
    static_assert(!std::is_convertible_v<const ByteVector &, kms::MutableBytes>);
    static_assert(!std::is_convertible_v<const std::string &, kms::MutableBytes>);
    static_assert(!std::is_convertible_v<std::vector<int>, kms::Bytes>);
    static_assert(!std::is_convertible_v<int, kms::Bytes> &&
                  !std::is_convertible_v<std::nullptr_t, kms::Bytes>);
    static_assert(!std::is_convertible_v<char (&)[4], kms::Bytes>, "it may be a page, not a text");
#if __cplusplus >= 202002L
    EXPECT_EQ(size(std::span<const std::uint8_t>(numbers)), 5U);
    EXPECT_EQ(size(std::as_writable_bytes(std::span(out))), 4U);
#endif
}

TEST(Texts, WithANulInsideAreRefused) {
    const kms::Engine engine = kms::Engine::open_yaml("{}");
    const std::string name("customers\0old", 13);
    EXPECT_EQ(engine.try_open_index(name).status(), kms::Status::invalid_argument);
    EXPECT_EQ(engine.try_create_index_with_key(name, {}, kms::SecretKey::random()).status(),
              kms::Status::invalid_argument);
    EXPECT_EQ(kms::Store::try_open(std::string("memory://\0", 10)).status(), kms::Status::invalid_argument);
    EXPECT_EQ(engine.store().list_index_kms(), std::vector<std::string>());
    EXPECT_EQ(engine.try_open_index("\xff").status(), kms::Status::invalid_argument);
    static_assert(!std::is_convertible_v<std::string_view, kms::Text>, "it may have no NUL at its end");
}

} // namespace
