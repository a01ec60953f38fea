#include "support.hpp"

#include <fstream>
#include <sstream>

Folder::Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cyborg-kms-cpp-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
        throw std::runtime_error("no folder for the test");
    path_ = std::filesystem::canonical(pattern);
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::current_path("/", ignored); // a test may have gone there
    std::filesystem::remove_all(path_, ignored);
}

std::string configuration(const Folder &folder) {
    return "kms: {registry: {prod: {provider: local, key_id: " + folder.at("wrap.key") +
           ", create: true}, own: {provider: \"external:own\", key_id: k1}}}";
}

ByteVector bytes_of(kms::Bytes bytes) {
    return ByteVector(bytes.begin(), bytes.end());
}

ByteVector sealed(const kms::Index &index, kms::Bytes aad, kms::Bytes plaintext) {
    ByteVector out(plaintext.size() + kms::overhead);
    out.resize(index.encrypt(aad, plaintext, out));
    return out;
}

ByteVector opened(const kms::Index &index, kms::Bytes aad, kms::Bytes sealed) {
    ByteVector out(sealed.size());
    out.resize(index.decrypt(aad, sealed, out));
    return out;
}

std::string file(const std::filesystem::path &path) {
    std::ifstream from(path, std::ios::binary);
    if (!from)
        throw std::runtime_error("can't read " + path.string());
    std::ostringstream text;
    text << from.rdbuf();
    return text.str();
}

ByteVector Flip::flipped(kms::Bytes bytes) {
    ByteVector out = bytes_of(bytes);
    for (std::uint8_t &byte : out)
        byte ^= 0x5a;
    return out;
}

std::optional<kms::Record> CatalogRecords::get(const char *index_name) {
    const std::lock_guard<std::mutex> lock(catalog_.mutex);
    const auto found = catalog_.records.find(index_name);
    if (found == catalog_.records.end())
        return std::nullopt;
    return found->second;
}

std::uint64_t CatalogRecords::put(const char *index_name, kms::Bytes data, std::uint64_t expected_revision) {
    const std::lock_guard<std::mutex> lock(catalog_.mutex);
    const auto found = catalog_.records.find(index_name);
    const std::uint64_t revision =
        found == catalog_.records.end() ? kms::revision_absent : found->second.revision;
    if (expected_revision == kms::revision_absent && revision != kms::revision_absent)
        throw kms::AlreadyExistsError("there is such a row");
    if (expected_revision != kms::revision_any && expected_revision != revision)
        throw kms::ConflictError("the row was changed");
    catalog_.records[index_name] = kms::Record{bytes_of(data), ++catalog_.revision};
    return catalog_.revision;
}

void CatalogRecords::remove(const char *index_name, std::uint64_t expected_revision) {
    const std::lock_guard<std::mutex> lock(catalog_.mutex);
    const auto found = catalog_.records.find(index_name);
    if (found == catalog_.records.end())
        return;
    if (expected_revision != kms::revision_any && expected_revision != found->second.revision)
        throw kms::ConflictError("the row was changed");
    catalog_.records.erase(found);
}

void CatalogRecords::list(const char *start_after, const kms::NameSink &name) {
    std::vector<std::string> names;
    {
        const std::lock_guard<std::mutex> lock(catalog_.mutex);
        for (const auto &row : catalog_.records) {
            if (start_after == nullptr || row.first > start_after)
                names.push_back(row.first);
        }
    }
    for (const std::string &one : names) {
        if (!name(one))
            return;
    }
}
