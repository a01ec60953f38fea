/* What a call whose name begins with try_ returns: for programs without exceptions, and where a failure is
 * expected. C++17 has no std::expected; this is
 * the part of it that is needed. */
#ifndef CYBORG_KMS_RESULT_HPP
#define CYBORG_KMS_RESULT_HPP

#include "error.hpp"

#include <optional>
#include <utility>
#include <variant>

namespace cyborg_kms {

/* A value, or why there is none. */
template <class T> class [[nodiscard]] Result {
  public:
    Result(T &&value) noexcept : either_(std::in_place_index<0>, std::move(value)) {}
    Result(Failure &&failure) noexcept : either_(std::in_place_index<1>, std::move(failure)) {}

    bool ok() const noexcept { return either_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    /* Status::ok where there is a value. */
    Status status() const noexcept { return ok() ? Status::ok : failure().status(); }

    /* The value; throws the failure's Error where there is none. */
    T &value() & {
        if (!ok())
            throw_failure(failure());
        return *std::get_if<0>(&either_);
    }
    const T &value() const & {
        if (!ok())
            throw_failure(failure());
        return *std::get_if<0>(&either_);
    }
    T &&value() && { return std::move(value()); }

    /* The value, which must be there: look first. */
    T &operator*() noexcept { return *std::get_if<0>(&either_); }
    const T &operator*() const noexcept { return *std::get_if<0>(&either_); }
    T *operator->() noexcept { return std::get_if<0>(&either_); }
    const T *operator->() const noexcept { return std::get_if<0>(&either_); }
    /* Why there is none, which must be so: look first. */
    const Failure &failure() const & noexcept { return *std::get_if<1>(&either_); }
    Failure &&failure() && noexcept { return std::move(*std::get_if<1>(&either_)); }

  private:
    std::variant<T, Failure> either_;
};

/* That a call succeeded, or why it did not. */
template <> class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(Failure &&failure) noexcept : failure_(std::move(failure)) {}

    bool ok() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return ok(); }
    Status status() const noexcept { return ok() ? Status::ok : failure_->status(); }
    /* Throws the failure's Error where there is one. */
    void value() const {
        if (!ok())
            throw_failure(*failure_);
    }
    const Failure &failure() const & noexcept { return *failure_; }
    Failure &&failure() && noexcept { return std::move(*failure_); }

  private:
    std::optional<Failure> failure_;
};

} // namespace cyborg_kms

#endif
