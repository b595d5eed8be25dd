// What a value from a generator costs: two switches and what lies around them, against a bare jump.
#include <stdexcept>

#include <weft/generator.hpp>

#include "bench.hpp"
#include "fcontext_ring.hpp"

namespace {

using bench::cpu_ns;
using bench::down;
using weft::generator;
using weft::yielder;

constexpr long values = 500'000;
constexpr long warm_up = 2'000;

void expect(bool right) {
    if (!right) throw std::logic_error{"a value was lost"};
}

template <unsigned Frames>
generator<long> naturals() {
    return generator<long>{[](yielder<long>& out) {
        for (long i = 0;; ++i) down<Frames>([&] { out.yield(i); });
    }};
}

template <class F>
double per_value(F next) {
    for (long i = 0; i < warm_up; ++i) next();
    const double start = cpu_ns();
    long sum = 0;
    for (long i = 0; i < values; ++i) sum += next();
    const double spent = cpu_ns() - start;
    expect(sum == (values + 2 * warm_up - 1) * values / 2);
    return spent / values;
}

template <unsigned Frames>
double by_next() {
    auto g = naturals<Frames>();
    return per_value([&] { return g.next(); });
}

double by_try_next() {
    auto g = naturals<0>();
    return per_value([&] { return *g.try_next(); });
}

double by_send() {
    generator<long, long> g{[](yielder<long, long>& out) {
        for (long sent = 0;;) sent = out.yield(sent + 1).value_or(-1);
    }};
    long last = g.next() - 2;
    return per_value([&] { return last = g.send(last); });
}

double by_range() {
    auto g = naturals<0>();
    auto it = g.begin();
    return per_value([&] { return ++it, *it - 1; });
}

generator<long> nested(int levels) {
    if (levels == 0) return naturals<0>();
    return generator<long>{[levels](yielder<long>& out) { out.yield_from(nested(levels - 1)); }};
}

template <int Levels>
double through() {
    auto g = nested(Levels);
    return per_value([&] { return g.next(); });
}

// Of one value: what a generator costs beside its values.
double whole_life() {
    constexpr long lives = 50'000;
    long sum = 0;
    const auto live = [&sum] {
        generator<long> g{[](yielder<long>& out) { out.yield(1L); }};
        while (const auto value = g.try_next()) sum += *value;
    };
    for (long i = 0; i < warm_up; ++i) live();
    const double start = cpu_ns();
    for (long i = 0; i < lives; ++i) live();
    const double spent = cpu_ns() - start;
    expect(sum == lives + warm_up);
    return spent / lives;
}

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add("bare jump_fcontext", [] { return bench::fcontext_ping_pong(2 * values); }, true);
    table.add("next", by_next<0>);
    table.add("next, body 4 frames deep", by_next<4>);
    table.add("try_next", by_try_next);
    table.add("range-for", by_range);
    table.add("send", by_send);
    table.add("next through one yield_from", through<1>);
    table.add("next through three", through<3>);
    table.add("a generator's whole life, one value", whole_life);
    return table.run(argc, argv, "value");
}
