// Pages, data keys, derived keys, capabilities.
#include "support.hpp"

#include <atomic>
#include <thread>

namespace {

class Pages : public testing::Test {
  protected:
    Folder folder;
    kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
    kms::Index index = engine.create_index("pages", "prod");
};

TEST_F(Pages, AreSealedAndOpened) {
    for (const std::size_t size : {0, 1, 47, 48, 4096, 70000}) {
        const ByteVector page(size, 0xa5);
        const ByteVector closed = sealed(index, "page 1", page);
        ASSERT_EQ(closed.size(), size + kms::overhead);
        EXPECT_EQ(opened(index, "page 1", closed), page);
        EXPECT_EQ(kms::page_data_key_id(closed), index.data_key_id());
        EXPECT_THROW(opened(index, "page 2", closed), kms::AuthenticationFailedError);
    }
    EXPECT_EQ(opened(index, {}, sealed(index, {}, {})), ByteVector());
}

TEST_F(Pages, ThatWereAlteredAreRefused) {
    ByteVector closed = sealed(index, "aad", "what nobody else may read");
    closed[50] ^= 1;
    ByteVector out(closed.size(), 7);
    EXPECT_EQ(index.try_decrypt("aad", closed, out).status(), kms::Status::authentication_failed);
    EXPECT_EQ(index.try_decrypt("aad", kms::Bytes(closed.data(), 47), out).status(), kms::Status::corrupt);
    closed[0] = 9;
    EXPECT_THROW(index.decrypt("aad", closed, out), kms::CorruptError);
    EXPECT_EQ(kms::try_page_data_key_id(closed).status(), kms::Status::corrupt);
    EXPECT_THROW(kms::page_data_key_id("short"), kms::CorruptError);
}

TEST_F(Pages, NeedRoom) {
    ByteVector out(4 + kms::overhead - 1);
    EXPECT_EQ(index.try_encrypt("", "four", out).status(), kms::Status::buffer_too_small);
    EXPECT_THROW(index.encrypt("", "four", out), kms::BufferTooSmallError);
    const ByteVector closed = sealed(index, "", "four");
    EXPECT_EQ(index.try_decrypt("", closed, kms::MutableBytes(out.data(), 3)).status(),
              kms::Status::buffer_too_small);
}

TEST_F(Pages, AreSealedInPlace) {
    ByteVector page(100 + kms::overhead, 0x11);
    EXPECT_EQ(index.encrypt("aad", kms::Bytes(page.data() + 32, 100), page), 100 + kms::overhead);
    EXPECT_EQ(index.decrypt("aad", page, page), 100U);
    EXPECT_EQ(ByteVector(page.begin(), page.begin() + 100), ByteVector(100, 0x11));
    EXPECT_EQ(index.try_encrypt("aad", kms::Bytes(page.data() + 5, 100), page).status(),
              kms::Status::invalid_argument);
}

TEST_F(Pages, KeepTheirOverheadApart) {
    ByteVector page(4096, 0x22);
    std::array<std::uint8_t, kms::overhead> tail{};
    ByteVector closed(page.size());
    index.encrypt_detached("aad", page, closed, tail);
    ByteVector back(page.size());
    index.decrypt_detached("aad", closed, tail, back);
    EXPECT_EQ(back, page);
    EXPECT_EQ(kms::page_data_key_id(tail), index.data_key_id());
    tail[47] ^= 1;
    EXPECT_THROW(index.decrypt_detached("aad", closed, tail, back), kms::AuthenticationFailedError);
    EXPECT_EQ(back, ByteVector(page.size()));
    // C trusts these lengths; C++ looks at them.
    ByteVector shorter(page.size() - 1);
    EXPECT_EQ(index.try_encrypt_detached("aad", page, shorter, tail).status(), kms::Status::invalid_argument);
    EXPECT_EQ(index.try_decrypt_detached("aad", closed, tail, shorter).status(),
              kms::Status::invalid_argument);
    EXPECT_EQ(index.try_encrypt_detached("aad", page, closed, shorter).status(),
              kms::Status::invalid_argument);
    EXPECT_EQ(index.try_decrypt_detached("aad", closed, "short", back).status(),
              kms::Status::invalid_argument);
}

TEST_F(Pages, HaveDataKeysAndDerivedKeys) {
    const kms::DataKey made = index.generate_data_key();
    EXPECT_EQ(made.wrapped.size(), 80U);
    EXPECT_EQ(bytes_of(index.unwrap_data_key(made.wrapped)), bytes_of(made.key));
    ByteVector altered = bytes_of(made.wrapped);
    altered[70] ^= 1;
    EXPECT_EQ(index.try_unwrap_data_key(altered).status(), kms::Status::authentication_failed);
    EXPECT_THROW(index.unwrap_data_key("no wrap"), kms::CorruptError);

    const kms::SecretKey derived = index.derive_key("tokens", "column 3");
    ByteVector longer(100);
    index.derive_key("tokens", "column 3", longer);
    EXPECT_EQ(bytes_of(derived), ByteVector(longer.begin(), longer.begin() + kms::key_len));
    EXPECT_NE(bytes_of(index.derive_key("tokens", "column 4")), bytes_of(derived));
    EXPECT_EQ(index.try_derive_key("tokens", {}, {}).status(), kms::Status::invalid_argument);
}

TEST_F(Pages, ObeyCapabilities) {
    kms::OpenOptions reads;
    reads.capabilities = kms::Capabilities::decrypt | kms::Capabilities::derive;
    const kms::Index reader = engine.open_index("pages", reads);
    EXPECT_EQ(opened(reader, "a", sealed(index, "a", "page")), bytes_of("page"));
    ByteVector out(100);
    EXPECT_EQ(reader.try_encrypt("a", "page", out).status(), kms::Status::access_denied);
    EXPECT_EQ(reader.try_generate_data_key().status(), kms::Status::access_denied);
    EXPECT_EQ(reader.try_export_kek().status(), kms::Status::access_denied);
    EXPECT_THROW(reader.export_kek(), kms::AccessDeniedError);
    kms::OpenOptions later;
    later.min_epoch = index.epoch() + 1;
    EXPECT_THROW(engine.open_index("pages", later), kms::RolledBackError);
    kms::OpenOptions hasty;
    hasty.flags = kms::OpenFlags::no_wait;
    EXPECT_EQ(sealed(engine.open_index("pages", hasty), "a", "page").size(), 4 + kms::overhead);
}

TEST_F(Pages, AreForManyThreads) {
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([&, number] {
            const std::string aad = "thread " + std::to_string(number);
            const kms::Index own = index.retain();
            for (int round = 0; round < 500; ++round) {
                const kms::Index &used = round % 2 == 0 ? own : index;
                right += opened(used, aad, sealed(used, aad, "page")) == bytes_of("page") ? 1 : 0;
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_EQ(right, 2000);
}

} // namespace
