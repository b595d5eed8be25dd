// Explicit switching: a fiber runs when somebody switches to it, and only then.
#include <chrono>
#include <cstdio>

#include <weft/weft.hpp>

#include "demo.hpp"

using namespace std::chrono_literals;

namespace {

struct farewell {
    const char* name;
    ~farewell() { std::printf("%s is unwound\n", name); }
};

// Two fibers hand the thread to each other by name.
void back_and_forth() {
    weft::fiber gr1, gr2;
    gr1 = weft::fiber{[&] {
        farewell on_unwind{"gr1"};
        std::puts("12");
        gr2.switch_to();
        std::puts("34");
        gr2.switch_to();
        std::puts("never printed: nobody switches to gr1 a third time");
    }};
    gr2 = weft::fiber{[&] {
        std::puts("56");
        gr1.switch_to();
        std::puts("78");
    }};
    // Returns when gr2 ends: an ended fiber hands over to its parent, main, with what its function returns.
    const weft::message returned = gr1.switch_to();
    std::printf("main is back with %zu values\n", returned.size());
    std::printf("gr1 dead: %s, gr2 dead: %s\n", gr1.dead() ? "yes" : "no", gr2.dead() ? "yes" : "no");
}  // gr1 still waits inside its body: with the last handle gone its stack is unwound

// The same with a pause after each line: nobody else runs meanwhile, so the pauses add up.
void with_pauses() {
    weft::fiber gr1, gr2;
    gr1 = weft::fiber{[&] {
        for (int round = 0; round < 2; ++round) {
            std::puts("---A--");
            gr2.switch_to();
            weft::sleep_for(500ms);
        }
    }};
    gr2 = weft::fiber{[&] {
        for (;;) {
            std::puts("---B--");
            gr1.switch_to();
            weft::sleep_for(500ms);
        }
    }};
    const demo::stopwatch watch;
    gr1.switch_to();
    std::printf("%.1f s\n", watch.seconds());
}

// Values travel both ways: what goes into switch_to() comes out of the one that the other side waits in.
void running_sum() {
    weft::fiber sum{[](int number) {
        for (int total = number;;) total += weft::fiber::current().parent().switch_to(total).as<int>();
    }};
    for (int number : {1, 2, 3, 4}) std::printf("%d ", sum.switch_to(number).as<int>());
    std::puts("");
}

}  // namespace

int main(int argc, char** argv) {
    if (demo::unwanted_arguments(argc, argv)) return 2;
    back_and_forth();
    with_pauses();
    running_sum();
}
