#include "kms_encryption.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <openssl/evp.h>

namespace kms = cyborg_kms;
using rocksdb::Slice;
using rocksdb::Status;

namespace {

// The prefix of a file: this mark, the wrapped key, zeros up to a page, so that the file's own pages stay
// aligned.
constexpr std::array<char, 8> mark = {'C', 'Y', 'K', 'M', 'S', 'R', 'D', 1};
constexpr std::size_t wrapped_len = 80;
constexpr std::size_t prefix_len = 4096;

// What RocksDB hears of a failure. Nothing may be thrown into it.
Status told(const std::string &file, const kms::Failure &failure) {
    const std::string why = std::string(kms::status_name(failure.status())) + ": " + failure.message();
    switch (failure.status()) {
    case kms::Status::authentication_failed:
    case kms::Status::corrupt:
        return Status::Corruption(file, why);
    case kms::Status::timeout:
        return Status::TimedOut(file, why);
    default:
        return Status::IOError(file, why);
    }
}

struct FreeCipher {
    void operator()(EVP_CIPHER *cipher) const noexcept { EVP_CIPHER_free(cipher); }
    void operator()(EVP_CIPHER_CTX *context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

// The contents of one file. Several threads read a file at once, so nothing is changed in it.
class FileStream final : public rocksdb::BlockAccessCipherStream {
  public:
    FileStream(std::shared_ptr<const Cipher> cipher, kms::SecretKey key)
        : cipher_(std::move(cipher)), key_(std::move(key)) {}

    std::size_t BlockSize() override { return 16; }
    Status Encrypt(std::uint64_t offset, char *data, std::size_t size) override {
        return apply(offset, data, size);
    }
    Status Decrypt(std::uint64_t offset, char *data, std::size_t size) override {
        return apply(offset, data, size);
    }

  protected:
    // RocksDB goes block by block through these where Encrypt and Decrypt are not there.
    void AllocateScratch(std::string &) override {}
    Status EncryptBlock(std::uint64_t block, char *data, char *) override {
        return apply(block * 16, data, 16);
    }
    Status DecryptBlock(std::uint64_t block, char *data, char *) override {
        return apply(block * 16, data, 16);
    }

  private:
    Status apply(std::uint64_t offset, char *data, std::size_t size) const {
        // The counter is the number of the block; each file has another key, so it may begin at 0.
        std::array<unsigned char, 16> counter{};
        for (std::size_t at = 0; at < 8; ++at)
            counter[15 - at] = static_cast<unsigned char>((offset / 16) >> (8 * at));
        const Context context(EVP_CIPHER_CTX_new());
        if (!context ||
            EVP_EncryptInit_ex2(context.get(), cipher_->get(), key_.data(), counter.data(), nullptr) != 1)
            return Status::Aborted("AES-256-CTR can't be set up");
        // Into the middle of the first block.
        std::array<unsigned char, 16> skipped{};
        int written = 0;
        if (EVP_EncryptUpdate(context.get(), skipped.data(), &written, skipped.data(),
                              static_cast<int>(offset % 16)) != 1)
            return Status::Aborted("AES-256-CTR failed");
        auto *bytes = reinterpret_cast<unsigned char *>(data);
        while (size > 0) {
            const int part = static_cast<int>(std::min<std::size_t>(size, 1 << 30));
            if (EVP_EncryptUpdate(context.get(), bytes, &written, bytes, part) != 1 || written != part)
                return Status::Aborted("AES-256-CTR failed");
            bytes += part;
            size -= static_cast<std::size_t>(part);
        }
        return Status::OK();
    }

    std::shared_ptr<const Cipher> cipher_;
    kms::SecretKey key_;
};

class KmsEncryption final : public rocksdb::EncryptionProvider {
  public:
    explicit KmsEncryption(kms::Index index)
        : index_(std::move(index)),
          cipher_(std::make_shared<const Cipher>(EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr))) {}

    const char *Name() const override { return "cyborg_kms"; }
    std::size_t GetPrefixLength() const override { return prefix_len; }

    Status CreateNewPrefix(const std::string &file, char *prefix, std::size_t len) const override {
        if (len != prefix_len)
            return Status::InvalidArgument(file, "a prefix has 4096 bytes");
        kms::Result<kms::DataKey> made = index_.try_generate_data_key();
        if (!made)
            return told(file, made.failure());
        if (made->wrapped.size() != wrapped_len)
            return Status::Aborted(file, "a wrapped key of another length");
        std::memset(prefix, 0, len);
        std::copy(mark.begin(), mark.end(), prefix);
        std::memcpy(prefix + mark.size(), made->wrapped.data(), wrapped_len);
        return Status::OK();
    }

    Status AddCipher(const std::string &, const char *, std::size_t, bool) override {
        return Status::NotSupported("the keys are those of cyborg_kms");
    }

    Status CreateCipherStream(const std::string &file, const rocksdb::EnvOptions &, Slice &prefix,
                              std::unique_ptr<rocksdb::BlockAccessCipherStream> *result) override {
        // Never taken for a file in plaintext: whoever can write the disk could have RocksDB believe what
        // they wrote.
        if (prefix.size() != prefix_len || !std::equal(mark.begin(), mark.end(), prefix.data()) ||
            !std::all_of(prefix.data() + mark.size() + wrapped_len, prefix.data() + prefix_len,
                         [](char byte) { return byte == 0; }))
            return Status::Corruption(file, "its prefix is none of cyborg_kms");
        kms::Result<kms::SecretKey> key =
            index_.try_unwrap_data_key(kms::Bytes(prefix.data() + mark.size(), wrapped_len));
        if (!key)
            return told(file, key.failure());
        if (!*cipher_)
            return Status::NotSupported("OpenSSL has no AES-256-CTR");
        result->reset(new FileStream(cipher_, std::move(*key)));
        return Status::OK();
    }

  private:
    kms::Index index_;
    std::shared_ptr<const Cipher> cipher_;
};

} // namespace

std::shared_ptr<rocksdb::EncryptionProvider> kms_encryption(kms::Index index) {
    return std::make_shared<KmsEncryption>(std::move(index));
}
