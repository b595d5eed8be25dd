// A program of the library alone: an explicit fiber and a task, no shim in the link.
#include <weft/weft.hpp>

#include <cstdio>

int main() {
    int steps = 0;
    auto caller = weft::fiber::current();
    weft::fiber other{[&] {
        ++steps;
        caller.switch_to();
        ++steps;
    }};
    other.switch_to();
    bool parked = steps == 1 && !other.dead();
    other.switch_to();
    bool ended = steps == 2 && other.dead();

    auto answer = weft::spawn([](int a, int b) { return a * b; }, 6, 7);
    bool right = answer.get() == 42;

    std::printf("parked %d, ended %d, answer %d\n", parked, ended, right);
    return parked && ended && right ? 0 : 1;
}
