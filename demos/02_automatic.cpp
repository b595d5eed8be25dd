// Automatic switching: tasks wait, and the scheduler runs whoever is ready meanwhile.
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <weft/weft.hpp>

#include "demo.hpp"

using namespace std::chrono_literals;

namespace {

std::string eat() {
    std::puts("eating 1");
    weft::sleep_for(1s);
    std::puts("eating 2");
    return "eat finished";
}

std::string play() {
    std::puts("playing 1");
    weft::sleep_for(1s);
    std::puts("playing 2");
    return "play finished";
}

void worker(const char* name, bool yields) {
    for (int round = 0; round < 5; ++round) {
        std::printf("%s %d\n", name, round);
        if (yields) weft::yield();
    }
}

void three_workers(bool yields) {
    std::vector<weft::task<void>> workers;
    for (const char* name : {"g1", "g2", "g3"}) workers.push_back(weft::spawn(worker, name, yields));
    weft::joinall(workers);
}

}  // namespace

int main(int argc, char** argv) {
    if (demo::unwanted_arguments(argc, argv)) return 2;

    const demo::stopwatch watch;
    std::vector<weft::task<std::string>> tasks{weft::spawn(eat), weft::spawn(play)};
    weft::joinall(tasks);
    for (auto& each : tasks) std::puts(each.get().c_str());
    std::printf("both slept 1 s, together they took %.1f s\n", watch.seconds());

    std::puts("\nthree workers that never wait run one after the other:");
    three_workers(false);
    std::puts("\nthe same with a yield after each line take turns:");
    three_workers(true);
}
