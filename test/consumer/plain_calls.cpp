// Plain sleep() and read() in tasks, after patch_all(). Status 0: the calls parked their tasks;
// 3: patch_all() returned false; 1: it returned true and the calls blocked the thread all the same.
#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include <array>
#include <chrono>
#include <cstdio>

#include <unistd.h>

int main() {
    if (!weft::monkey::patch_all()) return 3;

    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return 1;
    alarm(10);  // a reader that blocks the thread waits for ever: its writer is a task of the same thread

    auto start = std::chrono::steady_clock::now();
    auto reader = weft::spawn([&] {
        char letter = 0;
        return read(ends[0], &letter, 1) == 1 && letter == 'w';
    });
    auto first = weft::spawn([] { return sleep(1); });
    auto second = weft::spawn([] { return sleep(1); });
    auto writer = weft::spawn([&] { return write(ends[1], "w", 1) == 1; });

    bool right = reader.get() && writer.get() && first.get() == 0 && second.get() == 0;
    auto took = std::chrono::steady_clock::now() - start;
    bool together = took >= std::chrono::milliseconds{990} && took < std::chrono::milliseconds{1800};

    std::printf("right %d, together %d\n", right, together);
    return right && together ? 0 : 1;
}
