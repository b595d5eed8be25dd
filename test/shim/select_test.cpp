// select and pselect.
#include <cstring>
#include <vector>

#include <sys/resource.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::later;

namespace {

/// Three sets at once, whose content is noted after each call.
struct sets {
    sets() {
        for (auto& set : all) FD_ZERO(&set);
    }
    fd_set all[3];  // to read, to write, odd

    void note(test::journal& out, std::initializer_list<int> fds) const {
        int bits = 0;
        for (const int fd : fds)
            for (const auto& set : all) bits = bits * 2 + (fd >= 0 && FD_ISSET(fd, &set) ? 1 : 0);
        out.value("bits", bits);
    }
};

}  // namespace

DIFFERENTIAL("select waits, keeps what is ready and tells the time that is left") {
    auto s = test::unix_pair();
    auto t = test::tcp_pair();
    const int count = std::max<int>({s[0], s[1], t[0], t[1]}) + 1;
    const auto run = [&](const char* what, timeval limit, auto fill) {
        sets asked;
        fill(asked);
        out(what, [&] { return c.select(count, &asked.all[0], &asked.all[1], &asked.all[2], &limit); });
        asked.note(out, {s[0], s[1], t[0]});
        out.value("some is left", limit.tv_sec * 10 + limit.tv_usec / 100'000);
    };
    const auto to_read = [&](sets& asked) { FD_SET(s[0], &asked.all[0]), FD_SET(t[0], &asked.all[2]); };
    run("nothing in time", {0, 50'000}, to_read);
    run("nothing, now", {0, 0}, to_read);
    {
        const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        run("to read", {2, 50'000}, to_read);
    }
    run("to write", {1, 0}, [&](sets& asked) {
        FD_SET(s[0], &asked.all[1]), FD_SET(s[0], &asked.all[0]), FD_SET(s[1], &asked.all[0]);
    });
    {
        const later urge{c, 30ms, [&] { CHECK(::send(t[1], "!", 1, MSG_OOB) == 1); }};
        run("odd", {1, 50'000}, [&](sets& asked) { FD_SET(t[0], &asked.all[2]); });
    }
    run("microseconds beyond a second", {0, 1'040'000}, [&](sets& asked) { FD_SET(s[0], &asked.all[0]); });
    const later close{c, 30ms, [&] { s[0].close(); }};
    run("the peer has gone", {1, 0}, [&](sets& asked) { FD_SET(s[1], &asked.all[0]); });
}

DIFFERENTIAL("select without sets or time, and with bad ones") {
    timeval limit{0, 40'000};
    out("a sleep", [&] { return c.select(0, nullptr, nullptr, nullptr, &limit); });
    out.value("left", limit.tv_usec);
    limit = {0, -1};
    out("a negative time", [&] { return c.select(0, nullptr, nullptr, nullptr, &limit); });
    limit = {0, 10'000};
    out("a negative count", [&] { return c.select(-1, nullptr, nullptr, nullptr, &limit); });
    auto s = test::unix_pair();
    const int gone = ::dup(s[0]);
    ::close(gone);
    sets asked;
    FD_SET(gone, &asked.all[0]);
    FD_SET(s[0], &asked.all[0]);
    FD_SET(s[0], &asked.all[1]);
    out("a closed one", [&] { return c.select(gone + 1, &asked.all[0], &asked.all[1], nullptr, &limit); });
    asked.note(out, {gone, s[0]});
    sets files;
    FD_SET(0, &files.all[2]);
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    sets never;
    FD_SET(file, &never.all[2]);
    limit = {0, 40'000};
    out("a file is never odd", [&] { return c.select(file + 1, nullptr, nullptr, &never.all[2], &limit); });
    FD_SET(file, &never.all[0]);
    out("it is readable", [&] { return c.select(file + 1, &never.all[0], nullptr, nullptr, nullptr); });
    ::close(file);
}

// getdtablesize() is a customary count. The kernel looks at no more of the sets than it has descriptors for.
DIFFERENTIAL("select with a count far beyond the sets leaves what lies behind them alone") {
    auto s = test::unix_pair();
    CHECK(::write(s[1], "x", 1) == 1);
    std::vector<fd_set> sets(130);
    std::memset(sets.data(), 0xff, sets.size() * sizeof(fd_set));
    FD_ZERO(&sets[0]);
    FD_SET(s[0], &sets[0]);
    timeval limit{0, 50'000};
    out("select", [&] { return c.select(1024 * 100, sets.data(), nullptr, nullptr, &limit); });
    out.value("ready", FD_ISSET(s[0], &sets[0]));
    std::size_t touched = 0;
    for (std::size_t i = 1; i < sets.size(); ++i)
        for (const unsigned char byte : std::string(reinterpret_cast<char*>(&sets[i]), sizeof(fd_set)))
            touched += byte != 0xff;
    out.value("bytes changed behind it", static_cast<std::int64_t>(touched));
}

DIFFERENTIAL("select beyond FD_SETSIZE") {
    auto s = test::unix_pair();
    rlimit limit{};
    CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const int high = ::fcntl(s[0], F_DUPFD_CLOEXEC, 1500);
    if (high < 0) return out.value("the limit does not allow it", 1);
    std::vector<fd_set> bits(4);
    std::memset(bits.data(), 0, bits.size() * sizeof(fd_set));
    auto* const words = reinterpret_cast<unsigned long*>(bits.data());
    words[high / 64] |= 1UL << (high % 64);
    {
        const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
        out("select", [&] { return c.select(high + 1, bits.data(), nullptr, nullptr, nullptr); });
    }
    out.value("its bit", (words[high / 64] >> (high % 64)) & 1);
    ::close(high);
}

DIFFERENTIAL("pselect") {
    auto s = test::unix_pair();
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s[0], &set);
    timespec limit{0, 40'000'000};
    sigset_t mask;
    sigemptyset(&mask);
    out("in vain", [&] { return c.pselect(s[0] + 1, &set, nullptr, nullptr, &limit, &mask); });
    out.value("its limit is as it was", limit.tv_nsec);
    out.value("the set is empty", FD_ISSET(s[0], &set));
    FD_SET(s[0], &set);
    const later write{c, 30ms, [&] { CHECK(::write(s[1], "x", 1) == 1); }};
    out("to read", [&] { return c.pselect(s[0] + 1, &set, nullptr, nullptr, nullptr, nullptr); });
    limit = {0, -1};
    out("a bad limit", [&] { return c.pselect(s[0] + 1, &set, nullptr, nullptr, &limit, &mask); });
}

DIFFERENTIAL("sets that are not there") {
    auto s = test::unix_pair();
    auto* const nowhere = reinterpret_cast<fd_set*>(std::uintptr_t{16});
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s[0], &set);
    out("to read", [&] { return c.select(s[0] + 1, nowhere, nullptr, nullptr, nullptr); });
    out("to write", [&] { return c.select(s[0] + 1, &set, nowhere, nullptr, nullptr); });
    out("odd", [&] { return c.select(s[0] + 1, nullptr, nullptr, nowhere, nullptr); });
    out("pselect", [&] { return c.pselect(s[0] + 1, nowhere, nullptr, nullptr, nullptr, nullptr); });
    out.value("the other is as it was", FD_ISSET(s[0], &set));
    timeval limit{0, 20'000};
    out("none of it", [&] { return c.select(0, nowhere, nullptr, nullptr, &limit); });
}
