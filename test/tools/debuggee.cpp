// What gdb is set upon: fibers of every state, and a stop in one of them.
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

namespace {
weft::event never;
weft::fiber home;
}  // namespace

extern "C" {
[[gnu::noinline]] void stop_here() { asm volatile("" : : : "memory"); }

[[gnu::noinline]] void go_down(int depth) {
    if (depth > 0) go_down(depth - 1);
    else stop_here();
    asm volatile("" : : : "memory");
}

[[gnu::noinline]] void go_home(int depth) {
    if (depth > 0) go_home(depth - 1);
    else home.switch_to();
    asm volatile("" : : : "memory");
}

[[gnu::noinline]] void wait_for_ever() { never.wait(); }
}

int main() {
    home = weft::fiber::current();
    const weft::fiber pending{[] {}, {.name = "unborn"}};
    const weft::fiber suspended{[] { go_home(3); }, {.name = "halfway"}};
    suspended.switch_to();
    const auto waiter = weft::spawn({.name = "waiter"}, wait_for_ever);
    weft::yield();
    const weft::fiber running{[] { go_down(4); }, {.name = "digger"}};
    running.switch_to();
    waiter.kill();
}
