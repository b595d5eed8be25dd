// What weft/watchdog.hpp promises.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <sys/mman.h>
#include <unistd.h>

#include <weft/task.hpp>
#include <weft/this_task.hpp>
#include <weft/watchdog.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

void pass(weft::clock::duration span) {
    test::clock.advance(span);
    test::settle();
}

/// What is written to standard error while one lives.
class caught_errors {
public:
    caught_errors() : before_{::dup(2)}, file_{::memfd_create("errors", MFD_CLOEXEC)} {
        if (before_ < 0 || file_ < 0 || ::dup2(file_, 2) < 0)
            throw std::system_error(errno, std::generic_category(), "catching standard error");
    }
    ~caught_errors() {
        ::dup2(before_, 2);
        ::close(before_);
        ::close(file_);
    }
    caught_errors(const caught_errors&) = delete;
    caught_errors& operator=(const caught_errors&) = delete;

    std::string text() const {
        char letters[4096];
        const ssize_t size = ::pread(file_, letters, sizeof letters, 0);
        return size > 0 ? std::string(letters, static_cast<std::size_t>(size)) : std::string{};
    }

private:
    int before_;
    int file_;
};

}  // namespace

TASK_TEST("a watchdog bites when it has not been fed for a period, and again after each further one") {
    int bites = 0;
    weft::watchdog dog{1s, [&] { ++bites; }};
    test::settle();
    pass(1s - 1ns);
    CHECK(bites == 0);
    pass(1ns);
    CHECK(bites == 1);
    pass(1s);
    CHECK(bites == 2);
    CHECK(dog.bites() == 2);
}

TASK_TEST("a watchdog that is fed in time does not bite, and bites a period after it was fed last") {
    int bites = 0;
    weft::watchdog dog{1s, [&] { ++bites; }};
    test::settle();
    for (int i = 0; i < 10; ++i) {
        pass(900ms);
        dog.feed();
    }
    CHECK(bites == 0);
    pass(1s - 1ns);
    CHECK(bites == 0);
    pass(1ns);
    CHECK(bites == 1);
}

TASK_TEST("the next bite is a period after the action's end") {
    int bites = 0;
    weft::watchdog dog{1s, [&] {
        ++bites;
        weft::sleep_for(5s);
    }};
    test::settle();
    pass(1s);
    for (int i = 0; i < 59; ++i) pass(100ms);
    CHECK(bites == 1);
    pass(100ms);
    CHECK(bites == 2);
    dog.stop();
    pass(5s);
}

TASK_TEST("a watchdog that is stopped or destroyed bites no more, in its own action, too") {
    int bites = 0, of_stopped = 0, of_once = 0;
    std::unique_ptr<weft::watchdog> dog;
    dog = std::make_unique<weft::watchdog>(1s, [&] {
        if (++bites == 2) dog.reset();
    });
    weft::watchdog stopped{1s, [&] { ++of_stopped; }};
    stopped.stop();
    stopped.stop();
    std::optional<weft::watchdog> once;
    once.emplace(1s, [&] {
        ++of_once;
        once->stop();
    });
    test::settle();
    for (int i = 0; i < 5; ++i) pass(1s);
    CHECK(bites == 2);
    CHECK(of_stopped == 0);
    CHECK(of_once == 1);
    CHECK(once->bites() == 1);
}

TASK_TEST("what an action throws is reported, and the dog goes on") {
    static int reports;
    reports = 0;
    const auto before =
        weft::on_unhandled([](std::uint64_t, const std::string&, const std::exception_ptr&) { ++reports; });
    {
        weft::watchdog dog{1s, [] { throw std::runtime_error("no"); }};
        test::settle();
        pass(1s);
        pass(1s);
        CHECK(dog.bites() == 2);
    }
    weft::on_unhandled(before);
    CHECK(reports == 2);
}

TASK_TEST("by default a watchdog says on standard error for how long it was not fed") {
    const caught_errors errors;
    weft::watchdog dog{1500ms};
    test::settle();
    pass(1500ms);
    CHECK(errors.text() == "weft: a watchdog was not fed for 1500 ms\n");
}

TASK_TEST("a period of nothing or less is refused") {
    CHECK_THROWS_AS(weft::watchdog{0s}, std::invalid_argument);
    CHECK_THROWS_AS(weft::watchdog{-1s}, std::invalid_argument);
    weft::watchdog eternal{std::chrono::hours::max()};
    test::settle();
    pass(24h * 365 * 100);
    CHECK(eternal.bites() == 0);
}

HUB_TEST("a watching thread bites although the hub's thread is stuck") {
    const auto here = std::this_thread::get_id();
    std::atomic<int> bites{0}, elsewhere{0};
    weft::watchdog dog{5ms, [&] {
        elsewhere += std::this_thread::get_id() != here;
        ++bites;
    }, weft::watch_from::thread};
    while (bites < 2) {}  // nothing of this hub runs
    dog.stop();
    CHECK(elsewhere == bites);
}

HUB_TEST("a watching thread says which task hogs its thread, by id and name, and for how long") {
    const caught_errors errors;
    weft::watchdog dog{5ms, {}, weft::watch_from::thread};
    auto hog = weft::spawn(weft::fiber_options{.name = "a task with a name that is long"}, [&] {
        const auto before = dog.bites();
        while (dog.bites() < before + 2) {}
    });
    const std::string who =
        "weft: task " + std::to_string(hog.id()) + " 'a task with a name that is long' hogs its thread";
    hog.get();
    auto small = weft::spawn(weft::fiber_options{.name = "short"}, [&] {
        const auto before = dog.bites();
        while (dog.bites() < before + 3) {}  // one may have begun before this did
    });
    small.get();
    dog.stop();
    const std::string text = errors.text();
    CAPTURE(text);
    CHECK(text.find(who + ": the hub has not turned for ") != std::string::npos);
    CHECK(text.find("task " + std::to_string(small.id()) + " 'short' hogs its thread") != std::string::npos);
}

HUB_TEST("a hub that turns feeds the dog that a thread watches for it with") {
    // On a busy machine the thread may not get its turn for a while: some try goes by without a bite.
    bool calm = false;
    for (int i = 0; i < 50 && !calm; ++i) {
        weft::watchdog dog{40ms * (i + 1), [] {}, weft::watch_from::thread};
        weft::sleep_for(40ms * (i + 1) * 3);
        calm = dog.bites() == 0;
    }
    CHECK(calm);
}

HUB_TEST("a watching thread ends with its hub's thread, and when its dog is destroyed") {
    const auto watching = [] {
        int count = 0;
        for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) {
            std::string name;
            std::getline(std::ifstream{entry.path() / "comm"}, name);
            count += name == "weft-watchdog";
        }
        return count;
    };
    while (watching() > 0) weft::sleep_for(1ms);  // other tests'
    std::unique_ptr<weft::watchdog> dog;
    std::thread{[&] {
        dog = std::make_unique<weft::watchdog>(2ms, [] {}, weft::watch_from::thread);
        while (watching() == 0) std::this_thread::yield();
    }}.join();
    while (watching() > 0) weft::sleep_for(1ms);
    dog = std::make_unique<weft::watchdog>(1h, [] {}, weft::watch_from::thread);
    while (watching() == 0) weft::sleep_for(1ms);
    dog.reset();
    while (watching() > 0) weft::sleep_for(1ms);
    CHECK(watching() == 0);
}
