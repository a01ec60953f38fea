/* The envelope record. */
#ifndef CYBORG_KMS_BLOB_HPP
#define CYBORG_KMS_BLOB_HPP

#include "buffer.hpp"
#include "library.hpp"

namespace cyborg_kms {

/* An envelope record: CyborgDB's KMSBlob. A plain value that one thread uses at a time. Views
 * that its getters give live until it is set anew or destroyed. */
class Blob {
  public:
    /* Without texts or wrapped KEK, version 1, created_at 0. */
    Blob() noexcept : handle_(cyborg_kms_blob_new()) {}
    /* Takes the C handle over. */
    explicit Blob(cyborg_kms_blob *handle) noexcept : handle_(handle) {}

    /* Reads a stored record of either kind. CorruptError for anything else. */
    static Result<Blob> try_decode(Bytes record) noexcept {
        if (Result<void> abi = try_check_abi(); !abi)
            return std::move(abi).failure();
        return detail::given<Blob, cyborg_kms_blob *>({}, [&](auto out, auto error) {
            return cyborg_kms_blob_decode(record.data(), record.size(), out, error);
        });
    }
    static Blob decode(Bytes record) { return try_decode(record).value(); }

    /* The blob as a stored record of CyborgDB's kind. */
    Result<Buffer> try_encode() const noexcept {
        if (Result<void> abi = try_check_abi(); !abi)
            return std::move(abi).failure();
        return detail::given<Buffer, cyborg_kms_buffer *>(
            {}, [&](auto out, auto error) { return cyborg_kms_blob_encode(get(), out, error); });
    }
    Buffer encode() const { return try_encode().value(); }

    /* The slot's name in the registry. */
    std::string_view kms_name() const noexcept { return text(cyborg_kms_blob_kms_name); }
    /* The provider, such as "aws-kms"; any text is stored. */
    std::string_view provider() const noexcept { return text(cyborg_kms_blob_provider); }
    /* The provider's name of the wrapping key. */
    std::string_view key_id() const noexcept { return text(cyborg_kms_blob_key_id); }
    std::string_view region() const noexcept { return text(cyborg_kms_blob_region); }
    Bytes wrapped_kek() const noexcept {
        std::size_t len = 0;
        const std::uint8_t *data = cyborg_kms_blob_wrapped_kek(get(), &len);
        return {data, len};
    }
    /* Of the envelope: one more with each new wrap. */
    std::uint32_t version() const noexcept { return cyborg_kms_blob_version(get()); }
    /* Unix seconds. */
    std::int64_t created_at() const noexcept { return cyborg_kms_blob_created_at(get()); }

    /* Each text is copied, and has at most 1 MiB. */
    Result<void> try_set_kms_name(Text kms_name) noexcept {
        return set(cyborg_kms_blob_set_kms_name, kms_name);
    }
    Result<void> try_set_provider(Text provider) noexcept {
        return set(cyborg_kms_blob_set_provider, provider);
    }
    Result<void> try_set_key_id(Text key_id) noexcept { return set(cyborg_kms_blob_set_key_id, key_id); }
    Result<void> try_set_region(Text region) noexcept { return set(cyborg_kms_blob_set_region, region); }
    Result<void> try_set_wrapped_kek(Bytes wrapped) noexcept {
        return detail::called({}, [&](auto error) {
            return cyborg_kms_blob_set_wrapped_kek(get(), wrapped.data(), wrapped.size(), error);
        });
    }
    /* 1 and up. */
    Result<void> try_set_version(std::uint32_t version) noexcept {
        return detail::called({},
                              [&](auto error) { return cyborg_kms_blob_set_version(get(), version, error); });
    }
    Result<void> try_set_created_at(std::int64_t unix_seconds) noexcept {
        return detail::called(
            {}, [&](auto error) { return cyborg_kms_blob_set_created_at(get(), unix_seconds, error); });
    }
    void set_kms_name(Text kms_name) { try_set_kms_name(kms_name).value(); }
    void set_provider(Text provider) { try_set_provider(provider).value(); }
    void set_key_id(Text key_id) { try_set_key_id(key_id).value(); }
    void set_region(Text region) { try_set_region(region).value(); }
    void set_wrapped_kek(Bytes wrapped) { try_set_wrapped_kek(wrapped).value(); }
    void set_version(std::uint32_t version) { try_set_version(version).value(); }
    void set_created_at(std::int64_t unix_seconds) { try_set_created_at(unix_seconds).value(); }

    /* The C handle, which stays the blob's. */
    cyborg_kms_blob *get() const noexcept { return handle_.get(); }

  private:
    std::string_view text(const char *(*getter)(const cyborg_kms_blob *, std::size_t *)) const noexcept {
        std::size_t len = 0;
        const char *text = getter(get(), &len);
        return {text, len};
    }
    Result<void> set(cyborg_kms_status (*setter)(cyborg_kms_blob *, const char *, cyborg_kms_error **),
                     Text text) noexcept {
        return detail::called({text}, [&](auto error) { return setter(get(), text.c_str(), error); });
    }

    detail::BlobHandle handle_;
};

} // namespace cyborg_kms

#endif
