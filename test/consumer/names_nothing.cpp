// A program that has never heard of weft; a library it links makes its own sleep() park.
#include "quiet.hpp"

#include <chrono>
#include <cstdio>

#include <unistd.h>

int main() {
    bool patched = quiet_start();
    auto start = std::chrono::steady_clock::now();
    quiet_run([] { sleep(1); }, 3);
    auto took = std::chrono::steady_clock::now() - start;
    bool together = took >= std::chrono::milliseconds{990} && took < std::chrono::milliseconds{1800};

    std::printf("patched %d, together %d\n", patched, together);
    return patched && together ? 0 : 1;
}
