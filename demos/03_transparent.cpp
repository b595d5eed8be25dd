// Transparent switching: code that calls plain sleep() and has never heard of weft becomes cooperative.
#include <cstdio>
#include <vector>

#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include "demo.hpp"

namespace {

constexpr int rounds = 2;

// Stand for somebody else's code: plain POSIX.
void work1() {
    for (int round = 1; round <= rounds; ++round) {
        std::printf("work1 -----%d\n", round);
        ::sleep(1);
    }
}

void work2() {
    for (int round = 1; round <= rounds; ++round) {
        std::printf("work2 -----%d\n", round);
        ::usleep(1'000'000);
    }
}

void both() {
    std::printf("sleep is patched: %s\n", weft::monkey::is_patched("sleep") ? "yes" : "no");
    const demo::stopwatch watch;
    std::vector<weft::task<void>> tasks{weft::spawn(work1), weft::spawn(work2)};
    weft::joinall(tasks);
    std::printf("%.0f s\n\n", watch.seconds());
}

}  // namespace

int main(int argc, char** argv) {
    if (demo::unwanted_arguments(argc, argv)) return 2;
    both();
    if (!weft::monkey::patch_all()) return 1;  // it has said why
    both();
}
