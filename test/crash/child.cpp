// A program whose one argument says how it ends; the tests look at how it did.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <thread>

#include <unistd.h>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/hub.hpp>
#include <weft/mutex.hpp>
#include <weft/offload.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/thread_pool.hpp>

using namespace std::chrono_literals;

namespace {

template <class T>
void destroy_waited_on(auto&& wait) {
    std::optional<T> object{std::in_place};
    if constexpr (std::is_same_v<T, weft::mutex>) object->lock();
    weft::spawn([&] { wait(*object); });
    weft::yield();
    object.reset();
}

void destroy_event() {
    destroy_waited_on<weft::event>([](weft::event& e) { e.wait(); });
}
void destroy_mutex() {
    destroy_waited_on<weft::mutex>([](weft::mutex& m) { m.lock(); });
}

void deadlock_in_main() {
    weft::event never;
    weft::spawn({.name = "stuck"}, [&] { never.wait(); }).join();
}

void use_a_fiber() {
    weft::fiber{[] {}}.switch_to();
    std::puts("switched");
}

struct says {
    const char* what;
    ~says() { std::puts(what); }
};

void main_ends_with_tasks() {
    static weft::event never;
    weft::spawn([] {
        const says s{"older unwound"};
        never.wait();
    });
    weft::spawn([] {
        const says s{"newer unwound"};
        weft::sleep_for(1h);
    });
    weft::yield();
    std::puts("main returns");
}

void exit_in_a_task() {
    weft::spawn([] {
        const says s{"a bystander was unwound"};
        weft::sleep_for(1h);
    });
    weft::spawn([] {
        weft::yield();
        const says s{"the caller was unwound"};
        std::exit(7);
    }).join();
}

void unhandled_error() {
    weft::spawn({.name = "careless"}, [] { throw std::runtime_error("nobody looks"); }).join();
    std::puts("went on");
}

void callback_throws() {
    weft::hub::current().post([] { throw std::runtime_error("posted"); });
    weft::sleep_for(1ms);
    std::puts("went on");
}

void survivor() {
    {
        weft::fiber f{[] {
            for (;;) {
                try {
                    weft::fiber::current().parent().switch_to();
                } catch (const weft::fiber_exit&) {
                }
            }
        }};
        f.switch_to();
    }
    std::puts("went on");
}

/// Never returns.
[[noreturn]] void block() {
    for (;;) ::pause();
}

weft::thread_pool& static_pool() {
    static weft::thread_pool pool{2};
    return pool;
}

void exit_in_a_task_with_a_function_offloaded() {
    weft::event begun;
    weft::spawn([&] {
        weft::offload([&] {
            begun.set();
            block();
        });
    });
    weft::spawn([&] {
        begun.wait();
        std::exit(7);
    }).join();
}

void main_ends_with_jobs_in_a_pool() {
    auto* const kept = new weft::thread_pool{1};
    weft::event begun;
    (void)kept->spawn([&] {
        begun.set();
        block();
    });
    (void)kept->spawn([] { std::puts("a queued job ran"); });
    begun.wait();
    std::puts("main returns");
}

void main_ends_with_a_static_pool() {
    static std::atomic<bool> returning{false};
    for (int i = 0; i < 3; ++i)
        (void)static_pool().spawn([] {
            while (!returning) weft::sleep_for(1ms);
            std::puts("a job is done");
        });
    std::puts("main returns");
    returning = true;
}

void exit_in_a_task_with_a_static_pool() {
    static std::atomic<bool> leaving{false};
    (void)static_pool().spawn([] {
        while (!leaving) std::this_thread::yield();
        std::puts("a job is done");
    });
    weft::spawn([] {
        while (!leaving) weft::yield();
        std::puts("a bystander ran");
    });
    weft::spawn([] {
        leaving = true;
        std::exit(7);
    }).join();
}

void exit_in_a_job() {
    (void)static_pool().spawn([] {
        weft::sleep_for(1ms);
        std::exit(7);
    });
    weft::event never;
    never.wait();
}

struct {
    const char* name;
    void (*run)();
} const ends[] = {
    {"destroy-event", destroy_event},
    {"destroy-mutex", destroy_mutex},
    {"deadlock", deadlock_in_main},
    {"use-a-fiber", use_a_fiber},
    {"main-ends", main_ends_with_tasks},
    {"exit-in-a-task", exit_in_a_task},
    {"unhandled-error", unhandled_error},
    {"callback-throws", callback_throws},
    {"survivor", survivor},
    {"exit-with-offload", exit_in_a_task_with_a_function_offloaded},
    {"main-ends-with-jobs", main_ends_with_jobs_in_a_pool},
    {"main-ends-static-pool", main_ends_with_a_static_pool},
    {"exit-in-a-task-static-pool", exit_in_a_task_with_a_static_pool},
    {"exit-in-a-job", exit_in_a_job},
};

}  // namespace

int main(int count, char** words) {
    for (const auto& end : ends) {
        if (count == 2 && std::strcmp(words[1], end.name) == 0) {
            end.run();
            return 0;
        }
    }
    std::fputs("unknown end\n", stderr);
    return 2;
}
