// Linked with libc before the shim: its calls arrive only because patch_all() redirects them.
#include <cstdio>
#include <cstring>

#include <dlfcn.h>
#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

int main() {
    // What the program finds is not the shim's but libc's, or a sanitizer's, or this shows nothing.
    Dl_info found{};
    dladdr(dlsym(RTLD_DEFAULT, "usleep"), &found);
    const bool wrong = !std::strstr(found.dli_fname, "libweft-shim");
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
