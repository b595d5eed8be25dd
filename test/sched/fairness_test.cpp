// What weft promises to those who wait while others are always ready.
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

HUB_TEST("a task that yields in a loop does not stop a timer") {
    bool stop = false;
    auto spinner = weft::spawn([&] {
        while (!stop) weft::yield();
    });
    weft::sleep_for(5ms);
    stop = true;
    spinner.join();
}

HUB_TEST("a chain of tasks that each spawn the next and end does not stop a timer") {
    bool stop = false;
    std::function<void()> link = [&] {
        if (!stop) weft::spawn(link);
    };
    weft::spawn(link);
    weft::sleep_for(5ms);
    stop = true;
    weft::yield();
}

HUB_TEST("a task that yields in a loop does not stop posts from other threads") {
    bool stop = false;
    std::thread poster{[hub = weft::hub::current(), &stop] { hub.post([&stop] { stop = true; }); }};
    while (!stop) weft::yield();
    poster.join();
}

HUB_TEST("tasks that wake each other for ever do not stop a timer") {
    weft::event ping, pong;
    bool stop = false;
    const auto player = [&stop](weft::event& mine, weft::event& other) {
        while (!stop) {
            other.set();
            mine.wait();
            mine.clear();
        }
        other.set();
    };
    auto a = weft::spawn([&] { player(ping, pong); });
    auto b = weft::spawn([&] { player(pong, ping); });
    weft::sleep_for(5ms);
    stop = true;
    a.join();
    b.join();
}
