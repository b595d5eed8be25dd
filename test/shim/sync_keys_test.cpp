// Keys of listed libraries belong to tasks; all others are the thread's.
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <pthread.h>

#include <weft/fiber.hpp>

#include "shim/differential.hpp"
#include "support/sanitizers.hpp"

using namespace std::chrono_literals;

namespace {

/// The module whose keys are listed.
struct module {
    module() {
        weft::monkey::keys_per_task("libweftkeys");
        void* const opened = ::dlopen(WEFT_KEYS_MODULE, RTLD_NOW);
        REQUIRE(opened != nullptr);
        make = reinterpret_cast<decltype(make)>(::dlsym(opened, "make_key"));
        drop = reinterpret_cast<decltype(drop)>(::dlsym(opened, "drop_key"));
    }
    int (*make)(pthread_key_t*, void (*)(void*));
    int (*drop)(pthread_key_t);
};

const module& listed() {
    static const module only;
    return only;
}

/// A key of that module.
class key {
public:
    explicit key(void (*destructor)(void*) = nullptr) { REQUIRE(listed().make(&number_, destructor)); }
    ~key() { CHECK(listed().drop(number_)); }
    key(const key&) = delete;
    key& operator=(const key&) = delete;
    operator pthread_key_t() const { return number_; }

private:
    pthread_key_t number_{};
};

void* pointer(std::uintptr_t number) { return reinterpret_cast<void*>(number); }
std::uintptr_t value_of(pthread_key_t k) { return reinterpret_cast<std::uintptr_t>(::pthread_getspecific(k)); }
int set(pthread_key_t k, std::uintptr_t number) { return ::pthread_setspecific(k, pointer(number)); }

pthread_key_t at_end_key, other_key;
std::vector<std::string> log_of_ends;
int times = 0;

std::string text(const void* value) { return std::to_string(reinterpret_cast<std::uintptr_t>(value)); }

}  // namespace

HUB_TEST("each task has its own value under a listed library's key, main and plain threads keep the thread's") {
    const key k;
    std::thread{[&] {  // its main fiber is not the test's task
        const test::patched now;
        CHECK(set(k, 1) == 0);
        std::vector<weft::task<void>> tasks;
        for (std::uintptr_t i = 10; i < 60; ++i)
            tasks.push_back(weft::spawn([&, i] {
                CHECK(value_of(k) == 0);
                CHECK(set(k, i) == 0);
                weft::sleep_for(1ms);
                CHECK(value_of(k) == i);
                CHECK(set(k, 0) == 0);
                weft::yield();
                CHECK(value_of(k) == 0);
                CHECK(set(k, i + 1) == 0);
                weft::yield();
                CHECK(value_of(k) == i + 1);
            }));
        weft::yield();
        CHECK(value_of(k) == 1);
        weft::joinall(tasks);
        CHECK(value_of(k) == 1);
        weft::fiber explicit_one{[&] {
            CHECK(value_of(k) == 0);
            CHECK(set(k, 2) == 0);
        }};
        explicit_one.switch_to();
        CHECK(value_of(k) == 1);
        std::thread{[&] {
            CHECK(value_of(k) == 0);
            CHECK(set(k, 3) == 0);
            CHECK(value_of(k) == 3);
        }}.join();
    }}.join();
}

HUB_TEST("other keys are the thread's, as are listed ones while nothing is patched") {
    pthread_key_t plain;
    REQUIRE(::pthread_key_create(&plain, nullptr) == 0);
    const key k;
    CHECK(set(plain, 5) == 0);
    CHECK(set(k, 6) == 0);
    weft::spawn([&] {
        CHECK(value_of(plain) == 5);
        CHECK(value_of(k) == 6);
    }).join();
    {
        const test::patched now;
        weft::spawn([&] {
            CHECK(value_of(plain) == 5);
            CHECK(set(plain, 7) == 0);
            CHECK(value_of(k) == 0);
            CHECK(set(k, 8) == 0);
        }).join();
    }
    CHECK(value_of(plain) == 7);
    CHECK(value_of(k) == 6);
    CHECK(set(k, 0) == 0);
    CHECK(::pthread_key_delete(plain) == 0);
}

HUB_TEST("destructors run when the task ends, with its values, in its own fiber, and may wait") {
    const test::patched now;
    log_of_ends.clear();
    const key a{[](void* value) {
        weft::yield();
        log_of_ends.push_back("a" + text(value));
    }};
    const key b{[](void* value) { log_of_ends.push_back("b" + text(value)); }};
    const key without;
    auto first = weft::spawn([&] {
        set(a, 1);
        set(b, 2);
        set(without, 3);
        weft::sleep_for(2ms);
    });
    auto second = weft::spawn([&] {
        set(a, 4);
        set(a, 0);
        set(b, 5);
    });
    second.join();
    CHECK(log_of_ends == std::vector<std::string>{"b5"});
    first.join();
    CHECK(log_of_ends == std::vector<std::string>{"b5", "a1", "b2"});
    log_of_ends.clear();
    auto killed = weft::spawn([&] {
        set(a, 6);
        weft::sleep_for(1h);
    });
    weft::yield();
    CHECK(killed.kill(5s));
    CHECK(log_of_ends == std::vector<std::string>{"a6"});
}

HUB_TEST("a destructor finds its own value gone and the others' still set; what it sets has its turn, four times in all") {
    const test::patched now;
    log_of_ends.clear();
    times = 0;
    const key again{[](void*) {
        CHECK(value_of(at_end_key) == 0);
        if (++times == 1) {
            log_of_ends.push_back("other is " + std::to_string(value_of(other_key)));
            set(other_key, 9);
        }
        set(at_end_key, 1);
    }};
    const key other{[](void* value) { log_of_ends.push_back("other ends with " + text(value)); }};
    at_end_key = again;
    other_key = other;
    auto task = weft::spawn([&] {
        set(again, 1);
        set(other, 8);
    });
    REQUIRE(task.join(5s));
    CHECK(times == PTHREAD_DESTRUCTOR_ITERATIONS);
    CHECK(log_of_ends == std::vector<std::string>{"other is 8", "other ends with 9"});
}

HUB_TEST("what is set for the first time while a task ends has its turn, too") {
    const test::patched now;
    log_of_ends.clear();
    const key late{[](void* value) { log_of_ends.push_back("late " + text(value)); }};
    const key first{[](void*) { set(other_key, 7); }};
    other_key = late;
    weft::spawn([&] { set(first, 1); }).join();
    CHECK(log_of_ends == std::vector<std::string>{"late 7"});
}

HUB_TEST("a deleted key's values are void: no destructor, and nothing to find for the next key of that number") {
    const test::patched now;
    times = 0;
    const auto count = [](void*) { ++times; };
    auto task = weft::spawn([&] {
        pthread_key_t number, same;
        REQUIRE(listed().make(&number, count));
        CHECK(set(number, 1) == 0);
        REQUIRE(listed().drop(number));
        CHECK(value_of(number) == 0);
        CHECK(set(number, 1) == EINVAL);
        REQUIRE(listed().make(&same, count));
        CHECK(same == number);
        CHECK(value_of(same) == 0);
        CHECK(set(same, 2) == 0);
        CHECK(value_of(same) == 2);
        REQUIRE(listed().drop(same));
        pthread_key_t plain;
        REQUIRE(::pthread_key_create(&plain, nullptr) == 0);
        CHECK(value_of(plain) == 0);
        CHECK(::pthread_key_delete(plain) == 0);
    });
    task.get();
    CHECK(times == 0);
}

DIFFERENTIAL("keys that do not exist") {
    const pthread_key_t highest = PTHREAD_KEYS_MAX - 1;
    for (const pthread_key_t bad : {highest, highest + 1, ~0u}) {
        out("set", [&] { return set(bad, 1); });
        out("get", [&] { return value_of(bad); });
        out("delete", [&] { return ::pthread_key_delete(bad); });
    }
}

HUB_TEST("many keys in many tasks of several threads") {
    const test::patched now;
    std::vector<std::unique_ptr<key>> keys;
    static std::atomic<int> ended;
    ended = 0;
    for (int i = 0; i < 20; ++i) keys.push_back(std::make_unique<key>([](void*) { ended.fetch_add(1); }));
    const auto use = [&] {
        for (std::uintptr_t i = 0; i < keys.size(); ++i) {
            CHECK(value_of(*keys[i]) == 0);
            CHECK(set(*keys[i], i + 1) == 0);
            if (i % 5 == 0) weft::yield();
        }
        for (std::uintptr_t i = 0; i < keys.size(); ++i) CHECK(value_of(*keys[i]) == i + 1);
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            std::vector<weft::task<void>> tasks;
            for (int i = 0; i < 50; ++i) tasks.push_back(weft::spawn(use));
            weft::joinall(tasks);
        });
    for (auto& thread : threads) thread.join();
    CHECK(ended == 3 * 50 * 20);
}

HUB_TEST("a thread that ends unwinds its tasks, and their values with them") {
    const test::patched now;
    log_of_ends.clear();
    const key k{[](void* value) { log_of_ends.push_back(text(value)); }};
    std::thread{[&] {
        (void)weft::spawn([&] {
            set(k, 5);
            weft::sleep_for(1h);
        });
        weft::sleep_for(2ms);
    }}.join();
    CHECK(log_of_ends == std::vector<std::string>{"5"});
}

TEST_CASE("keys_per_task refuses no name and long ones") {
    CHECK_THROWS_AS(weft::monkey::keys_per_task(""), std::invalid_argument);
    CHECK_THROWS_AS(weft::monkey::keys_per_task(std::string(64, 'x')), std::invalid_argument);
}

TEST_CASE("keys_per_task has room for 16 libraries") {
    (void)listed();
    int fitted = 3;  // two are listed from the start
    try {
        for (; fitted < 100; ++fitted) weft::monkey::keys_per_task("libofnobody");
    } catch (const std::length_error&) {
    }
    CHECK(fitted == 16);
}
