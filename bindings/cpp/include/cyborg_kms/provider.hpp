/* Providers of the caller's own: derive from Provider, or from AsyncProvider to answer later. */
#ifndef CYBORG_KMS_PROVIDER_HPP
#define CYBORG_KMS_PROVIDER_HPP

#include "reply.hpp"
#include "secret_key.hpp"

#include <vector>

namespace cyborg_kms {

/* Wraps and unwraps KEKs for the slots that say "provider: external:NAME": hold your own key, an enclave, a
 * KMS that the library does not know. Engine::register_provider takes it over.
 *
 * Its functions run on threads of the library, several at once, and must not call the engine. Their arguments
 * are borrowed for the call. One that takes longer than the slot's request_timeout is TIMEOUT for the caller.
 * What they throw is the call's failure: an Error has its status, anything else is INTERNAL. Destroyed once,
 * when nothing uses it any more, also when registering it failed. */
class Provider {
  public:
    virtual ~Provider() = default;
    /* Wraps a KEK of 32 bytes under `key_id`, bound to `aad` (empty in a cyborgdb_compatible slot): the wrap,
     * 1 byte to 64 KiB. */
    virtual std::vector<std::uint8_t> wrap(const char *key_id, Bytes aad, Bytes kek) = 0;
    /* Undoes it; throws when they are not what was wrapped with this AAD. */
    virtual SecretKey unwrap(const char *key_id, Bytes aad, Bytes wrapped) = 0;
};

/* The same for a KMS whose answers come later, or on another thread: each function answers `reply`, or moves
 * it to where it will be answered, with a copy of what it needs of the other arguments. */
class AsyncProvider {
  public:
    virtual ~AsyncProvider() = default;
    virtual void wrap(const char *key_id, Bytes aad, Bytes kek, Reply &&reply) = 0;
    /* Answers with the 32 bytes. */
    virtual void unwrap(const char *key_id, Bytes aad, Bytes wrapped, Reply &&reply) = 0;
};

namespace detail {

/* A Provider as an AsyncProvider. */
class WaitingProvider final : public AsyncProvider {
  public:
    explicit WaitingProvider(std::unique_ptr<Provider> &&provider) noexcept
        : provider_(std::move(provider)) {}
    void wrap(const char *key_id, Bytes aad, Bytes kek, Reply &&reply) override {
        reply.bytes(provider_->wrap(key_id, aad, kek));
    }
    void unwrap(const char *key_id, Bytes aad, Bytes wrapped, Reply &&reply) override {
        reply.bytes(provider_->unwrap(key_id, aad, wrapped));
    }

  private:
    std::unique_ptr<Provider> provider_;
};

/* What the C library calls; `user_data` is an AsyncProvider. */
struct ProviderCallbacks {
    static cyborg_kms_provider_callbacks table() noexcept {
        cyborg_kms_provider_callbacks callbacks{};
        callbacks.struct_size = sizeof callbacks;
        callbacks.wrap = wrap;
        callbacks.unwrap = unwrap;
        callbacks.destroy = destroy;
        return callbacks;
    }

  private:
    static AsyncProvider &of(void *user_data) noexcept { return *static_cast<AsyncProvider *>(user_data); }
    static void wrap(const char *key_id, const std::uint8_t *aad, std::size_t aad_len,
                     const std::uint8_t *kek, std::size_t kek_len, cyborg_kms_reply *reply,
                     void *user_data) noexcept {
        answer(Reply(reply), [&](Reply &&to) {
            of(user_data).wrap(key_id, {aad, aad_len}, {kek, kek_len}, std::move(to));
        });
    }
    static void unwrap(const char *key_id, const std::uint8_t *aad, std::size_t aad_len,
                       const std::uint8_t *wrapped, std::size_t wrapped_len, cyborg_kms_reply *reply,
                       void *user_data) noexcept {
        answer(Reply(reply), [&](Reply &&to) {
            of(user_data).unwrap(key_id, {aad, aad_len}, {wrapped, wrapped_len}, std::move(to));
        });
    }
    static void destroy(void *user_data) noexcept { delete &of(user_data); }
};

} // namespace detail

} // namespace cyborg_kms

#endif
