/* Functions of the program that C calls while a call of the binding waits. Not for users. */
#ifndef CYBORG_KMS_CALLBACK_HPP
#define CYBORG_KMS_CALLBACK_HPP

#include "call.hpp"

#include <exception>

namespace cyborg_kms::detail {

/* A function and what it threw, which must not pass through C: it stops the call, and is thrown again behind
 * it. */
template <class F> class Waiting {
  public:
    explicit Waiting(F &function) noexcept : function_(function) {}

    /* False to stop. A function that returns nothing goes on. */
    template <class... Args> bool operator()(Args &&...args) noexcept {
        try {
            if constexpr (std::is_void_v<decltype(function_(std::forward<Args>(args)...))>) {
                function_(std::forward<Args>(args)...);
                return true;
            } else {
                return function_(std::forward<Args>(args)...);
            }
        } catch (...) {
            thrown_ = std::current_exception();
            return false;
        }
    }

    const std::exception_ptr &thrown() const noexcept { return thrown_; }
    void rethrow() const {
        if (thrown_)
            std::rethrow_exception(thrown_);
    }

  private:
    F &function_;
    std::exception_ptr thrown_;
};

inline Failure callback_threw() noexcept {
    return Failure(Status::internal,
                   "the callback threw, which stopped the call: take the form that throws to see what");
}

} // namespace cyborg_kms::detail

#endif
