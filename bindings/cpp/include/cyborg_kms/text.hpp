/* A text to read, borrowed for a call. */
#ifndef CYBORG_KMS_TEXT_HPP
#define CYBORG_KMS_TEXT_HPP

#include <cstring>
#include <string>

namespace cyborg_kms {

/* UTF-8 that ends with a NUL: a literal or a std::string, but no std::string_view, which has no NUL. A
 * std::string with a NUL inside is INVALID_ARGUMENT: C would take the first half for the whole. The default
 * is no text at all (NULL). */
class Text {
  public:
    constexpr Text() noexcept = default;
    constexpr Text(const char *text) noexcept : text_(text) {}
    Text(const std::string &text) noexcept
        : text_(text.c_str()), whole_(std::memchr(text.data(), 0, text.size()) == nullptr) {}

    constexpr const char *c_str() const noexcept { return text_; }
    /* Whether it has no NUL inside. */
    constexpr bool whole() const noexcept { return whole_; }

  private:
    const char *text_ = nullptr;
    bool whole_ = true;
};

} // namespace cyborg_kms

#endif
