// What monkey::block_watch tells of, and that nobody else notices it.
#include <algorithm>
#include <mutex>

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include <weft/hub.hpp>
#include <weft/monkey_report.hpp>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"
#include "support/child.hpp"

using namespace std::chrono_literals;
namespace monkey = weft::monkey;
using steady = std::chrono::steady_clock;

namespace {

/// A watch that keeps what it has told of.
struct watched {
    explicit watched(std::chrono::nanoseconds limit)
        : watch{limit, [this](const monkey::blocked& b) {
                    const std::lock_guard guard{lock};
                    told.push_back(b);
                }} {}
    std::vector<monkey::blocked> all() {
        const std::lock_guard guard{lock};
        return told;
    }
    std::mutex lock;
    std::vector<monkey::blocked> told;
    monkey::block_watch watch;
};

bool contains(const monkey::blocked& b, void (*function)()) {
    const auto begin = reinterpret_cast<std::uintptr_t>(function);
    return std::any_of(b.frames.begin(), b.frames.end(), [begin](void* frame) {
        const auto at = reinterpret_cast<std::uintptr_t>(frame);
        return at > begin && at < begin + 300;
    });
}

volatile unsigned long work;

long cpu_ms() {
    timespec spent{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return spent.tv_sec * 1000 + spent.tv_nsec / 1'000'000;
}

/// For 120 ms of CPU time, however much else the machine has to do.
[[gnu::noinline]] void computes() {
    const long until = cpu_ms() + 120;
    while (cpu_ms() < until)
        for (int i = 0; i < 10'000; ++i) work = work * 3 + 1;
    asm volatile("" ::: "memory");
}
[[gnu::noinline]] void sleeps_natively() {
    const monkey::native_scope native;
    CHECK(::usleep(120'000) == 0);
    asm volatile("" ::: "memory");
}
[[gnu::noinline]] void waits_in_the_kernel() {
    const timespec span{0, 120'000'000};
    CHECK(::syscall(SYS_nanosleep, &span, nullptr) == 0);
    asm volatile("" ::: "memory");
}

const auto limit = 20ms * test::patience();

}  // namespace

HUB_TEST("a native call that keeps the thread is told of while it does: who, in what, for how long, and from where") {
    const test::patched now;
    watched w{limit};
    const auto start = steady::now();
    auto task = weft::spawn(weft::fiber_options{.name = "sleeper"}, sleeps_natively);
    const auto id = task.id();
    task.get();
    CHECK(steady::now() - start >= 120ms);
    const auto told = w.all();
    REQUIRE(told.size() == 1);
    CHECK(told[0].task == id);
    CHECK(told[0].who == "task " + std::to_string(id) + " 'sleeper'");
    CHECK(told[0].call == "usleep");
    CHECK(told[0].so_far >= limit);
    CHECK(contains(told[0], sleeps_natively));
    CHECK(w.watch.reports() == 1);
}

HUB_TEST("a computation that keeps the thread is told of, with its frames and without a call") {
    watched w{limit};
    weft::spawn(computes).get();
    const auto told = w.all();
    REQUIRE(told.size() == 1);
    CHECK(told[0].call.empty());
    CHECK(contains(told[0], computes));
    CHECK(told[0].text().find("keeps its thread for") != std::string::npos);
}

HUB_TEST("a lock that is waited for natively is told of by its call") {
    const test::patched now;
    watched w{limit};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    std::atomic<bool> held{false};
    std::thread holder{[&] {
        ::pthread_mutex_lock(&lock);
        held = true;
        ::usleep(120'000);
        ::pthread_mutex_unlock(&lock);
    }};
    while (!held) weft::yield();
    weft::spawn([&] {
        const monkey::native_scope native;
        CHECK(::pthread_mutex_lock(&lock) == 0);
        CHECK(::pthread_mutex_unlock(&lock) == 0);
    }).get();
    holder.join();
    const auto told = w.all();
    REQUIRE_FALSE(told.empty());
    CHECK(told[0].call == "pthread_mutex_lock");
    CHECK(told[0].frames.size() >= 2);
}

HUB_TEST("a system call of somebody else's is told of, and goes on undisturbed") {
    watched w{limit};
    weft::spawn(waits_in_the_kernel).get();
    const auto told = w.all();
    REQUIRE(told.size() == 1);
    CHECK(told[0].call.empty());
    CHECK_FALSE(told[0].frames.empty());
}

HUB_TEST("a callback of the hub that blocks is told of as such") {
    watched w{limit};
    bool done = false;
    weft::hub::current().post([&] {
        computes();
        done = true;
    });
    while (!done) weft::sleep_for(1ms);
    const auto told = w.all();
    REQUIRE_FALSE(told.empty());
    CHECK(told[0].who.find("a callback of hub") == 0);
}

HUB_TEST("neither waits nor busy turns of many tasks are blocks") {
    const test::patched now;
    watched w{limit};
    ::usleep(100'000);
    auto p = test::pipe_pair();
    auto reader = weft::spawn([&] {
        char b;
        CHECK(::read(p[0], &b, 1) == 1);
    });
    auto a = weft::spawn([] { for (int i = 0; i < 300'000; ++i) weft::yield(); });
    auto b = weft::spawn([] { for (int i = 0; i < 300'000; ++i) weft::yield(); });
    a.get();
    b.get();
    CHECK(::write(p[1], "a", 1) == 1);
    reader.get();
    CHECK(w.all().empty());
}

HUB_TEST("no system call notices the looks: none ends with EINTR, none is cut short") {
    watched w{1ms};
    int odd = 0, turns = 0;
    auto p = test::pipe_pair();
    std::atomic<bool> stop{false};
    std::thread drain{[&] {
        char room[4096];
        while (::read(p[0], room, sizeof room) > 0 && !stop) ::usleep(50);
    }};
    const std::string much = test::pattern(1 << 20);
    weft::spawn([&] {
        const auto until = steady::now() + 1500ms;
        for (; steady::now() < until; ++turns) {
            const auto busy = steady::now() + std::chrono::microseconds{turns * 137 % 4000};
            while (steady::now() < busy) ::getppid();
            odd += ::poll(nullptr, 0, turns % 3) != 0;
            odd += ::usleep(static_cast<useconds_t>(turns % 5 * 300)) != 0;
            if (turns % 100 == 0)
                odd += ::write(p[1], much.data(), much.size()) != static_cast<ssize_t>(much.size());
            weft::yield();
        }
    }).get();
    stop = true;
    p[1].close();
    drain.join();
    CHECK(turns > 50);
    CHECK(w.all().size() > 20);
    const auto told = w.all();
    CHECK(std::any_of(told.begin(), told.end(), [](const auto& b) { return b.call.empty() && !b.frames.empty(); }));
    CHECK(odd == 0);
}

HUB_TEST("the signal is taken only while somebody watches") {
    const auto handlers = [] {
        int found = 0;
        for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
            struct sigaction action;
            if (::sigaction(number, nullptr, &action) == 0) found += action.sa_handler != SIG_DFL;
        }
        return found;
    };
    const int before = handlers();
    {
        const monkey::block_watch one{1s};
        const monkey::block_watch two{1s};
        CHECK(handlers() == before + 1);
    }
    CHECK(handlers() == before);
}

HUB_TEST("a watch may go while it tells, and a limit that is not above 0 is refused") {
    CHECK_THROWS_AS(monkey::block_watch{0ns}, std::invalid_argument);
    std::atomic<int> begun{0}, ended{0};
    {
        const monkey::block_watch w{limit, [&](const monkey::blocked&) {
            ++begun;
            std::this_thread::sleep_for(50ms);
            ++ended;
        }};
        computes();
    }
    CHECK(begun == 1);
    CHECK(ended == 1);
    const monkey::block_watch throws{limit, [](const monkey::blocked&) { throw 7; }};
    computes();
    CHECK(throws.reports() == 1);
}

TEST_CASE("a watch outlives the thread that it watches") {
    std::unique_ptr<monkey::block_watch> w;
    std::thread{[&] {
        w = std::make_unique<monkey::block_watch>(1ms);
        weft::spawn([] {}).get();
    }}.join();
    std::this_thread::sleep_for(20ms);
    CHECK(w->reports() < 5);
    w.reset();
}

TEST_CASE("by default the report goes to standard error, with a line for each frame") {
    if (std::getenv("WEFT_TEST_SAYS")) {
        const monkey::block_watch w{limit};
        weft::spawn(weft::fiber_options{.name = "hog"}, computes).get();
        return;
    }
    const auto end = test::run_child({"/proc/self/exe", "-tc=by default the report goes*"}, {"WEFT_TEST_SAYS=1"});
    CHECK(end.exited_with(0));
    CHECK(end.says("'hog' keeps its thread for"));
    CHECK(end.says("  #0 "));
}
