// getaddrinfo: libc's own, on a pool thread where it might ask somebody.
#include <cstring>

#include <netdb.h>

#include "shim/differential.hpp"
#include "shim/name_server.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;

namespace {

void look_up(const test::calls& c, test::journal& out, const char* what, const char* node, const char* service,
             const addrinfo* hints) {
    addrinfo* found = nullptr;
    const int result = c.getaddrinfo(node, service, hints, &found);
    out.value(what, result);
    for (const addrinfo* at = result == 0 ? found : nullptr; at; at = at->ai_next) {
        out.bytes("address", at->ai_addr, at->ai_addrlen);
        out.value("kind", at->ai_socktype * 1000 + at->ai_protocol);
        if (at->ai_canonname) out.bytes("name", at->ai_canonname, std::strlen(at->ai_canonname));
    }
    if (result == 0) ::freeaddrinfo(found);
}

addrinfo asking(int flags, int family = AF_UNSPEC, int type = SOCK_STREAM) {
    addrinfo hints{};
    hints.ai_flags = flags;
    hints.ai_family = family;
    hints.ai_socktype = type;
    return hints;
}

}  // namespace

DIFFERENTIAL("getaddrinfo") {
    const addrinfo stream = asking(0), passive = asking(AI_PASSIVE), numeric = asking(AI_NUMERICHOST);
    const addrinfo named = asking(AI_CANONNAME, AF_INET), six = asking(0, AF_INET6), odd = asking(0, 77);
    const addrinfo numbers = asking(AI_NUMERICSERV), bad = asking(0x40000000), wrong = asking(0, AF_INET, 99);
    look_up(c, out, "numeric", "127.0.0.1", "80", &stream);
    look_up(c, out, "numeric, without hints", "127.0.0.1", "80", nullptr);
    look_up(c, out, "numeric, version 6", "::1", "443", &six);
    look_up(c, out, "localhost", "localhost", "80", &named);
    look_up(c, out, "localhost, a service by name", "localhost", "http", &stream);
    look_up(c, out, "numeric, a service by name", "127.0.0.1", "http", &stream);
    look_up(c, out, "no such service", "127.0.0.1", "no-such-service", &stream);
    look_up(c, out, "passive", nullptr, "8080", &passive);
    look_up(c, out, "neither node nor service", nullptr, nullptr, &stream);
    look_up(c, out, "a name where a number is asked for", "localhost", "80", &numeric);
    look_up(c, out, "a service's name where its number is", "127.0.0.1", "http", &numbers);
    look_up(c, out, "a name that cannot be", "bad name.invalid", "80", &stream);
    look_up(c, out, "an odd family", "localhost", "80", &odd);
    look_up(c, out, "an odd kind", "localhost", "80", &wrong);
    look_up(c, out, "odd flags", "localhost", "80", &bad);
}

DIFFERENTIAL("getaddrinfo asks where the thread's resolver asks") {
    test::name_server server;
    const test::resolver_of here{server};
    const addrinfo four = asking(AI_CANONNAME, AF_INET), both = asking(0);
    look_up(c, out, "a full name", "host.weft.test", "80", &both);
    look_up(c, out, "a short one", "host", "80", &four);
    look_up(c, out, "an alias", "alias.weft.test", "80", &four);
    look_up(c, out, "no such name", "none.weft.test", "80", &four);
    const test::later answer{c, 30ms, [&] { server.release(); }};
    look_up(c, out, "a slow one", "slow.weft.test", "80", &four);
}

DIFFERENTIAL("getnameinfo") {
    const test::name_server server;
    const test::resolver_of here{server};
    sockaddr_in known{}, unknown{};
    known.sin_family = unknown.sin_family = AF_INET;
    known.sin_port = unknown.sin_port = htons(80);
    known.sin_addr.s_addr = htonl(0x0a010203);
    unknown.sin_addr.s_addr = htonl(0x0a090909);
    char host[64], service[64];
    const auto ask = [&](const char* what, const void* address, socklen_t size, socklen_t host_room,
                         socklen_t service_room, int flags) {
        std::memset(host, '?', sizeof host);
        std::memset(service, '?', sizeof service);
        errno = 0;
        out.value(what, c.getnameinfo(static_cast<const sockaddr*>(address), size, host_room ? host : nullptr, host_room,
                                      service_room ? service : nullptr, service_room, flags));
        out.value("errno", errno);
        out.bytes("host", host, ::strnlen(host, sizeof host));
        out.bytes("service", service, ::strnlen(service, sizeof service));
    };
    constexpr int size = sizeof known;
    ask("both", &known, size, 64, 64, 0);
    ask("the host", &known, size, 64, 0, 0);
    ask("the service", &known, size, 0, 64, 0);
    ask("neither", &known, size, 0, 0, 0);
    ask("no name", &unknown, size, 64, 64, 0);
    ask("no name, which is needed", &unknown, size, 64, 64, NI_NAMEREQD);
    ask("numbers", &known, size, 64, 64, NI_NUMERICHOST | NI_NUMERICSERV);
    ask("a number and a name", &known, size, 64, 64, NI_NUMERICHOST);
    ask("a datagram's service", &known, size, 64, 64, NI_DGRAM);
    ask("no room for the host", &known, size, 3, 64, 0);
    ask("no room for the service", &known, size, 64, 2, 0);
    ask("a short address", &known, 1, 64, 64, 0);
    ask("an address cut short", &known, 8, 64, 64, 0);
    ask("odd flags", &known, size, 64, 64, 0x4000000);
    known.sin_family = 77;
    ask("no such family", &known, size, 64, 64, 0);
}

HUB_TEST("40 look-ups at once let others run") {
    for (const bool named : {true, false}) {
        const test::calls& c = named ? test::named_calls() : test::plain_calls();
        const test::patched now;
        test::beside_ticker ticks;
        std::vector<weft::task<bool>> tasks;
        for (int i = 0; i < 40; ++i) {
            tasks.push_back(weft::spawn([&c, i] {
                const addrinfo hints = asking(0, AF_INET);
                addrinfo* found = nullptr;
                const int result = c.getaddrinfo(i % 4 == 3 ? "no such name.invalid" : "localhost", "http", &hints, &found);
                if (result == 0) ::freeaddrinfo(found);
                return (result == 0) == (i % 4 != 3);
            }));
        }
        for (auto& task : tasks) CHECK(task.get());
        CHECK(ticks.stop() < 20ms * test::patience());
    }
}

HUB_TEST("a kill ends the wait for a look-up, whose result then nobody sees") {
    const test::patched now;
    const int before = test::open_descriptors();
    int result = 99, error = 0;
    auto interposed = weft::spawn([&] {
        addrinfo* found = nullptr;
        result = ::getaddrinfo("localhost", "http", nullptr, &found);
        error = errno;
        weft::sleep_for(1h);
    });
    bool returned = false;
    auto named = weft::spawn([&] {
        addrinfo* found = nullptr;
        weft::shim::getaddrinfo("localhost", "http", nullptr, &found);
        returned = true;
    });
    weft::yield();
    CHECK(interposed.kill(2s));
    CHECK(named.kill(2s));
    CHECK(result == EAI_SYSTEM);
    CHECK(error == ECANCELED);
    CHECK_FALSE(returned);
    // The look-ups themselves go on, and have files and sockets open meanwhile, now one and now none.
    for (int quiet = 0; quiet < 30; weft::sleep_for(1ms)) quiet = test::open_descriptors() > before ? 0 : quiet + 1;
}
