// Every waiting call under seeded orders of its tasks and a clock that jumps: nothing is lost, nothing is had twice.
//
// WEFT_TEST_SEEDS says how many seeds, WEFT_TEST_SEED which one alone: a failure names the one that shows it.
#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/timeout.hpp>

#include "contract/contract.hpp"
#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using contract::waiting_call;

namespace {

std::uint64_t number(const char* name, std::uint64_t usual) {
    const char* const text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : usual;
}

/// Runs `story` once a seed, in an order that the seed draws.
template <class F>
void each_seed(F story) {
    const bool slow = test::under_asan || test::under_tsan;
    const std::uint64_t only = number("WEFT_TEST_SEED", 0);
    const std::uint64_t count = only ? only : number("WEFT_TEST_SEEDS", slow ? 60 : 300);
    for (std::uint64_t seed = only ? only : 1; seed <= count; ++seed) {
        INFO("WEFT_TEST_SEED=" << seed << " replays it");
        const weft::testing::seeded_order order{seed};
        std::mt19937_64 random{seed};
        story(random);
    }
}

struct tally {
    int had = 0;      // wait() said true
    int late = 0;     // it said false
    int torn = 0;     // it was interrupted
    int served = 0;
};

// Some wait plainly, some until a deadline, some inside a timeout scope or a shield; some are killed.
weft::task<void> somebody(waiting_call& call, tally& t, std::mt19937_64& random) {
    const auto span = std::chrono::milliseconds{random() % 5};
    switch (random() % 4) {
        case 0: return weft::spawn([&] { ++(call.wait({}) ? t.had : t.late); });
        case 1: return weft::spawn([&, span] { ++(call.wait(span) ? t.had : t.late); });
        case 2:
            return weft::spawn([&, span] {
                const auto in_time = weft::try_with_timeout(span, [&] { return call.wait({}); });
                ++(in_time ? t.had : t.torn);
            });
        default:
            return weft::spawn([&, span] {
                const weft::shield whole;
                ++(call.wait(span) ? t.had : t.late);
            });
    }
}

void tell(waiting_call& call, std::mt19937_64& random) {
    tally t;
    std::vector<weft::task<void>> all;
    std::vector<weft::task<void>> servers;
    const int most = call.serves_all ? 1 : 20;
    for (int step = 0; step < 40; ++step) {
        switch (random() % 5) {
            case 0:
            case 1: all.push_back(somebody(call, t, random)); break;
            case 2:
                if (t.served < most && (!call.serves_all || step > 20)) {
                    ++t.served;
                    servers.push_back(weft::spawn([&] { call.serve(); }));
                }
                break;
            case 3:
                if (!all.empty()) (void)all[random() % all.size()].kill(weft::deadline::past());
                break;
            case 4: weft::sleep_for(std::chrono::milliseconds{random() % 3}); break;
        }
        if (random() % 3 == 0) weft::yield();
    }
    weft::joinall(servers);
    if (call.serves_all && t.served == 0) call.serve();
    // Everybody who still waits is served, or killed if there is nothing left for it.
    weft::sleep_for(1s);
    if (!call.serves_all)
        for (const auto& one : all) (void)one.kill(weft::deadline::past());
    weft::joinall(all);
    int ended_by_kill = 0;
    for (const auto& one : all) ended_by_kill += one.killed();
    CHECK(t.had + t.late + t.torn + ended_by_kill >= static_cast<int>(all.size()));
    if (call.serves_all) CHECK(call.left() == 1);
    else CHECK(t.served * call.at_once == t.had + call.left());
}

}  // namespace

TEST_CASE("under every seed what was served has been had once, or is still there") {
    for (const contract::kind& k : contract::all()) {
        INFO(k.name);
        weft::testing::manual_clock jumping{weft::testing::time_passes::when_idle};
        each_seed([&](std::mt19937_64& random) {
            const auto call = k.make();
            weft::spawn({.stack_size = 1 << 20}, [&] { tell(*call, random); }).get();
        });
    }
    const auto left = weft::testing::count();
    CHECK(left.tasks == 0);
}
