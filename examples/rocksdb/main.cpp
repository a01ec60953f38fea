// A RocksDB whose files are encrypted under keys that a KMS guards. The rows are the fields of
// /var/lib/dpkg/status.
#include "kms_encryption.hpp"

#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <rocksdb/db.h>

namespace kms = cyborg_kms;
using Rows = std::map<std::string, std::string>;

namespace {

constexpr const char *index_name = "packages";

void must(const rocksdb::Status &status) {
    if (!status.ok())
        throw std::runtime_error(status.ToString());
}

// "libc6/Version": "2.36-9"; a line that begins with a space belongs to the field above it.
Rows rows_of(const std::string &path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("can't read " + path);
    Rows rows;
    std::string line, package, key;
    while (std::getline(file, line)) {
        const std::size_t colon = line.find(':');
        if (line.empty() || (line[0] != ' ' && colon == std::string::npos))
            continue;
        if (line[0] == ' ') {
            rows[key] += "\n" + line;
            continue;
        }
        if (line.compare(0, colon, "Package") == 0)
            package = line.substr(colon + 2);
        key = package + "/" + line.substr(0, colon);
        rows[key] = line.substr(colon + 1);
    }
    return rows;
}

// A database and what it stands on; the environment goes last.
struct Database {
    std::unique_ptr<rocksdb::Env> env;
    std::unique_ptr<rocksdb::DB> db;
};

// Without an engine: in plaintext. Else the index is the catalog's to know; here a new folder is a new
// database.
Database open(const std::string &folder, const kms::Engine *engine, bool is_new) {
    Database database;
    rocksdb::Options options;
    options.create_if_missing = is_new;
    options.error_if_exists = is_new;
    options.compression = rocksdb::kNoCompression; // so that plaintext would be seen
    options.write_buffer_size = 256 << 10;         // several files from little data
    if (engine != nullptr) {
        kms::Index index = is_new ? engine->create_index(index_name, "prod") : engine->open_index(index_name);
        database.env.reset(
            rocksdb::NewEncryptedEnv(rocksdb::Env::Default(), kms_encryption(std::move(index))));
        options.env = database.env.get();
    }
    rocksdb::DB *db = nullptr;
    must(rocksdb::DB::Open(options, folder, &db));
    database.db.reset(db);
    return database;
}

void fill(const Database &database, const Rows &rows) {
    const auto begin = std::chrono::steady_clock::now();
    for (const auto &row : rows)
        must(database.db->Put({}, row.first, row.second));
    must(database.db->Flush({}));
    const auto taken = std::chrono::steady_clock::now() - begin;
    must(database.db->Put({}, "last/row", "in the log only")); // a log to replay at the next opening
    std::cout << rows.size() << " rows in "
              << std::chrono::duration_cast<std::chrono::milliseconds>(taken).count() << " ms\n";
}

// Every row is there, none besides; before and after a compaction has written all files anew.
void verify(const Database &database, Rows rows) {
    rows["last/row"] = "in the log only";
    must(database.db->VerifyChecksum()); // of every file: RocksDB's iterator may end early at a damaged block
    rocksdb::ReadOptions options;
    options.verify_checksums = true;
    for (const bool compacted : {false, true}) {
        if (compacted)
            must(database.db->CompactRange({}, nullptr, nullptr));
        const std::unique_ptr<rocksdb::Iterator> at(database.db->NewIterator(options));
        auto row = rows.begin();
        for (at->SeekToFirst(); at->Valid(); at->Next(), ++row) {
            if (row == rows.end() || at->key() != row->first || at->value() != row->second)
                throw std::runtime_error("another row than was written: " + at->key().ToString());
        }
        must(at->status());
        if (row != rows.end())
            throw std::runtime_error("missing: " + row->first);
    }
    std::cout << rows.size() << " rows are as they were written\n";
}

int run(const std::vector<std::string> &arguments) {
    const std::string verb = arguments.empty() ? "" : arguments[0];
    if (verb == "plain" && arguments.size() == 3) {
        fill(open(arguments[1], nullptr, true), rows_of(arguments[2]));
        return 0;
    }
    if (arguments.size() < 2)
        throw std::runtime_error(
            "say: rocksdb_kms fill|verify CONFIG FOLDER FILE, rotate|disable|enable CONFIG, or "
            "plain FOLDER FILE");
    const kms::Engine engine = kms::Engine::open(arguments[1]);
    if (verb == "rotate") {
        engine.rotate_index(index_name, kms::Rotation::kek);
        engine.rotate_index(index_name, kms::Rotation::data_key);
        engine.rotate_index(index_name, kms::Rotation::rewrap);
    } else if (verb == "disable") {
        engine.disable_index(index_name);
    } else if (verb == "enable") {
        engine.enable_index(index_name);
    } else if (arguments.size() == 4 && verb == "fill") {
        fill(open(arguments[2], &engine, true), rows_of(arguments[3]));
    } else if (arguments.size() == 4 && verb == "verify") {
        verify(open(arguments[2], &engine, false), rows_of(arguments[3]));
    } else {
        throw std::runtime_error("no such command");
    }
    return 0;
}

} // namespace

int main(int count, char **arguments) {
    try {
        return run({arguments + 1, arguments + count});
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
