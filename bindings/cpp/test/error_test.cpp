// Statuses, failures, results, and the classes that are thrown.
#include "support.hpp"

#include <type_traits>

namespace {

// Every status with its class: what throw_failure throws for it is of that class and of no other.
template <kms::Status status> void expect_class() {
    EXPECT_THROW(kms::throw_failure(kms::Failure(status, "why")), kms::ErrorOf<status>);
    const auto error = thrown<kms::Error>([] { kms::throw_failure(kms::Failure(status, "why")); });
    EXPECT_EQ(error.status(), status);
    EXPECT_EQ(error.message(), "why");
    EXPECT_EQ(std::string(error.what()), std::string(kms::status_name(status)) + ": why");
    EXPECT_EQ(kms::ErrorOf<status>("own").status(), status);
}

TEST(Errors, EachStatusHasItsClass) {
    expect_class<kms::Status::invalid_argument>();
    expect_class<kms::Status::not_found>();
    expect_class<kms::Status::already_exists>();
    expect_class<kms::Status::conflict>();
    expect_class<kms::Status::corrupt>();
    expect_class<kms::Status::unsupported>();
    expect_class<kms::Status::authentication_failed>();
    expect_class<kms::Status::access_denied>();
    expect_class<kms::Status::key_disabled>();
    expect_class<kms::Status::kms_unavailable>();
    expect_class<kms::Status::throttled>();
    expect_class<kms::Status::timeout>();
    expect_class<kms::Status::storage>();
    expect_class<kms::Status::config>();
    expect_class<kms::Status::buffer_too_small>();
    expect_class<kms::Status::internal>();
    expect_class<kms::Status::cancelled>();
    expect_class<kms::Status::key_not_found>();
    expect_class<kms::Status::rolled_back>();
    expect_class<kms::Status::key_set_incomplete>();
    expect_class<kms::Status::expired>();
}

TEST(Errors, AStatusOfANewerLibraryIsAPlainError) {
    const auto error =
        thrown<kms::Error>([] { kms::throw_failure(kms::Failure(static_cast<kms::Status>(4711), "new")); });
    EXPECT_EQ(static_cast<std::uint32_t>(error.status()), 4711U);
    EXPECT_STREQ(error.what(), "UNKNOWN: new");
}

TEST(Errors, CopyingOneThrowsNothingAndKeepsAll) {
    static_assert(std::is_nothrow_copy_constructible_v<kms::NotFoundError>);
    const kms::ThrottledError error("slow down", "ThrottlingException");
    const kms::Error copy = error;
    EXPECT_EQ(copy.status(), kms::Status::throttled);
    EXPECT_EQ(copy.provider_code(), "ThrottlingException");
    EXPECT_EQ(copy.request_id(), "");
    EXPECT_FALSE(copy.is_retryable());
    EXPECT_FALSE(copy.outcome_unknown());
    EXPECT_EQ(copy.retry_after().count(), 0);
}

TEST(Errors, TheLibrarysOwnSayWhatToDo) {
    const kms::Engine engine = kms::Engine::open_yaml("{}");
    const kms::Result<kms::Index> missing = engine.try_open_index("none");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.status(), kms::Status::not_found);
    EXPECT_NE(std::string(missing.failure().message()).find("none"), std::string::npos);
    EXPECT_STREQ(missing.failure().provider_code(), "");
    EXPECT_STREQ(missing.failure().request_id(), "");
    EXPECT_FALSE(missing.failure().is_retryable());
    EXPECT_FALSE(missing.failure().outcome_unknown());
    EXPECT_EQ(missing.failure().retry_after().count(), 0);
    const auto error = thrown<kms::NotFoundError>([&] { engine.open_index("none"); });
    EXPECT_EQ(error.message(), missing.failure().message());
}

TEST(Errors, AFailureWithoutAReasonStillHasAMessage) {
    const kms::Failure failure(CYBORG_KMS_STORAGE, static_cast<cyborg_kms_error *>(nullptr));
    EXPECT_EQ(failure.status(), kms::Status::storage);
    EXPECT_STREQ(failure.message(), "the library gave no reason");
    EXPECT_FALSE(failure.is_retryable());
}

TEST(Results, HoldOneOfBoth) {
    kms::Result<int> value(7);
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(value.status(), kms::Status::ok);
    EXPECT_EQ(*value, 7);
    EXPECT_EQ(value.value(), 7);
    kms::Result<int> none(kms::Failure(kms::Status::conflict, "changed"));
    EXPECT_FALSE(none);
    EXPECT_EQ(none.status(), kms::Status::conflict);
    EXPECT_THROW(none.value(), kms::ConflictError);
    kms::Result<void> done;
    EXPECT_TRUE(done);
    EXPECT_EQ(done.status(), kms::Status::ok);
    done.value();
    const kms::Result<void> failed(kms::Failure(kms::Status::timeout, "late"));
    EXPECT_EQ(failed.status(), kms::Status::timeout);
    EXPECT_THROW(failed.value(), kms::TimeoutError);
}

// The form without exceptions has none, also where memory ends.
TEST(Results, CallsWithoutExceptionsAreNoexcept) {
    const kms::Engine engine = kms::Engine::open_yaml("{}");
    const kms::Index index = engine.create_index_with_key("a", {}, kms::SecretKey::random());
    ByteVector room(100);
    static_assert(noexcept(kms::Engine::try_open("x")) && noexcept(kms::Engine::try_open_yaml("{}")));
    static_assert(noexcept(engine.try_open_index("a")) && noexcept(engine.try_create_index("a", "b")));
    static_assert(noexcept(engine.try_scope()) && noexcept(engine.try_stats()) &&
                  noexcept(engine.try_reload()));
    static_assert(noexcept(engine.try_rotate_index("a", kms::Rotation::kek)) &&
                  noexcept(engine.try_describe_index("a")));
    static_assert(noexcept(index.try_encrypt("", "", room)) && noexcept(index.try_decrypt("", room, room)));
    static_assert(noexcept(index.try_generate_data_key()) && noexcept(index.try_export_kek()));
    static_assert(noexcept(kms::Store::try_open("memory://")) && noexcept(kms::Blob::try_decode(room)));
}

} // namespace
