// Opening without blocking; the callbacks of log and audit.
#include "support.hpp"

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;

class Async : public testing::Test {
  protected:
    Folder folder;
    kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
};

TEST_F(Async, AFutureGivesTheIndexOrThrows) {
    engine.create_index("a", "prod");
    const kms::Index index = engine.open_index_async("a").get();
    EXPECT_STREQ(index.name(), "a");
    EXPECT_THROW(engine.open_index_async("b").get(), kms::NotFoundError);
    EXPECT_THROW(engine.open_index_async(std::string("a\0b", 3)).get(), kms::InvalidArgumentError);
    EXPECT_THROW(engine.open_index_async({}).get(), kms::InvalidArgumentError);
    const kms::SecretKey kek = kms::SecretKey::random();
    engine.create_index_with_key("none", {}, kek);
    kms::OpenOptions options;
    options.kek = kek;
    EXPECT_STREQ(engine.open_index_async("none", options).get().provider(), "none");
}

TEST_F(Async, ACallbackOwnsWhatItGets) {
    engine.create_index("a", "prod");
    std::promise<std::string> name;
    auto only_moved = std::make_unique<int>(7);
    engine.open_index_async(
        "a", {}, [&name, only_moved = std::move(only_moved)](kms::Result<kms::Index> opened) {
            name.set_value(opened ? std::string(opened->name()) + std::to_string(*only_moved)
                                  : opened.failure().message());
        });
    EXPECT_EQ(name.get_future().get(), "a7");
}

TEST_F(Async, WhatACallbackThrowsIsDropped) {
    std::promise<kms::Status> status;
    engine.open_index_async("b", {}, [&](kms::Result<kms::Index> opened) {
        status.set_value(opened.status());
        throw std::runtime_error("nobody catches this");
    });
    EXPECT_EQ(status.get_future().get(), kms::Status::not_found);
}

TEST_F(Async, MayDestroyTheLastEngineInACallback) {
    engine.create_index("a", "prod");
    auto last = std::make_unique<kms::Engine>(std::move(engine));
    engine = kms::Engine::open_yaml("{}");
    std::promise<void> done;
    const kms::Engine &opener = *last;
    std::promise<void> started;
    opener.open_index_async("a", {},
                            [&, gate = started.get_future()](kms::Result<kms::Index> opened) mutable {
                                gate.wait();
                                EXPECT_TRUE(opened.ok());
                                last.reset();
                                done.set_value();
                            });
    started.set_value();
    done.get_future().wait();
    EXPECT_EQ(last, nullptr);
}

TEST(Log, LinesAreHeardUntilItEnds) {
    std::atomic<int> heard{0};
    std::atomic<bool> json_fields{true};
    kms::set_log_callback(kms::LogLevel::trace, [&](kms::LogLevel level, const char *target,
                                                    const char *message, const char *fields) {
        heard += level != kms::LogLevel::off && *target != 0 && *message != 0 ? 1 : 0;
        json_fields = json_fields && json::accept(fields);
        throw std::runtime_error("what a log callback throws is dropped");
    });
    Folder folder;
    const kms::Engine engine = kms::Engine::open_yaml(configuration(folder));
    engine.create_index("a", "prod");
    EXPECT_GT(heard, 0);
    EXPECT_TRUE(json_fields);
    kms::set_log_callback(kms::LogLevel::off, [&](auto...) { ++heard; });
    const int before = heard;
    engine.create_index("b", "prod");
    EXPECT_EQ(heard, before);
    kms::set_log_callback(kms::LogLevel::info, nullptr);
    engine.create_index("c", "prod");
    EXPECT_EQ(heard, before);
}

TEST(Audit, EventsAreHeardUntilTheLastEngineEnds) {
    Folder folder;
    std::mutex mutex;
    std::vector<json> events;
    const auto hear = [&](const char *event) {
        const std::lock_guard<std::mutex> lock(mutex);
        events.push_back(json::parse(event));
        throw std::runtime_error("what an audit callback throws is dropped");
    };
    const auto taken = [&] {
        const std::lock_guard<std::mutex> lock(mutex);
        return std::exchange(events, {});
    };
    std::optional<kms::Engine> engine(kms::Engine::open_yaml(configuration(folder)));
    engine->set_audit_callback(hear);
    const kms::Index index = engine->create_index("a", "prod");
    EXPECT_FALSE(taken().empty());
    kms::ScopeOptions options;
    options.principal = "job 7";
    std::optional<kms::Scope> scope(engine->scope(options));
    scope->create_index("b", "prod");
    const std::vector<json> of_scope = taken();
    ASSERT_FALSE(of_scope.empty());
    EXPECT_EQ(of_scope.front()["principal"], "job 7");
    engine.reset();
    scope->create_index("c", "prod");
    EXPECT_FALSE(taken().empty()) << "a scope is left";
    scope.reset();
    index.refresh();
    EXPECT_TRUE(taken().empty()) << "the last engine ended it";
    engine = kms::Engine::open_yaml(configuration(folder));
    engine->set_audit_callback(hear);
    engine->set_audit_callback(nullptr);
    engine->create_index("d", "prod");
    EXPECT_TRUE(taken().empty());
}

TEST(Audit, ALogIsVerified) {
    Folder folder;
    {
        const kms::Engine engine =
            kms::Engine::open_yaml("audit: {path: " + folder.at("audit.log") + "}\n" + configuration(folder));
        engine.create_index("a", "prod");
        engine.create_index("b", "prod");
    }
    const std::string head(kms::audit_head(folder.at("audit.log")).text());
    const kms::AuditReport whole = kms::audit_verify(folder.at("audit.log"), {}, head);
    EXPECT_TRUE(whole.intact);
    EXPECT_TRUE(json::parse(whole.json.text())["fault"].is_null());
    std::string text = file(folder.at("audit.log"));
    text[text.find("\"a\"") + 1] = 'x';
    std::ofstream(folder.at("audit.log"), std::ios::trunc) << text;
    const kms::AuditReport changed = kms::audit_verify(folder.at("audit.log"));
    EXPECT_FALSE(changed.intact);
    EXPECT_FALSE(json::parse(changed.json.text())["fault"].is_null());
    EXPECT_THROW(kms::audit_verify(folder.at("none.log")), kms::NotFoundError);
    EXPECT_EQ(kms::try_audit_verify(folder.at("audit.log"), "short").status(), kms::Status::invalid_argument);
    const std::vector<std::uint8_t> no_key; // is no key, not the wish for none
    EXPECT_EQ(kms::try_audit_verify(folder.at("audit.log"), no_key).status(), kms::Status::invalid_argument);
    EXPECT_THROW(kms::audit_head(folder.at("none.log")), kms::NotFoundError);
}

} // namespace
