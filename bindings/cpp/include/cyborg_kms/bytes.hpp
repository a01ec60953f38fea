/* Views of bytes, borrowed for a call: from any container of bytes, a std::string_view, a std::span, a
 * pointer and a size. */
#ifndef CYBORG_KMS_BYTES_HPP
#define CYBORG_KMS_BYTES_HPP

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cyborg_kms {

namespace detail {

template <class T>
constexpr bool is_byte =
    std::is_same_v<std::remove_cv_t<T>, unsigned char> || std::is_same_v<std::remove_cv_t<T>, char> ||
    std::is_same_v<std::remove_cv_t<T>, signed char> || std::is_same_v<std::remove_cv_t<T>, std::byte>;

/* The element of a container, void where it is none. */
template <class C, class = void> struct Element {
    using Type = void;
};
template <class C>
struct Element<
    C, std::void_t<decltype(std::data(std::declval<C &>())), decltype(std::size(std::declval<C &>()))>> {
    using Type = std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>;
};
template <class C> using ElementOf = typename Element<C>::Type;

/* An array of char is taken for a literal, whose last NUL is not one of its bytes: it goes through
 * std::string_view. */
template <class C>
constexpr bool is_text_array =
    std::is_array_v<std::remove_reference_t<C>> &&
    std::is_same_v<std::remove_cv_t<std::remove_all_extents_t<std::remove_reference_t<C>>>, char>;

} // namespace detail

/* Bytes to read. Copies of it share them; they must live until the call returned. */
class Bytes {
  public:
    constexpr Bytes() noexcept = default;
    Bytes(const void *data, std::size_t size) noexcept
        : data_(static_cast<const std::uint8_t *>(data)), size_(size) {}
    Bytes(std::string_view text) noexcept : Bytes(text.data(), text.size()) {}
    /* A literal, without its last NUL. */
    Bytes(const char *text) noexcept : Bytes(std::string_view(text)) {}
    Bytes(std::nullptr_t) = delete;
    /* Would end at the first NUL of what is perhaps a page: say Bytes(buffer, sizeof buffer). */
    template <std::size_t size> Bytes(char (&buffer)[size]) = delete;
    template <class C, class E = detail::ElementOf<const C>,
              std::enable_if_t<detail::is_byte<E> && !detail::is_text_array<C>, int> = 0>
    Bytes(const C &container) noexcept : Bytes(std::data(container), std::size(container)) {}

    constexpr const std::uint8_t *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr const std::uint8_t *begin() const noexcept { return data_; }
    constexpr const std::uint8_t *end() const noexcept { return data_ + size_; }

  private:
    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

/* Bytes to write; a Bytes can be made of it. */
class MutableBytes {
  public:
    constexpr MutableBytes() noexcept = default;
    MutableBytes(void *data, std::size_t size) noexcept
        : data_(static_cast<std::uint8_t *>(data)), size_(size) {}
    template <class C, class E = detail::ElementOf<C>,
              std::enable_if_t<detail::is_byte<E> && !std::is_const_v<E>, int> = 0>
    MutableBytes(C &&container) noexcept : MutableBytes(std::data(container), std::size(container)) {}

    constexpr std::uint8_t *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

  private:
    std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace cyborg_kms

#endif
