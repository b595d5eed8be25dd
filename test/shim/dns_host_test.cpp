// gethostbyname and its kin: libc's answers, in the task's own place.
#include <cstring>
#include <vector>

#include <netdb.h>

#include <weft/timeout.hpp>

#include "shim/differential.hpp"
#include "shim/name_server.hpp"

using namespace std::chrono_literals;

namespace {

void note(test::journal& out, const hostent* found) {
    out.value("found", found != nullptr);
    if (!found) return;
    out.bytes("name", found->h_name, std::strlen(found->h_name));
    out.value("family", found->h_addrtype * 100 + found->h_length);
    for (char** at = found->h_aliases; *at; ++at) out.bytes("alias", *at, std::strlen(*at));
    for (char** at = found->h_addr_list; *at; ++at) out.bytes("address", *at, static_cast<std::size_t>(found->h_length));
}

/// Notes what a call without _r finds, and its h_errno.
template <class Call>
void look_up(test::journal& out, const char* what, Call call) {
    h_errno = 77;
    errno = 0;
    const hostent* const found = call();
    out.value(what, found ? 0 : h_errno);
    note(out, found);
    if (found) out.value("errno is kept", errno);
}

/// The same of one with _r, with room of `size` bytes at an odd place.
template <class Call>
void look_up_r(test::journal& out, const char* what, std::size_t size, Call call) {
    std::vector<char> room(size + 3, '?');
    hostent entry{};
    hostent* found = &entry;
    int why = 77;
    errno = 0;
    const int result = call(&entry, room.data() + 3, size, &found, &why);
    out.value(what, result);
    out.value("h_errno", why);
    note(out, found);
    if (found) {
        out.value("it is the caller's entry", found == &entry);
        out.value("and lies in the caller's room", found->h_name >= room.data() && found->h_name < room.data() + room.size());
        out.value("errno is kept", errno);
    }
    out.value("nothing before the room was written", room[0] == '?' && room[2] == '?');
}

constexpr const char* names[] = {"host.weft.test", "alias.weft.test", "many.weft.test", "empty.weft.test", "none.weft.test",
                                 "host",           "localhost",       "127.0.0.1",      "::1",             "127.1"};
const unsigned char known[4] = {10, 1, 2, 3}, loopback[4] = {127, 0, 0, 1}, unknown[4] = {10, 9, 9, 9};

}  // namespace

DIFFERENTIAL("gethostbyname and gethostbyname2") {
    const test::name_server server;
    const test::resolver_of here{server};
    for (const char* name : names) {
        look_up(out, name, [&] { return c.gethostbyname(name); });
        look_up(out, "IPv4", [&] { return c.gethostbyname2(name, AF_INET); });
        look_up(out, "IPv6", [&] { return c.gethostbyname2(name, AF_INET6); });
    }
    look_up(out, "no such family", [&] { return c.gethostbyname2("host.weft.test", 77); });
    look_up(out, "no name", [&] { return c.gethostbyname(""); });
}

DIFFERENTIAL("gethostbyaddr and gethostbyaddr_r") {
    const test::name_server server;
    const test::resolver_of here{server};
    for (const unsigned char* address : {known, loopback, unknown}) {
        look_up(out, "gethostbyaddr", [&] { return c.gethostbyaddr(address, 4, AF_INET); });
        look_up_r(out, "gethostbyaddr_r", 1000, [&](hostent* entry, char* room, size_t size, hostent** found, int* why) {
            return c.gethostbyaddr_r(address, 4, AF_INET, entry, room, size, found, why);
        });
    }
    look_up(out, "a wrong size", [&] { return c.gethostbyaddr(known, 3, AF_INET); });
    look_up(out, "a wrong family", [&] { return c.gethostbyaddr(known, 4, 77); });
}

DIFFERENTIAL("gethostbyname_r and gethostbyname2_r") {
    const test::name_server server;
    const test::resolver_of here{server};
    for (const char* name : names) {
        for (const std::size_t size : {0, 16, 100, 300, 4000}) {
            look_up_r(out, name, size, [&](hostent* entry, char* room, size_t room_size, hostent** found, int* why) {
                return c.gethostbyname_r(name, entry, room, room_size, found, why);
            });
        }
        look_up_r(out, "IPv6", 500, [&](hostent* entry, char* room, size_t size, hostent** found, int* why) {
            return c.gethostbyname2_r(name, AF_INET6, entry, room, size, found, why);
        });
    }
}

DIFFERENTIAL("a slow answer is waited for") {
    test::name_server server;
    const test::resolver_of here{server};
    const test::later answer{c, 30ms, [&] { server.release(); }};
    look_up(out, "slow", [&] { return c.gethostbyname("slow.weft.test"); });
}

HUB_TEST("each task has an answer of its own, which stays while others ask") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        const test::name_server server;
        const test::resolver_of here{server};
        const hostent* const mine = c.gethostbyname("host.weft.test");
        REQUIRE(mine != nullptr);
        const hostent* const numeric = c.gethostbyaddr(loopback, 4, AF_INET);
        std::vector<weft::task<bool>> tasks;
        for (int i = 0; i < 10; ++i) {
            tasks.push_back(weft::spawn([&c, i] {
                const bool many = i % 2 != 0;
                const hostent* const found = c.gethostbyname(many ? "many.weft.test" : "alias.weft.test");
                weft::sleep_for(5ms);
                return found && std::string{found->h_name} == (many ? "many.weft.test" : "host.weft.test");
            }));
        }
        for (auto& task : tasks) CHECK(task.get());
        CHECK(std::string{mine->h_name} == "host.weft.test");
        CHECK(std::memcmp(mine->h_addr_list[0], known, 4) == 0);
        REQUIRE(numeric != nullptr);
        CHECK(std::memcmp(numeric->h_addr_list[0], loopback, 4) == 0);
    }
}

HUB_TEST("a kill or a time-out ends the wait with NETDB_INTERNAL") {
    const test::patched now;
    test::name_server server;
    const test::resolver_of here{server};
    struct seen {
        bool found = true;
        int why = 0, error = 0;
    } killed, late, killed_r;
    bool returned = false;
    auto first = weft::spawn([&] {
        killed.found = ::gethostbyname("slow.weft.test") != nullptr;
        killed.why = h_errno, killed.error = errno;
    });
    auto second = weft::spawn([&] {
        char room[1000];
        hostent entry;
        hostent* found = &entry;
        killed_r.error = ::gethostbyname_r("slow.weft.test", &entry, room, sizeof room, &found, &killed_r.why);
        killed_r.found = found != nullptr;
    });
    auto third = weft::spawn([&] {
        try {
            const weft::timeout limit{10ms};
            late.found = ::gethostbyname("slow.weft.test") != nullptr;
            late.why = h_errno, late.error = errno;
        } catch (const weft::timed_out&) {
            returned = true;
        }
    });
    auto named = weft::spawn([&] {
        weft::shim::gethostbyname("slow.weft.test");
        killed.found = true;
    });
    CHECK(third.join(2s));
    CHECK(first.kill(2s));
    CHECK(second.kill(2s));
    CHECK(named.kill(2s));
    CHECK_FALSE(killed.found);
    CHECK(killed.why == NETDB_INTERNAL);
    CHECK(killed.error == ECANCELED);
    CHECK_FALSE(killed_r.found);
    CHECK(killed_r.why == NETDB_INTERNAL);
    CHECK(killed_r.error == ECANCELED);
    CHECK_FALSE(late.found);
    CHECK(late.why == NETDB_INTERNAL);
    CHECK(late.error == ETIMEDOUT);
    CHECK(returned);
    const int before = server.asked();
    server.release();  // the pool's questions end, too
    CHECK(::gethostbyname("host.weft.test") != nullptr);
    CHECK(server.asked() > before);
    for (int quiet = 0, last = test::open_descriptors(); quiet < 30; weft::sleep_for(1ms)) {
        const int open = test::open_descriptors();
        quiet = open == last ? quiet + 1 : 0;
        last = open;
    }
}
