// RocksDB's files encrypted under keys that a KMS guards.
#ifndef KMS_ENCRYPTION_HPP
#define KMS_ENCRYPTION_HPP

#include <cyborg_kms.hpp>
#include <rocksdb/env_encryption.h>

// Each file has a key of its own, which `index` makes and unwraps; the wrap lies in the file's prefix. The
// contents are AES-256-CTR, which keeps lengths, as RocksDB asks, and authenticates nothing. For any number
// of threads, as RocksDB calls it; `index` is kept as long as the provider lives.
std::shared_ptr<rocksdb::EncryptionProvider> kms_encryption(cyborg_kms::Index index);

#endif
