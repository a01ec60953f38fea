/* The library itself: its version, its ABI, random keys, wiping. */
#ifndef CYBORG_KMS_LIBRARY_HPP
#define CYBORG_KMS_LIBRARY_HPP

#include "bytes.hpp"
#include "call.hpp"

#include <array>
#include <cstdio>

/* The cyborg_kms.h that these headers were made for: another one beside them is a mixed installation. */
#define CYBORG_KMS_HPP_VERSION_MAJOR 0
#define CYBORG_KMS_HPP_VERSION_MINOR 1
#define CYBORG_KMS_HPP_VERSION_PATCH 0
static_assert(CYBORG_KMS_VERSION_MAJOR == CYBORG_KMS_HPP_VERSION_MAJOR &&
                  CYBORG_KMS_VERSION_MINOR == CYBORG_KMS_HPP_VERSION_MINOR &&
                  CYBORG_KMS_VERSION_PATCH == CYBORG_KMS_HPP_VERSION_PATCH,
              "cyborg_kms.hpp and cyborg_kms.h are of two versions: install both of one");

namespace cyborg_kms {

/* Bytes of a KEK and of a data key. */
constexpr std::size_t key_len = CYBORG_KMS_KEY_LEN;
/* Bytes that a sealed page has more than its plaintext. */
constexpr std::size_t overhead = CYBORG_KMS_OVERHEAD;
/* Bytes that a plaintext has at most. */
constexpr std::size_t max_plaintext = CYBORG_KMS_MAX_PLAINTEXT;
/* Of the header that the program was compiled with. */
constexpr const char *header_version = CYBORG_KMS_VERSION;
constexpr int header_version_major = CYBORG_KMS_VERSION_MAJOR;
constexpr int header_version_minor = CYBORG_KMS_VERSION_MINOR;
constexpr int header_version_patch = CYBORG_KMS_VERSION_PATCH;
constexpr std::uint32_t header_abi_version = CYBORG_KMS_ABI_VERSION;

/* Of the library that was found, such as "0.1.0". */
inline const char *version() noexcept {
    return cyborg_kms_version();
}
inline std::uint32_t abi_version() noexcept {
    return cyborg_kms_abi_version();
}

/* Whether the library that was found has the ABI that the program was compiled for; else UNSUPPORTED, with
 * both numbers. What needs no handle (opening an engine or a store, decoding, verifying, random keys, the
 * log) looks first, so a program need not. */
inline Result<void> try_check_abi() noexcept {
    if (abi_version() == header_abi_version)
        return {};
    static const auto message = [] {
        std::array<char, 160> text{};
        std::snprintf(text.data(), text.size(),
                      "built for ABI %u of libcyborg_kms, but the library that was found (%s) has ABI %u: "
                      "install the one that it was built for, or build it anew",
                      static_cast<unsigned>(header_abi_version), version(),
                      static_cast<unsigned>(abi_version()));
        return text;
    }();
    return Failure(Status::unsupported, message.data());
}
inline void check_abi() {
    try_check_abi().value();
}

/* Fills `out` (1 byte and up) with random bytes of the operating system's. */
inline Result<void> try_random_key(MutableBytes out) noexcept {
    if (Result<void> abi = try_check_abi(); !abi)
        return abi;
    return detail::called({},
                          [&](auto error) { return cyborg_kms_random_key(out.data(), out.size(), error); });
}
inline void random_key(MutableBytes out) {
    try_random_key(out).value();
}

/* Overwrites bytes with zeros, in a way that no compiler removes. */
inline void wipe(MutableBytes bytes) noexcept {
    cyborg_kms_wipe(bytes.data(), bytes.size());
}

} // namespace cyborg_kms

#endif
