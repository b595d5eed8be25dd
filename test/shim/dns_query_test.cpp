// res_query and its kin: the server's own words, and h_errno as libc leaves it.
#include <cstring>
#include <vector>

#include <arpa/nameser.h>
#include <dlfcn.h>
#include <netdb.h>

#include "shim/differential.hpp"
#include "shim/name_server.hpp"

using namespace std::chrono_literals;

namespace {

template <class Call>
void ask(test::journal& out, const char* what, int size, Call call) {
    std::vector<unsigned char> room(static_cast<std::size_t>(size) + 1, 0x55);
    h_errno = 77;
    errno = 0;
    const int result = call(room.data(), size);
    out.value(what, result);
    out.value("h_errno", h_errno);
    if (result >= 0) out.value("errno is kept", errno);
    if (result > 2) out.bytes("answer", room.data() + 2, static_cast<std::size_t>(std::min(result, size)) - 2);
    out.value("nothing behind the room was written", room.back() == 0x55);
}

/// A resolver of the caller's own.
class own_state {
public:
    explicit own_state(const test::name_server& server) {
        REQUIRE(::res_ninit(&state_) == 0);
        test::point_at(state_, server);
    }
    ~own_state() { ::res_nclose(&state_); }
    own_state(const own_state&) = delete;
    own_state& operator=(const own_state&) = delete;
    operator struct __res_state*() { return &state_; }

private:
    struct __res_state state_{};
};

std::vector<unsigned char> message_for(const char* name) {
    std::vector<unsigned char> message(512);
    const int size = ::res_mkquery(ns_o_query, name, ns_c_in, ns_t_a, nullptr, 0, nullptr, message.data(), 512);
    REQUIRE(size > 0);
    message.resize(static_cast<std::size_t>(size));
    return message;
}

constexpr const char* names[] = {"host.weft.test", "alias.weft.test", "empty.weft.test", "none.weft.test", "host"};

}  // namespace

DIFFERENTIAL("res_query, res_search, res_querydomain and res_send") {
    const test::name_server server;
    const test::resolver_of here{server};
    for (const char* name : names) {
        for (const int size : {512, 40}) {
            ask(out, name, size, [&](unsigned char* room, int n) { return c.res_query(name, ns_c_in, ns_t_a, room, n); });
            ask(out, "search", size, [&](unsigned char* room, int n) { return c.res_search(name, ns_c_in, ns_t_a, room, n); });
        }
        ask(out, "type AAAA", 512, [&](unsigned char* room, int n) { return c.res_query(name, ns_c_in, ns_t_aaaa, room, n); });
        ask(out, "domain", 512, [&](unsigned char* room, int n) {
            return c.res_querydomain(name, "weft.test", ns_c_in, ns_t_a, room, n);
        });
        const std::vector<unsigned char> message = message_for(name);
        ask(out, "send", 512, [&](unsigned char* room, int n) {
            return c.res_send(message.data(), static_cast<int>(message.size()), room, n);
        });
    }
    ask(out, "a name that cannot be", 512, [&](unsigned char* room, int n) {
        return c.res_query("..", ns_c_in, ns_t_a, room, n);
    });
}

DIFFERENTIAL("res_nquery, res_nsearch, res_nquerydomain and res_nsend ask by the caller's state") {
    const test::name_server server;
    own_state state{server};
    for (const char* name : names) {
        ask(out, name, 512, [&](unsigned char* room, int n) { return c.res_nquery(state, name, ns_c_in, ns_t_a, room, n); });
        ask(out, "search", 512, [&](unsigned char* room, int n) {
            return c.res_nsearch(state, name, ns_c_in, ns_t_a, room, n);
        });
        ask(out, "domain", 512, [&](unsigned char* room, int n) {
            return c.res_nquerydomain(state, name, "weft.test", ns_c_in, ns_t_a, room, n);
        });
        const std::vector<unsigned char> message = message_for(name);
        ask(out, "send", 512, [&](unsigned char* room, int n) {
            return c.res_nsend(state, message.data(), static_cast<int>(message.size()), room, n);
        });
    }
}

DIFFERENTIAL("a slow answer is waited for") {
    test::name_server server;
    const test::resolver_of here{server};
    const test::later answer{c, 30ms, [&] { server.release(); }};
    ask(out, "slow", 512, [&](unsigned char* room, int n) { return c.res_query("slow.weft.test", ns_c_in, ns_t_a, room, n); });
}

HUB_TEST("a kill ends res_query, and waits for res_nquery") {
    const test::patched now;
    test::name_server server;
    const test::resolver_of here{server};
    own_state state{server};
    unsigned char room[2][512];
    int result = 0, why = 0, error = 0, result_n = 0;
    auto first = weft::spawn([&] {
        result = ::res_query("slow.weft.test", ns_c_in, ns_t_a, room[0], sizeof room[0]);
        why = h_errno, error = errno;
    });
    auto second = weft::spawn([&] {
        result_n = ::res_nquery(state, "slow.weft.test", ns_c_in, ns_t_a, room[1], sizeof room[1]);
    });
    while (server.asked() < 2) weft::sleep_for(1ms);
    CHECK(first.kill(2s));
    CHECK(result == -1);
    CHECK(why == NETDB_INTERNAL);
    CHECK(error == ECANCELED);
    CHECK_FALSE(second.kill(10ms));
    server.release();
    CHECK(second.join(2s));
    CHECK(result_n > 0);
}

// What programs import that were linked before glibc 2.34.
HUB_TEST("the old names of res_query and its kin ask, too") {
    if (test::reached_late()) return;  // nobody looks for them by name in what was opened since
    const test::patched now;
    const test::name_server server;
    const test::resolver_of here{server};
    own_state state{server};
    const auto of = []<class F>(F* const like, const char* name) {
        (void)like;
        void* const at = ::dlsym(RTLD_DEFAULT, name);
        REQUIRE(at != nullptr);
        return reinterpret_cast<F*>(at);
    };
    unsigned char room[512];
    const char* const host = "host.weft.test";
    const std::vector<unsigned char> message = message_for(host);
    const int size = static_cast<int>(message.size());
    const auto ask_all = [&] {
        CHECK(of(&::res_query, "__res_query")(host, ns_c_in, ns_t_a, room, 512) > 0);
        CHECK(of(&::res_search, "__res_search")("host", ns_c_in, ns_t_a, room, 512) > 0);
        CHECK(of(&::res_querydomain, "__res_querydomain")("host", "weft.test", ns_c_in, ns_t_a, room, 512) > 0);
        CHECK(of(&::res_send, "__res_send")(message.data(), size, room, 512) > 0);
        CHECK(of(&::res_nquery, "__res_nquery")(state, host, ns_c_in, ns_t_a, room, 512) > 0);
        CHECK(of(&::res_nsearch, "__res_nsearch")(state, "host", ns_c_in, ns_t_a, room, 512) > 0);
        CHECK(of(&::res_nquerydomain, "__res_nquerydomain")(state, "host", "weft.test", ns_c_in, ns_t_a, room, 512) > 0);
        CHECK(of(&::res_nsend, "__res_nsend")(state, message.data(), size, room, 512) > 0);
    };
    test::beside_ticker ticks;
    ask_all();
    CHECK(ticks.stop() < 20ms * test::patience());
    weft::monkey::unpatch_all();
    ask_all();
    REQUIRE(weft::monkey::patch_all());
}
