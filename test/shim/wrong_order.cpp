// Linked with libc before the shim: its calls arrive only because patch_all() redirects them.
#include <cstdio>

#include <dlfcn.h>
#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

int main() {
    // What the program finds is libc's, or this shows nothing.
    void* const libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    const bool wrong = dlsym(RTLD_DEFAULT, "usleep") == dlsym(libc, "usleep");
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
    std::printf("wrong order %d, before %d, patched %d, after %d\n", wrong, before, patched, after);
    return wrong && !before && patched && after ? 0 : 1;
}
