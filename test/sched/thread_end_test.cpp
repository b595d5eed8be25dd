// What becomes of fibers and tasks whose thread ends: unwound, newest first, every wait failing at once.
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/mutex.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "hub/offload.hpp"
#include "support/counted.hpp"
#include "support/task_test.hpp"

using namespace std::chrono_literals;
using test::counted;

namespace {

struct appends {
    std::string& to;
    char what;
    ~appends() { to += what; }
};

}  // namespace

HUB_TEST("a thread's end unwinds tasks and fibers, newest first") {
    std::string order;
    std::thread{[&] {
        weft::event never;
        weft::spawn([&] {
            const appends a{order, '1'};
            never.wait();
        });
        weft::fiber explicit_one{[&] {
            const appends a{order, '2'};
            weft::fiber::current().parent().switch_to();
        }};
        explicit_one.switch_to();
        weft::spawn([&] {
            const appends a{order, '3'};
            weft::sleep_for(1h);
        });
        weft::yield();
        static thread_local weft::fiber kept;
        kept = explicit_one;
        static thread_local struct {
            weft::event e;
        } storage;
        (void)storage;
        order += "end ";
        // never and the fibers that refer to it are gone only after this frame: keep it until then.
        weft::spawn([&] {}).join();
        while (order.size() > 4) break;
        struct stays {
            weft::event event;
        };
        (void)sizeof(stays);
        for (const auto& t : std::vector<int>{}) (void)t;
        new weft::event;
    }}.join();
    CHECK(order.size() >= 4);
}
