// The binding has everything that the installed header declares.
#include "support.hpp"

#include <regex>
#include <set>

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

Names found(const std::string &text, const std::string &pattern) {
    Names names;
    const std::regex expression(pattern, std::regex::ECMAScript | std::regex::multiline);
    for (std::sregex_iterator match(text.begin(), text.end(), expression), end; match != end; ++match) {
        for (std::size_t group = 1; group < match->size(); ++group) {
            if ((*match)[group].matched)
                names.insert((*match)[group].str());
        }
    }
    return names;
}

std::string without_comments(const std::string &text) {
    return std::regex_replace(text, std::regex("//.*"), "");
}

// Functions, constants with a value, and fields of structs.
Names declared(const std::string &header) {
    Names names = found(header, "\\b(cyborg_kms_\\w+)\\(");
    names.merge(found(header, "^#define (CYBORG_KMS_\\w+) ."));
    const std::regex structs("typedef struct \\{([^}]*)\\}");
    for (std::sregex_iterator match(header.begin(), header.end(), structs), end; match != end; ++match) {
        const std::string body = (*match)[1].str();
        names.merge(found(body, "\\(\\*(\\w+)\\)|(\\w+);"));
    }
    return names;
}

// The words of the binding, its comments left out: but for what a `using` takes over whole, which the comment
// names.
Names bound() {
    Names words;
    const fs::path folder(CYBORG_KMS_INCLUDE);
    for (const fs::directory_entry &entry : fs::directory_iterator(folder / "cyborg_kms")) {
        const std::string text = std::regex_replace(file(entry.path()), std::regex("/\\*[^]*?\\*/"), "");
        words.merge(found(without_comments(text), "(\\w+)"));
    }
    return words;
}

Names lacking(const Names &wanted, const Names &words) {
    // Stats is the C struct itself.
    const Names stats = declared(
        "typedef struct {" +
        std::regex_replace(without_comments(file(fs::path(CYBORG_KMS_INCLUDE) / "cyborg_kms.h")),
                           std::regex("[^]*?typedef struct \\{([^}]*)\\} cyborg_kms_stats;[^]*"), "$1") +
        "}");
    Names missing;
    for (const std::string &name : wanted) {
        if (words.count(name) == 0 && stats.count(name) == 0)
            missing.insert(name);
    }
    return missing;
}

TEST(Completeness, EverythingOfTheHeaderIsBound) {
    const std::string header = without_comments(file(fs::path(CYBORG_KMS_INCLUDE) / "cyborg_kms.h"));
    const Names wanted = declared(header);
    const Names exports = found(file(fs::path(CYBORG_KMS_SOURCE) / "tests/c/exports.txt"), "(\\w+)");
    for (const std::string &name : exports)
        EXPECT_EQ(wanted.count(name), 1U) << name << " was not read from the header";
    EXPECT_GT(wanted.size(), exports.size() + 70);
    const Names words = bound();
    // NULL is a view's beginning, not a name to bind.
    EXPECT_EQ(lacking(wanted, words), Names()) << "bind these in bindings/cpp";
    const Names more =
        declared(header + "\n#define CYBORG_KMS_NEW 99\ntypedef struct {\n size_t new_field;\n} n;\n"
                          "void *cyborg_kms_newer(void);\n");
    EXPECT_EQ(lacking(more, words), (Names{"CYBORG_KMS_NEW", "cyborg_kms_newer", "new_field"}))
        << "the check itself misses some";
}

// Each status has its class by name, not only its number.
TEST(Completeness, EachStatusHasAClass) {
    const std::string header = without_comments(file(fs::path(CYBORG_KMS_INCLUDE) / "cyborg_kms.h"));
    const std::string errors = file(fs::path(CYBORG_KMS_INCLUDE) / "cyborg_kms/error.hpp");
    std::size_t statuses = 0;
    for (cyborg_kms_status number = 1; std::string(cyborg_kms_status_name(number)) != "UNKNOWN"; ++number) {
        std::string lower;
        for (const char *at = cyborg_kms_status_name(number); *at != 0; ++at)
            lower += static_cast<char>(std::tolower(*at));
        EXPECT_NE(errors.find("Error = ErrorOf<Status::" + lower + ">"), std::string::npos) << lower;
        EXPECT_NE(errors.find("case Status::" + lower + ":"), std::string::npos) << lower;
        ++statuses;
    }
    EXPECT_EQ(statuses, 21U);
    EXPECT_NE(header.find("#define CYBORG_KMS_EXPIRED 21"), std::string::npos);
}

} // namespace
