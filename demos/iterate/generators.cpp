// Generators: iterators that are written as a function, which waits at each yield() until it is asked again.
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <weft/weft.hpp>

#include "../demo.hpp"
#include "iteration.hpp"

using namespace std::chrono_literals;
using weft::generator;
using weft::yielder;

static_assert(demo::iterator<generator<int>>);

namespace {

generator<int> doubled(int count) {
    return generator<int>{[count](yielder<int>& out) {
        for (int x = 0; x < count; ++x) out.yield(x * 2);
    }};
}

// A list has all its values at once, a generator makes each when it is asked for it.
void lazily() {
    std::vector<int> list;
    for (int number : doubled(5)) list.push_back(number);
    std::printf("the list: [%s]\n", demo::listed(list).c_str());

    auto g = doubled(5);
    std::printf("the generator: <generator object at %p>\n", static_cast<void*>(&g));
    try {
        for (;;) std::printf("%d\n", g.next());
    } catch (const weft::stop_iteration_base&) {
        std::puts("StopIteration");
    }
    for (int number : doubled(5)) std::printf("%d ", number);
    std::puts("");
}

// What the function returns is not one of its values: it comes with the end.
generator<int, void, std::string> fib(int count) {
    return generator<int, void, std::string>{[count](yielder<int>& out) {
        for (int i = 0, a = 0, b = 1; i < count; ++i, a = std::exchange(b, a + b)) out.yield(a);
        return "done";
    }};
}

void with_a_result() {
    for (int number : fib(5)) std::printf("%d ", number);
    std::puts("");

    auto g = fib(5);
    try {
        for (;;) std::printf("value:%d\n", g.next());
    } catch (const weft::stop_iteration<std::string>& end) {
        std::printf("生成器返回值:%s\n", end.value().c_str());
    }
}

// yield() returns what is sent to the generator as it is resumed, and nothing if it is resumed by next().
generator<int, std::string> listener() {
    return generator<int, std::string>{[](yielder<int, std::string>& out) {
        for (int i = 0; i < 5; ++i) {
            const auto temp = out.yield(i);
            std::puts(temp ? temp->c_str() : "None");
        }
    }};
}

void both_ways() {
    auto f = listener();
    try {
        f.send("too early");
    } catch (const weft::generator_misuse& error) {
        std::puts(error.what());
    }
    std::printf("%d\n", f.next());
    std::printf("%d\n", f.send("haha"));
    std::printf("%d\n", f.next());
    std::printf("%d\n", f.send("haha"));

    for (int number : listener()) std::printf("%d\n", number);
    std::puts("StopIteration");
}

// Two generators that are asked in turn: the simplest coroutines. Their pauses add up, for nobody else runs
// while one of them sleeps; ../02_automatic.cpp lets pauses overlap.
generator<int> worker(const char* line) {
    return generator<int>{[line](yielder<int>& out) {
        for (int round = 1;; ++round) {
            std::puts(line);
            out.yield(round);
            weft::sleep_for(500ms);
        }
    }};
}

void taking_turns() {
    auto work1 = worker("----work1---");
    auto work2 = worker("----work2---");
    const demo::stopwatch watch;
    while (work1.next() < 3) work2.next();
    std::printf("%.1f s\n", watch.seconds());
}

}  // namespace

int main(int argc, char** argv) {
    if (demo::unwanted_arguments(argc, argv)) return 2;
    lazily();
    with_a_result();
    both_ways();
    taking_turns();
}
