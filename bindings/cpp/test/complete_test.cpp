// The binding has everything that the installed header declares.
#include "support.hpp"

#include <cctype>
#include <set>
#include <sstream>

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

bool in_word(char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

// Every word of a text and what stands behind it.
template <class F> void each_word(const std::string &text, F &&found) {
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        while (end < text.size() && in_word(text[end]))
            ++end;
        if (end > at)
            found(text.substr(at, end - at), end < text.size() ? text[end] : '\0');
        at = std::max(end, at + 1);
    }
}

// Takes everything between two marks out, the marks, too.
std::string without(std::string text, const std::string &begin, const std::string &end) {
    for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at))
        text.erase(at, text.find(end, at + begin.size()) + end.size() - at);
    return text;
}

std::string code_of(const fs::path &path) {
    return without(without(file(path), "//", "\n"), "/*", "*/");
}

// A field's name: of `size_t x`, or of a pointer to a function.
std::string field_of(const std::string &declaration) {
    const std::size_t pointer = declaration.find("(*");
    std::string name;
    each_word(pointer == std::string::npos ? declaration
                                           : declaration.substr(pointer, declaration.find(')') - pointer),
              [&](const std::string &word, char) { name = word; });
    return name;
}

Names fields_of(const std::string &header) {
    Names names;
    const std::string begin = "typedef struct {";
    for (std::size_t at = header.find(begin); at != std::string::npos; at = header.find(begin, at + 1)) {
        const std::size_t body = at + begin.size();
        std::istringstream declarations(header.substr(body, header.find('}', body) - body));
        for (std::string one; std::getline(declarations, one, ';');)
            names.insert(field_of(one));
    }
    names.erase("");
    return names;
}

struct Declared {
    Names functions;
    Names constants;
    Names fields;
};

Declared declared(const std::string &header) {
    Declared declared;
    each_word(header, [&](const std::string &word, char next) {
        if (word.rfind("cyborg_kms_", 0) == 0 && next == '(')
            declared.functions.insert(word);
    });
    std::istringstream lines(header);
    std::string define, name, value;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream parts(line);
        if (parts >> define >> name >> value && define == "#define")
            declared.constants.insert(name);
    }
    declared.fields = fields_of(header);
    return declared;
}

// The words of the binding's code.
Names bound(const fs::path &folder) {
    Names words;
    for (const fs::directory_entry &entry : fs::directory_iterator(folder / "cyborg_kms"))
        each_word(code_of(entry.path()), [&](const std::string &word, char) { words.insert(word); });
    return words;
}

Names lacking(const Declared &wanted, const Names &words) {
    Names missing;
    for (const Names &names : {wanted.functions, wanted.constants, wanted.fields}) {
        for (const std::string &name : names) {
            if (words.count(name) == 0)
                missing.insert(name);
        }
    }
    return missing;
}

TEST(Completeness, EverythingOfTheHeaderIsBound) {
    const fs::path folder(CYBORG_KMS_INCLUDE);
    const std::string header = code_of(folder / "cyborg_kms.h");
    const Declared wanted = declared(header);
    std::istringstream listed(file(fs::path(CYBORG_KMS_SOURCE) / "tests/c/exports.txt"));
    Names exports;
    for (std::string name; listed >> name;)
        exports.insert(name);
    EXPECT_EQ(wanted.functions, exports) << "read from the header, and exported";
    EXPECT_GT(wanted.constants.size(), 40U);
    EXPECT_GT(wanted.fields.size(), 25U);
    const Names words = bound(folder);
    EXPECT_EQ(lacking(wanted, words), Names()) << "bind these in bindings/cpp";
    const Declared more =
        declared(header + "\n#define CYBORG_KMS_NEW 99\n"
                          "typedef struct {\n size_t new_field;\n void (*new_call)(int x);\n} n;\n"
                          "void *cyborg_kms_newer(void);\n");
    EXPECT_EQ(lacking(more, words), (Names{"CYBORG_KMS_NEW", "cyborg_kms_newer", "new_call", "new_field"}))
        << "the check itself misses some";
}

// Each status has its class by name, not only its number.
TEST(Completeness, EachStatusHasAClass) {
    const std::string errors = code_of(fs::path(CYBORG_KMS_INCLUDE) / "cyborg_kms/error.hpp");
    std::size_t statuses = 0;
    for (cyborg_kms_status number = 1; std::string(cyborg_kms_status_name(number)) != "UNKNOWN"; ++number) {
        std::string lower;
        for (const char *at = cyborg_kms_status_name(number); *at != 0; ++at)
            lower += static_cast<char>(std::tolower(*at));
        EXPECT_NE(errors.find("Error = ErrorOf<Status::" + lower + ">"), std::string::npos) << lower;
        EXPECT_NE(errors.find("case Status::" + lower + ":"), std::string::npos) << lower;
        ++statuses;
    }
    EXPECT_GE(statuses, 21U);
}

} // namespace
