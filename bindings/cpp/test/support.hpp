// What the tests have in common: folders, configurations, a provider and records of their own.
#ifndef CYBORG_KMS_TEST_SUPPORT_HPP
#define CYBORG_KMS_TEST_SUPPORT_HPP

#include <cyborg_kms.hpp>

#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace kms = cyborg_kms;

using ByteVector = std::vector<std::uint8_t>;

// A folder that is removed with all in it.
class Folder {
  public:
    Folder();
    ~Folder();
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;
    std::string at(const std::string &name) const { return (path_ / name).string(); }
    const std::filesystem::path &path() const { return path_; }

  private:
    std::filesystem::path path_;
};

// A configuration with the slot "prod" of a key file, and "own" of the provider external:own; records in
// memory.
std::string configuration(const Folder &folder);

ByteVector bytes_of(kms::Bytes bytes);
ByteVector sealed(const kms::Index &index, kms::Bytes aad, kms::Bytes plaintext);
ByteVector opened(const kms::Index &index, kms::Bytes aad, kms::Bytes sealed);
std::string file(const std::filesystem::path &path);

// The class of the error that a call throws.
template <class E, class F> E thrown(F &&call) {
    try {
        call();
    } catch (const E &error) {
        return error;
    }
    throw std::logic_error("nothing was thrown");
}

// A "KMS" that flips bits.
class Flip : public kms::Provider {
  public:
    std::vector<std::uint8_t> wrap(const char *, kms::Bytes, kms::Bytes kek) override { return flipped(kek); }
    kms::SecretKey unwrap(const char *, kms::Bytes, kms::Bytes wrapped) override {
        return kms::SecretKey(flipped(wrapped));
    }
    static ByteVector flipped(kms::Bytes bytes);
};

// A catalog in memory. The tests see into it while a store has it.
struct Catalog {
    std::mutex mutex;
    std::map<std::string, kms::Record> records;
    std::uint64_t revision = 0;
    int destroyed = 0;
};

class CatalogRecords : public kms::Records {
  public:
    explicit CatalogRecords(Catalog &catalog) : catalog_(catalog) {}
    ~CatalogRecords() override { ++catalog_.destroyed; }
    std::optional<kms::Record> get(const char *index_name) override;
    std::uint64_t put(const char *index_name, kms::Bytes data, std::uint64_t expected_revision) override;
    void remove(const char *index_name, std::uint64_t expected_revision) override;
    void list(const char *start_after, const kms::NameSink &name) override;

  private:
    Catalog &catalog_;
};

#endif
