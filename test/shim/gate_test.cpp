// weft/monkey.hpp: when calls go through weft, and when straight on to libc.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <unistd.h>

#include <weft/error.hpp>
#include <weft/hub.hpp>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using weft::monkey::area;

namespace {

/// Whether other tasks run while `call` waits.
template <class Call>
bool parks(Call call) {
    bool ran = false;
    auto other = weft::spawn([&] { ran = true; });
    call();
    const bool parked = ran;
    other.join();
    return parked;
}

struct range {
    std::uintptr_t begin = 0, end = 0;
    std::uintptr_t overlap(const range& other) const {
        const auto from = std::max(begin, other.begin), to = std::min(end, other.end);
        return from < to ? to - from : 0;
    }
};

/// Of the shim in memory: what its file has as data, and what of that the loader itself makes read-only.
struct shim_data {
    range data, relocated;
};

int find_shim(dl_phdr_info* info, std::size_t, void* p) {
    if (!std::strstr(info->dlpi_name, "libweft-shim")) return 0;
    auto& found = *static_cast<shim_data*>(p);
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        const range where{info->dlpi_addr + part.p_vaddr, info->dlpi_addr + part.p_vaddr + part.p_memsz};
        if (part.p_type == PT_LOAD && (part.p_flags & PF_W) != 0) found.data = where;
        if (part.p_type == PT_GNU_RELRO) found.relocated = where;
    }
    return 1;
}

void short_poll() { ::poll(nullptr, 0, 3); }
void short_sleep() { ::usleep(3'000); }
void short_read() {
    auto s = test::unix_pair();
    test::set_timeout(s[0], SO_RCVTIMEO, 3);
    char b;
    CHECK(::read(s[0], &b, 1) == -1);
}
void short_receive() {
    auto s = test::unix_pair();
    test::set_timeout(s[0], SO_RCVTIMEO, 3);
    char b;
    CHECK(::recv(s[0], &b, 1, 0) == -1);
}

}  // namespace

HUB_TEST("calls pass through until they are patched, and again when they are unpatched") {
    for (int round = 0; round < 2; ++round) {
        CHECK_FALSE(parks(short_poll));
        CHECK_FALSE(parks(short_sleep));
        CHECK_FALSE(parks(short_read));
        CHECK_FALSE(parks(short_receive));
        const test::patched now;
        CHECK(parks(short_poll));
        CHECK(parks(short_sleep));
        CHECK(parks(short_read));
        CHECK(parks(short_receive));
    }
}

HUB_TEST("one area may be patched alone, and is_patched tells") {
    const char* const names[] = {"poll", "usleep", "read", "recv", "getaddrinfo"};
    const area areas[] = {area::poll, area::time, area::fd, area::socket, area::dns};
    for (int i = 0; i < 5; ++i) {
        CHECK(weft::monkey::patch(areas[i]));
        for (int k = 0; k < 5; ++k) {
            CHECK(weft::monkey::is_patched(areas[k]) == (k == i));
            CHECK(weft::monkey::is_patched(names[k]) == (k == i));
        }
        CHECK(parks(short_poll) == (i == 0));
        CHECK(parks(short_sleep) == (i == 1));
        CHECK(parks(short_read) == (i == 2));
        CHECK(parks(short_receive) == (i == 3));
        weft::monkey::unpatch_all();
    }
    CHECK(weft::monkey::patch({area::time, area::poll}));
    CHECK(weft::monkey::is_patched("time"));
    CHECK(weft::monkey::is_patched("poll"));
    CHECK_FALSE(weft::monkey::is_patched("socket"));
    CHECK_FALSE(weft::monkey::is_patched("no such call"));
    CHECK_FALSE(weft::monkey::is_patched(""));
    weft::monkey::unpatch_all();
}

HUB_TEST("the forms that compilers make of calls are patched with them") {
    for (const char* name : {"__read_chk", "__recv_chk", "__recvfrom_chk", "__poll_chk", "__ppoll_chk", "fcntl64"}) {
        CAPTURE(name);
        CHECK_FALSE(weft::monkey::is_patched(name));
        const test::patched now;
        CHECK(weft::monkey::is_patched(name));
    }
}

HUB_TEST("original<> is libc's own function") {
    void* const libc = ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    REQUIRE(libc != nullptr);
    const test::patched now;
    CHECK(reinterpret_cast<void*>(weft::monkey::original<&::read>()) == ::dlsym(libc, "read"));
    CHECK(reinterpret_cast<void*>(weft::monkey::original<&::poll>()) == ::dlsym(libc, "poll"));
    CHECK_FALSE(parks([] { weft::monkey::original<&::usleep>()(3'000); }));
    CHECK_THROWS_AS(weft::monkey::original<&::getpid>(), std::invalid_argument);
    ::dlclose(libc);
}

HUB_TEST("the table of originals is read-only") {
    shim_data shim;
    REQUIRE(dl_iterate_phdr(find_shim, &shim) == 1);
    std::uintptr_t guarded = 0;
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        range where;
        char mode[5] = {};
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &where.begin, &where.end, mode) != 3 || mode[1] == 'w') continue;
        guarded += where.overlap(shim.data) - where.overlap(shim.relocated);
    }
    // A page for each 512 calls, and the rest of the data can be written.
    CHECK(guarded >= 4096);
    CHECK(guarded < shim.data.end - shim.data.begin);
}

HUB_TEST("a native scope blocks the thread, for its own fiber only, and may be nested") {
    const test::patched now;
    {
        const weft::monkey::native_scope outer;
        CHECK_FALSE(parks(short_poll));
        {
            const weft::monkey::native_scope inner;
            CHECK_FALSE(parks(short_poll));
        }
        CHECK_FALSE(parks(short_sleep));
        CHECK_FALSE(parks([] { weft::shim::usleep(3'000); }));
        CHECK(weft::spawn([] { return parks(short_poll); }).get());
    }
    CHECK(parks(short_poll));
}

HUB_TEST("calls in plain threads and in callbacks of the hub are libc's own; by weft's names they are refused there") {
    const test::patched now;
    std::thread{[] {
        const auto start = std::chrono::steady_clock::now();
        CHECK(::usleep(5'000) == 0);
        CHECK(std::chrono::steady_clock::now() - start >= 5ms);
        short_read();
    }}.join();
    bool slept = false, refused = false, ran_meanwhile = false;
    weft::hub::current().post([&] {
        weft::spawn([&] { ran_meanwhile = true; });
        slept = ::usleep(2'000) == 0 && !ran_meanwhile;
        try {
            weft::shim::usleep(2'000);
        } catch (const weft::blocking_in_hub&) {
            refused = true;
        }
    });
    weft::sleep_for(20ms);
    CHECK(slept);
    CHECK(refused);
    CHECK(ran_meanwhile);
}

HUB_TEST("a descriptor of before the patch is served, and a task parked at an unpatch stays parked") {
    auto s = test::unix_pair();
    const test::patched now;
    long got = 0;
    auto reader = weft::spawn([&] {
        char b;
        got = ::read(s[0], &b, 1);
    });
    weft::sleep_for(2ms);
    weft::monkey::unpatch_all();
    weft::sleep_for(2ms);
    CHECK_FALSE(reader.ready());
    CHECK(::write(s[1], "x", 1) == 1);
    CHECK(reader.join(1s));
    CHECK(got == 1);
}
