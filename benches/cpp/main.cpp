// What a call from C++ costs over the same call from C, by turns in one run: `make bench`.
#include "c_api.h"

#include <cyborg_kms.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace {

namespace kms = cyborg_kms;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds span(200);
constexpr int rounds = 601;
// "None that can be measured": two runs of the same C calls, the first row, differ by as much on an idle
// machine.
constexpr double asked = 5;

// The nanoseconds of one of so many calls.
template <class F> double each(F &&work, std::uint64_t calls) {
    const Clock::time_point begin = Clock::now();
    work(calls);
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() /
           static_cast<double>(calls);
}

// How many calls take about a round; 1 at least.
template <class F> std::uint64_t calls_in_a_round(F &&work) {
    for (std::uint64_t calls = 1;; calls *= 2) {
        const Clock::time_point begin = Clock::now();
        work(calls);
        if (Clock::now() - begin >= span || calls >= 1U << 20)
            return calls;
    }
}

double median(std::vector<double> figures) {
    std::sort(figures.begin(), figures.end());
    return figures[figures.size() / 2];
}

// Prints a row: the medians of C and C++, and of what C++ adds in neighbouring rounds.
template <class C, class Cpp> void compare(const char *work, C &&c, Cpp &&cpp) {
    const std::uint64_t calls = calls_in_a_round(c);
    std::vector<double> of_c, of_cpp, more;
    for (int round = 0; round < rounds; ++round) {
        double one = 0, other = 0;
        if (round % 2 == 0) { // who goes first changes
            one = each(c, calls);
            other = each(cpp, calls);
        } else {
            other = each(cpp, calls);
            one = each(c, calls);
        }
        of_c.push_back(one);
        of_cpp.push_back(other);
        more.push_back(other - one);
    }
    std::printf("| %s | %.0f ns | %.0f ns | %.1f ns | <= %.0f ns | %s |\n", work, median(of_c),
                median(of_cpp), median(more), asked, median(more) > asked ? "NOT MET" : "met");
}

void run(const std::string &folder) {
    const std::string yaml = "{kms: {registry: {prod: {provider: local, key_id: " + folder +
                             "/wrap.key, create: true}}}, cache: {ttl: 1h}}";
    c_open(yaml.c_str());
    const kms::Index index(cyborg_kms_index_retain(sealing));
    const kms::Engine cpp_engine = kms::Engine::open_yaml(yaml);
    cpp_engine.create_index("customers", "prod");

    std::puts("\n| C++ over C | C | C++ | more | asked | |\n| --- | ---: | ---: | ---: | ---: | --- |");
    compare("the same calls from C twice: what can't be measured", c_seal, c_seal);
    compare("seal 4 KiB from C++", c_seal, [&](std::uint64_t calls) {
        for (; calls > 0; --calls)
            index.encrypt("page 1", page, sealed);
    });
    compare("open 4 KiB from C++", c_unseal, [&](std::uint64_t calls) {
        for (; calls > 0; --calls)
            index.decrypt("page 1", sealed, page);
    });
    compare("open a cached index from C++, destroy it", c_open_cached, [&](std::uint64_t calls) {
        for (; calls > 0; --calls)
            static_cast<void>(cpp_engine.open_index("customers"));
    });
}

} // namespace

int main() {
    std::string folder = (std::filesystem::temp_directory_path() / "cyborg-kms-bench-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr)
        return 1;
    int failed = 0;
    try {
        run(folder);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "bench: %s\n", error.what());
        failed = 1;
    }
    std::filesystem::remove_all(folder);
    return failed;
}
