// What was once stored is read for ever, in every language: the golden files of tests/vectors, what Rust
// writes, and Rust as the reader of what is written here.
#include "support.hpp"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path vectors = fs::path(CYBORG_KMS_SOURCE) / "tests/vectors";

ByteVector hex(const json &text) {
    const auto digits = text.get<std::string>();
    ByteVector bytes;
    for (std::size_t at = 0; at < digits.size(); at += 2)
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits.substr(at, 2), nullptr, 16)));
    return bytes;
}

std::string hexed(kms::Bytes bytes) {
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

json parsed(const fs::path &path) {
    return json::parse(file(path));
}

// An engine over a folder with records, engine.yaml and wrap.key, to which the process goes: the records name
// the key file by /proc/self/cwd.
kms::Engine engine_of(const fs::path &folder) {
    fs::permissions(folder / "wrap.key", fs::perms::owner_read | fs::perms::owner_write);
    fs::current_path(folder);
    kms::Engine engine = kms::Engine::open_yaml("storage: {url: \"" + folder.string() + "\"}\n" +
                                                file(folder / "engine.yaml"));
    engine.register_provider("flip", std::make_unique<Flip>());
    return engine;
}

kms::Index open(const kms::Engine &engine, const json &vector) {
    const auto name = vector.at("index_name").get<std::string>();
    if (vector.value("kms_name", "local").empty())
        return engine.open_index_with_key(name, hex(vector.at("kek_hex")));
    return engine.open_index(name);
}

void read_keys(const kms::Index &index, const json &vector) {
    if (vector.contains("detached")) {
        const json &page = vector["detached"];
        ByteVector out(hex(page["ciphertext_hex"]).size());
        index.decrypt_detached(hex(page["aad_hex"]), hex(page["ciphertext_hex"]), hex(page["overhead_hex"]),
                               out);
        EXPECT_EQ(hexed(out), page["plaintext_hex"]);
    }
    if (vector.contains("data_key")) {
        EXPECT_EQ(hexed(index.unwrap_data_key(hex(vector["data_key"]["wrapped_hex"]))),
                  vector["data_key"]["key_hex"]);
    }
    for (const json &derived : vector.value("derived", json::array())) {
        ByteVector key(hex(derived["key_hex"]).size());
        index.derive_key(derived["label"].get<std::string>(), hex(derived["context_hex"]), key);
        EXPECT_EQ(hexed(key), derived["key_hex"]);
    }
}

// Opens everything that a vector holds; how many pages that were.
std::size_t read(const kms::Engine &engine, const json &vector) {
    const kms::Index index = open(engine, vector);
    EXPECT_EQ(hexed(index.export_kek()), vector["kek_hex"]) << vector["index_name"];
    if (vector.contains("former_kek_hex")) {
        EXPECT_EQ(hexed(index.export_kek(1)), vector["former_kek_hex"]);
    }
    const json pages = vector.value("pages", json::array());
    for (const json &page : pages) {
        const ByteVector closed = hex(page["sealed_hex"]);
        EXPECT_EQ(hexed(opened(index, hex(page["aad_hex"]), closed)), page["plaintext_hex"]);
        EXPECT_THROW(opened(index, "another", closed), kms::AuthenticationFailedError);
    }
    read_keys(index, vector);
    return pages.size();
}

TEST(Vectors, TheGoldenFilesAreRead) {
    Folder folder;
    fs::copy(vectors / "v1", folder.path(), fs::copy_options::recursive);
    const kms::Engine engine = engine_of(folder.path());
    std::size_t pages = 0;
    const json all = parsed(folder.at("expected.json"));
    for (const json &vector : all)
        pages += read(engine, vector);
    EXPECT_EQ(all.size(), 6U);
    EXPECT_EQ(pages, 16U);
}

TEST(Vectors, ARecordWithRetiredKeysGivesWhatIsLeft) {
    Folder folder;
    fs::copy(vectors / "v1", folder.path(), fs::copy_options::recursive);
    const kms::Engine engine = engine_of(folder.path());
    const json retired = parsed(folder.at("retired.json"));
    EXPECT_EQ(read(engine, retired), 2U);
    const kms::Index index = open(engine, retired);
    std::uint32_t version = 0;
    for (const json &kek : retired["keks_hex"]) {
        ++version;
        if (kek.is_null())
            EXPECT_THROW(index.export_kek(version), kms::NotFoundError);
        else
            EXPECT_EQ(hexed(index.export_kek(version)), kek);
    }
    EXPECT_EQ(version, 5U);
    const json &page = retired["retired_page"];
    EXPECT_THROW(opened(index, hex(page["aad_hex"]), hex(page["sealed_hex"])), kms::CorruptError);
    ByteVector derived(hex(retired["derived_hex"]).size());
    index.derive_key("label", "context", derived);
    EXPECT_EQ(hexed(derived), retired["derived_hex"]);
}

TEST(Vectors, CyborgDBsRecordsAreRead) {
    Folder folder;
    fs::copy(vectors / "cyborgdb-0.18", folder.path(), fs::copy_options::recursive);
    const kms::Store store = kms::Store::open(folder.path().string());
    const json all = parsed(folder.at("expected.json"));
    EXPECT_GE(all.size(), 11U);
    const auto expect = [](const kms::Blob &blob, const json &one) {
        EXPECT_EQ(blob.kms_name(), one["kms_name"].get<std::string>()) << one["index_name"];
        EXPECT_EQ(blob.provider(), one["provider"].get<std::string>());
        EXPECT_EQ(blob.key_id(), one["key_id"].get<std::string>());
        EXPECT_EQ(blob.region(), one["region"].get<std::string>());
        EXPECT_EQ(hexed(blob.wrapped_kek()), one["wrapped_kek_hex"]);
        EXPECT_EQ(blob.version(), one["version"]);
        EXPECT_EQ(blob.created_at(), one["created_at"].get<std::int64_t>());
    };
    for (const json &one : all) {
        expect(store.get_index_kms(one["index_name"].get<std::string>()), one);
        expect(kms::Blob::decode(file(folder.path() / one["file"].get<std::string>())), one);
    }
}

TEST(Vectors, TheGoldenAuditLogIsVerified) {
    const fs::path log = vectors / "v1-audit/audit.log";
    const json expected = parsed(vectors / "v1-audit/expected.json");
    const std::string head = expected["head"].dump();
    const kms::AuditReport report = kms::audit_verify(log.string(), hex(expected["key_hex"]), head);
    EXPECT_TRUE(report.intact) << report.json.text();
    const json said = json::parse(report.json.text());
    EXPECT_EQ(said["macs_checked"], true);
    EXPECT_EQ(said["head_checked"], true);
    EXPECT_EQ(json::parse(kms::audit_head(log.string()).text()), expected["head"]);
    EXPECT_FALSE(kms::audit_verify(log.string(), ByteVector(kms::key_len, 1)).intact);
}

// Runs tests/vectors/exchange.rs, the other process, on a folder.
int rust(const std::string &verb, const fs::path &folder) {
    const std::string command =
        std::string("'") + CYBORG_KMS_EXCHANGE + "' " + verb + " '" + folder.string() + "'";
    return std::system(command.c_str());
}

TEST(Vectors, WhatRustWritesIsRead) {
    Folder folder;
    ASSERT_EQ(rust("write", folder.path()), 0);
    const kms::Engine engine = engine_of(folder.path());
    const json all = parsed(folder.at("expected.json"));
    std::size_t pages = 0;
    for (const json &vector : all)
        pages += read(engine, vector);
    EXPECT_GE(all.size(), 4U);
    EXPECT_GE(pages, 3U);
}

// Makes the index that a vector describes and fills in what it gives.
void write(const kms::Engine &engine, json &vector) {
    const kms::Index index =
        engine.create_index_with_key(vector["index_name"].get<std::string>(),
                                     vector["kms_name"].get<std::string>(), hex(vector["kek_hex"]));
    if (index.data_key_id() == 0)
        return; // CyborgDB's kind: a KEK alone
    for (json &page : vector["pages"])
        page["sealed_hex"] = hexed(sealed(index, hex(page["aad_hex"]), hex(page["plaintext_hex"])));
    json &detached = vector["detached"];
    const ByteVector plaintext = hex(detached["plaintext_hex"]);
    ByteVector ciphertext(plaintext.size());
    ByteVector overhead(kms::overhead);
    index.encrypt_detached(hex(detached["aad_hex"]), plaintext, ciphertext, overhead);
    detached["ciphertext_hex"] = hexed(ciphertext);
    detached["overhead_hex"] = hexed(overhead);
    const kms::DataKey made = index.generate_data_key();
    vector["data_key"] = {{"key_hex", hexed(made.key)}, {"wrapped_hex", hexed(made.wrapped)}};
    for (json &derived : vector["derived"]) {
        ByteVector key(derived["len"].get<std::size_t>());
        index.derive_key(derived["label"].get<std::string>(), hex(derived["context_hex"]), key);
        derived["key_hex"] = hexed(key);
    }
}

TEST(Vectors, RustReadsWhatIsWritten) {
    // Where the step of the tests reads it once more, in other languages.
    const char *keep = std::getenv("CYBORG_KMS_WRITE");
    Folder own;
    const fs::path folder = keep != nullptr ? fs::path(keep) : own.path();
    for (const char *name : {"wrap.key", "engine.yaml"})
        fs::copy_file(vectors / "v1" / name, folder / name, fs::copy_options::overwrite_existing);
    json all = parsed(vectors / "languages.json");
    {
        const kms::Engine engine = engine_of(folder);
        for (json &vector : all)
            write(engine, vector);
    }
    std::ofstream(folder / "expected.json") << all;
    ASSERT_EQ(rust("read", folder), 0);
    json altered = all;
    auto page = altered[0]["pages"][2]["sealed_hex"].get<std::string>();
    page[120] = page[120] == '0' ? '1' : '0';
    altered[0]["pages"][2]["sealed_hex"] = page;
    std::ofstream(folder / "expected.json") << altered;
    EXPECT_NE(rust("read", folder), 0) << "Rust reads an altered page: it checks nothing";
    std::ofstream(folder / "expected.json") << all;
}

} // namespace
