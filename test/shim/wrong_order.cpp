// Linked with libc before the shim: its calls arrive only because patch_all() redirects them.
#include <cstdio>

#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

int main() {
    const auto parks = [] {
        bool ran = false;
        auto other = weft::spawn([&] { ran = true; });
        usleep(3'000);
        const bool parked = ran;
        other.join();
        return parked;
    };
    const bool before = parks();
    const bool patched = weft::monkey::patch_all();
    const bool after = parks();
    std::printf("before %d, patched %d, after %d\n", before, patched, after);
    return !before && patched && after ? 0 : 1;
}
