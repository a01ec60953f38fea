/* An open index: pages and keys. */
#ifndef CYBORG_KMS_INDEX_HPP
#define CYBORG_KMS_INDEX_HPP

#include "buffer.hpp"
#include "secret_key.hpp"

namespace cyborg_kms {

/* What an open index may do; joined by |. */
enum class Capabilities : std::uint32_t {
    all_granted = 0,
    encrypt = CYBORG_KMS_CAN_ENCRYPT,
    decrypt = CYBORG_KMS_CAN_DECRYPT,
    derive = CYBORG_KMS_CAN_DERIVE,
    export_kek = CYBORG_KMS_CAN_EXPORT,
};
constexpr Capabilities operator|(Capabilities one, Capabilities other) noexcept {
    return static_cast<Capabilities>(static_cast<std::uint32_t>(one) | static_cast<std::uint32_t>(other));
}

/* How an open index behaves. */
enum class OpenFlags : std::uint32_t {
    none = 0,
    /* Page calls never wait for a network, not even when the lifetime is over: KmsUnavailableError until a
     * refresh succeeded. */
    no_wait = CYBORG_KMS_OPEN_NO_WAIT,
};

/* How to open an index. */
struct OpenOptions {
    /* The KEK, for provider none only. */
    Bytes kek;
    Capabilities capabilities = Capabilities::all_granted;
    OpenFlags flags = OpenFlags::none;
    /* An older record is RolledBackError: a program that remembers the last epoch it saw notices a restored
     * old one. */
    std::uint64_t min_epoch = 0;
};

namespace detail {
inline cyborg_kms_open_options raw(const OpenOptions &options) noexcept {
    cyborg_kms_open_options raw{};
    raw.struct_size = sizeof raw;
    raw.kek = options.kek.data();
    raw.kek_len = options.kek.size();
    raw.capabilities = static_cast<std::uint32_t>(options.capabilities);
    raw.flags = static_cast<std::uint32_t>(options.flags);
    raw.min_epoch = options.min_epoch;
    return raw;
}
} // namespace detail

/* A fresh data key of Index::generate_data_key, and its wrapped form of 80 bytes, to be stored. */
struct DataKey {
    SecretKey key;
    Buffer wrapped;
};

/* The data key that sealed a page: to find what is left to seal anew after a rotation. The first 8 bytes of a
 * sealed page, or of a detached overhead, suffice. */
inline Result<std::uint32_t> try_page_data_key_id(Bytes sealed) noexcept {
    if (Result<void> abi = try_check_abi(); !abi)
        return std::move(abi).failure();
    return detail::given<std::uint32_t, std::uint32_t>({}, [&](auto out, auto error) {
        return cyborg_kms_page_data_key_id(sealed.data(), sealed.size(), out, error);
    });
}
inline std::uint32_t page_data_key_id(Bytes sealed) {
    return try_page_data_key_id(sealed).value();
}

/* An open index. Page calls take no memory, and wait for the KMS only when the KEK's lifetime has ended
 * without a refresh. `aad` says where the page belongs; it is not stored, and the same is needed to open it.
 */
class Index {
  public:
    /* Takes the C handle over. */
    explicit Index(cyborg_kms_index *handle) noexcept : handle_(handle) {}

    /* One more handle of the same index. */
    Index retain() const noexcept { return Index(cyborg_kms_index_retain(get())); }

    /* Seals a page into `out`, of plaintext.size() + overhead bytes or more, and gives how many it wrote.
     * `out` may begin where `plaintext` does, or 32 bytes before it, where nothing is moved; any other
     * overlap is refused. */
    Result<std::size_t> try_encrypt(Bytes aad, Bytes plaintext, MutableBytes out) const noexcept {
        return detail::given<std::size_t, std::size_t>({}, [&](auto len, auto error) {
            return cyborg_kms_index_encrypt(get(), aad.data(), aad.size(), plaintext.data(), plaintext.size(),
                                            out.data(), out.size(), len, error);
        });
    }
    /* Opens a sealed page into `out`, of sealed.size() - overhead bytes or more, and gives how many it wrote.
     * `out` may begin where `sealed` does, or 32 bytes behind it, where nothing is moved. A failure leaves no
     * plaintext. */
    Result<std::size_t> try_decrypt(Bytes aad, Bytes sealed, MutableBytes out) const noexcept {
        return detail::given<std::size_t, std::size_t>({}, [&](auto len, auto error) {
            return cyborg_kms_index_decrypt(get(), aad.data(), aad.size(), sealed.data(), sealed.size(),
                                            out.data(), out.size(), len, error);
        });
    }
    /* The same with the 48 bytes of overhead apart, for aligned pages; `out` has as many bytes as what goes
     * in, or more, and may begin where that does. */
    Result<void> try_encrypt_detached(Bytes aad, Bytes plaintext, MutableBytes out,
                                      MutableBytes page_overhead) const noexcept {
        if (out.size() < plaintext.size() || page_overhead.size() != overhead)
            return Failure(Status::invalid_argument,
                           "out is shorter than the plaintext, or the overhead has not 48 bytes");
        return detail::called({}, [&](auto error) {
            return cyborg_kms_index_encrypt_detached(get(), aad.data(), aad.size(), plaintext.data(),
                                                     plaintext.size(), out.data(), page_overhead.data(),
                                                     error);
        });
    }
    Result<void> try_decrypt_detached(Bytes aad, Bytes ciphertext, Bytes page_overhead,
                                      MutableBytes out) const noexcept {
        if (out.size() < ciphertext.size() || page_overhead.size() != overhead)
            return Failure(Status::invalid_argument,
                           "out is shorter than the ciphertext, or the overhead has not 48 bytes");
        return detail::called({}, [&](auto error) {
            return cyborg_kms_index_decrypt_detached(get(), aad.data(), aad.size(), ciphertext.data(),
                                                     ciphertext.size(), page_overhead.data(), out.data(),
                                                     error);
        });
    }
    std::size_t encrypt(Bytes aad, Bytes plaintext, MutableBytes out) const {
        return try_encrypt(aad, plaintext, out).value();
    }
    std::size_t decrypt(Bytes aad, Bytes sealed, MutableBytes out) const {
        return try_decrypt(aad, sealed, out).value();
    }
    void encrypt_detached(Bytes aad, Bytes plaintext, MutableBytes out, MutableBytes page_overhead) const {
        try_encrypt_detached(aad, plaintext, out, page_overhead).value();
    }
    void decrypt_detached(Bytes aad, Bytes ciphertext, Bytes page_overhead, MutableBytes out) const {
        try_decrypt_detached(aad, ciphertext, page_overhead, out).value();
    }

    /* A fresh key of 32 bytes for a program that encrypts by itself. */
    Result<DataKey> try_generate_data_key() const noexcept {
        SecretKey key;
        Result<Buffer> wrapped = detail::given<Buffer, cyborg_kms_buffer *>({}, [&](auto out, auto error) {
            return cyborg_kms_index_generate_data_key(get(), key.data(), key.size(), out, error);
        });
        if (!wrapped)
            return std::move(wrapped).failure();
        return DataKey{std::move(key), std::move(*wrapped)};
    }
    Result<SecretKey> try_unwrap_data_key(Bytes wrapped) const noexcept {
        return keyed({}, [&](auto &key, auto error) {
            return cyborg_kms_index_unwrap_data_key(get(), wrapped.data(), wrapped.size(), key.data(),
                                                    key.size(), error);
        });
    }
    /* HKDF-SHA-256 (RFC 5869) of the index's derivation key, 1 to 8,160 bytes: the same for as long as the
     * index lives. */
    Result<void> try_derive_key(Text label, Bytes context, MutableBytes out) const noexcept {
        return detail::called({label}, [&](auto error) {
            return cyborg_kms_index_derive_key(get(), label.c_str(), context.data(), context.size(),
                                               out.data(), out.size(), error);
        });
    }
    /* 32 bytes of it. */
    Result<SecretKey> try_derive_key(Text label, Bytes context) const noexcept {
        return keyed({label}, [&](auto &key, auto error) {
            return cyborg_kms_index_derive_key(get(), label.c_str(), context.data(), context.size(),
                                               key.data(), key.size(), error);
        });
    }
    /* The plaintext KEK of an envelope version; 0: the current one. */
    Result<SecretKey> try_export_kek(std::uint32_t version = 0) const noexcept {
        return keyed({}, [&](auto &key, auto error) {
            return cyborg_kms_index_export_kek(get(), version, key.data(), key.size(), error);
        });
    }
    DataKey generate_data_key() const { return try_generate_data_key().value(); }
    SecretKey unwrap_data_key(Bytes wrapped) const { return try_unwrap_data_key(wrapped).value(); }
    void derive_key(Text label, Bytes context, MutableBytes out) const {
        try_derive_key(label, context, out).value();
    }
    SecretKey derive_key(Text label, Bytes context) const { return try_derive_key(label, context).value(); }
    SecretKey export_kek(std::uint32_t version = 0) const { return try_export_kek(version).value(); }

    /* Asks store and KMS now, whatever is cached. */
    Result<void> try_refresh() const noexcept {
        return detail::called({}, [&](auto error) { return cyborg_kms_index_refresh(get(), error); });
    }
    void refresh() const { try_refresh().value(); }

    /* Texts are borrowed from the handle. These getters ask no KMS. */
    const char *name() const noexcept { return cyborg_kms_index_name(get()); }
    const char *kms_name() const noexcept { return cyborg_kms_index_kms_name(get()); }
    const char *provider() const noexcept { return cyborg_kms_index_provider(get()); }
    const char *key_id() const noexcept { return cyborg_kms_index_key_id(get()); }
    /* Of the envelope, in the record that was read last. */
    std::uint32_t version() const noexcept { return cyborg_kms_index_version(get()); }
    /* Of the record that was read last, for OpenOptions::min_epoch. */
    std::uint64_t epoch() const noexcept { return cyborg_kms_index_epoch(get()); }
    /* What seals new pages; 0 for an index that holds only its KEK. */
    std::uint32_t data_key_id() const noexcept { return cyborg_kms_index_data_key_id(get()); }

    /* The C handle, which stays the index's. */
    cyborg_kms_index *get() const noexcept { return handle_.get(); }

  private:
    template <class F>
    static Result<SecretKey> keyed(std::initializer_list<Text> texts, F &&function) noexcept {
        SecretKey key;
        Result<void> done = detail::called(texts, [&](auto error) { return function(key, error); });
        if (!done)
            return std::move(done).failure();
        return key;
    }

    detail::IndexHandle handle_;
};

} // namespace cyborg_kms

#endif
