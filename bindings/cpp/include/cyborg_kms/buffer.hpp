/* Bytes that the library gives. */
#ifndef CYBORG_KMS_BUFFER_HPP
#define CYBORG_KMS_BUFFER_HPP

#include "bytes.hpp"
#include "call.hpp"

#include <string_view>

namespace cyborg_kms {

/* Owned bytes, wiped when they are destroyed. A Bytes can be made of it. */
class Buffer {
  public:
    /* Takes the C handle over. */
    explicit Buffer(cyborg_kms_buffer *handle) noexcept : handle_(handle) {}

    const std::uint8_t *data() const noexcept { return cyborg_kms_buffer_data(handle_.get()); }
    std::size_t size() const noexcept { return cyborg_kms_buffer_len(handle_.get()); }
    /* The same as text, such as JSON: borrowed from the buffer. */
    std::string_view text() const noexcept {
        return size() == 0 ? std::string_view()
                           : std::string_view(reinterpret_cast<const char *>(data()), size());
    }
    /* The C handle, which stays the buffer's. */
    cyborg_kms_buffer *get() const noexcept { return handle_.get(); }

  private:
    detail::BufferHandle handle_;
};

} // namespace cyborg_kms

#endif
