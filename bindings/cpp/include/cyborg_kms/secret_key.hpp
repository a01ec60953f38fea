/* A plaintext key in the program's own memory. */
#ifndef CYBORG_KMS_SECRET_KEY_HPP
#define CYBORG_KMS_SECRET_KEY_HPP

#include "library.hpp"

#include <algorithm>

namespace cyborg_kms {

/* 32 bytes that are wiped when they are destroyed or moved from. They lie where the object does: that memory
 * may be swapped or dumped, so keep it short. Not comparable: keys are compared in constant time, or not at
 * all. */
class SecretKey {
  public:
    /* Zeros. */
    SecretKey() noexcept = default;
    /* A copy of 32 bytes; InvalidArgumentError for another length. */
    static Result<SecretKey> try_copy(Bytes key) noexcept {
        if (key.size() != key_len)
            return Failure(Status::invalid_argument, "a key has 32 bytes: give as many");
        SecretKey copy;
        std::copy(key.begin(), key.end(), copy.key_.begin());
        return copy;
    }
    explicit SecretKey(Bytes key) : SecretKey(try_copy(key).value()) {}
    SecretKey(SecretKey &&other) noexcept : key_(other.key_) { other.wipe(); }
    SecretKey &operator=(SecretKey &&other) noexcept {
        if (this != &other) {
            key_ = other.key_;
            other.wipe();
        }
        return *this;
    }
    SecretKey(const SecretKey &) = delete;
    SecretKey &operator=(const SecretKey &) = delete;
    ~SecretKey() { wipe(); }

    /* A fresh one, of the operating system's random bytes. */
    static Result<SecretKey> try_random() noexcept {
        SecretKey key;
        if (Result<void> done = try_random_key(key.key_); !done)
            return std::move(done).failure();
        return key;
    }
    static SecretKey random() { return try_random().value(); }

    const std::uint8_t *data() const noexcept { return key_.data(); }
    std::uint8_t *data() noexcept { return key_.data(); }
    static constexpr std::size_t size() noexcept { return key_len; }

  private:
    void wipe() noexcept { cyborg_kms_wipe(key_.data(), key_.size()); }

    std::array<std::uint8_t, key_len> key_{};
};

} // namespace cyborg_kms

#endif
