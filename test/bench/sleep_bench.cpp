// What time costs: many tasks that sleep at once, deadlines that never fire, how late a short sleep ends, and a
// thread's first use of its hub.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include <weft/event.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "sched/deadline_queue.hpp"

#include "bench.hpp"

namespace {

using namespace std::chrono_literals;
using weft::detail::deadline_node;
using weft::detail::deadline_queue;

constexpr long spawns_between_yields = 1000;
constexpr unsigned seed = 1;

struct figures {
    double wall_s = 0;
    double cpu_s = 0;
    double peak_mib = 0;
};

double wall_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double peak_mib() {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
    return 0;
}

// In a child, so that nothing is warm that a program finds cold, and the peak is this row's alone.
figures in_child(const std::function<void()>& work) {
    int ends[2];
    if (pipe(ends) != 0) throw std::system_error{errno, std::generic_category(), "pipe"};
    const pid_t child = fork();
    if (child == 0) {
        const double wall = wall_s(), cpu = bench::cpu_ns();
        work();
        const figures f{wall_s() - wall, (bench::cpu_ns() - cpu) / 1e9, peak_mib()};
        _exit(write(ends[1], &f, sizeof f) == sizeof f ? 0 : 1);
    }
    figures f;
    close(ends[1]);
    const bool whole = read(ends[0], &f, sizeof f) == sizeof f;
    close(ends[0]);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || !whole)
        throw std::runtime_error{"a row's process failed"};
    return f;
}

std::chrono::milliseconds random_span(std::mt19937& random) { return std::chrono::milliseconds{random() % 1001}; }

void sleepers(long count) {
    std::mt19937 random{seed};
    std::vector<weft::task<void>> tasks;
    tasks.reserve(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) {
        tasks.push_back(weft::spawn([span = random_span(random)] { weft::sleep_for(span); }));
        if (i % spawns_between_yields == spawns_between_yields - 1) weft::yield();
    }
    weft::joinall(tasks);
}

// The same without a deadline: what spawning, parking, waking and joining cost by themselves.
void waiters(long count) {
    weft::event gate;
    std::vector<weft::task<void>> tasks;
    tasks.reserve(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) {
        tasks.push_back(weft::spawn([&] { gate.wait(); }));
        if (i % spawns_between_yields == spawns_between_yields - 1) weft::yield();
    }
    weft::sleep_for(1s);
    gate.set();
    weft::joinall(tasks);
}

void uv_timers(long count) {
    std::mt19937 random{seed};
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) throw std::runtime_error{"uv_loop_init"};
    const auto timers = std::make_unique<uv_timer_t[]>(static_cast<std::size_t>(count));
    for (long i = 0; i < count; ++i) {
        uv_timer_init(&loop, &timers[static_cast<std::size_t>(i)]);
        uv_timer_start(&timers[static_cast<std::size_t>(i)], [](uv_timer_t*) {},
                       static_cast<std::uint64_t>(random_span(random).count()), 0);
        if (i % spawns_between_yields == spawns_between_yields - 1) uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
}

// All in, then out in order, on a clock that jumps from one deadline to the next.
void bare_queue(long count) {
    std::mt19937 random{seed};
    deadline_queue queue;
    std::vector<deadline_node> nodes(static_cast<std::size_t>(count));
    weft::clock::time_point now{1h};
    (void)queue.due(now);
    for (deadline_node& node : nodes) {
        node.when = now + random_span(random);
        queue.insert(node);
    }
    while ((now = queue.next()) != weft::clock::time_point::max())
        while (deadline_node* first = queue.due(now)) queue.erase(*first);
}

struct many_row {
    const char* name;
    void (*work)(long);
    std::vector<figures> samples{};
};

void many(long count, long rounds, const std::string& only) {
    many_row rows[] = {{"tasks: spawn, sleep 0-1000 ms, join", sleepers},
                       {"tasks: spawn, wait 1 s for one event, join", waiters},
                       {"uv_timer_t: start 0-1000 ms, run", uv_timers},
                       {"bare deadline queue: all in, all out", bare_queue}};
    const auto chosen = [&](const many_row& r) { return std::string{r.name}.find(only) != std::string::npos; };
    for (long i = 0; i < rounds; ++i)
        for (many_row& r : rows)
            if (chosen(r)) r.samples.push_back(in_child([&] { r.work(count); }));
    std::printf("%ld at once; of %ld rounds the one with the least wall time\n", count, rounds);
    std::printf("%-46s %8s %8s %10s\n", "row", "wall s", "CPU s", "peak MiB");
    for (many_row& r : rows) {
        if (!chosen(r)) continue;
        const figures& f = *std::min_element(r.samples.begin(), r.samples.end(),
                                             [](const figures& a, const figures& b) { return a.wall_s < b.wall_s; });
        std::printf("%-46s %8.2f %8.2f %10.0f\n", r.name, f.wall_s, f.cpu_s, f.peak_mib);
    }
}

constexpr long others = 10'000;  // deadlines that are armed meanwhile
constexpr long arms = 200'000;

template <class F>
double ns_each(long times, F once) {
    const double start = bench::cpu_ns();
    for (long i = 0; i < times; ++i) once();
    return (bench::cpu_ns() - start) / static_cast<double>(times);
}

// Two tasks that wake each other; each wait has a limit of 30 s that it never reaches, or none.
double event_waits(bool limited) {
    std::vector<weft::task<void>> idle;
    std::mt19937 random{seed};
    for (long i = 0; limited && i < others; ++i)
        idle.push_back(weft::spawn([span = 30s + random_span(random)] { weft::sleep_for(span); }));
    weft::event there, back;
    bool stop = false;
    auto other = weft::spawn([&] {
        while (!stop) {
            there.wait(limited ? weft::deadline{30s} : weft::deadline::never());
            there.clear();
            back.set();
        }
    });
    weft::yield();
    const double ns = ns_each(arms / 2, [&] {
        there.set();
        back.wait(limited ? weft::deadline{30s} : weft::deadline::never());
        back.clear();
    }) / 2;
    stop = true;
    there.set();
    other.join();
    for (auto& t : idle) (void)t.kill(weft::deadline::past());
    weft::joinall(idle);
    return ns;
}

double bare_arm_and_cancel() {
    std::mt19937 random{seed};
    deadline_queue queue;
    std::vector<deadline_node> nodes(others);
    const weft::clock::time_point now{1h};
    (void)queue.due(now);
    for (deadline_node& node : nodes) {
        node.when = now + 30s + random_span(random);
        queue.insert(node);
    }
    deadline_node mine;
    long i = 0;
    return ns_each(arms, [&] {
        mine.when = now + 30s + std::chrono::nanoseconds{100 * i++};
        queue.insert(mine);
        queue.erase(mine);
    });
}

double uv_arm_and_cancel() {
    std::mt19937 random{seed};
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) throw std::runtime_error{"uv_loop_init"};
    std::vector<uv_timer_t> timers(others + 1);
    for (uv_timer_t& timer : timers) {
        uv_timer_init(&loop, &timer);
        uv_timer_start(&timer, [](uv_timer_t*) {}, static_cast<std::uint64_t>(30'000 + random_span(random).count()), 0);
    }
    uv_timer_t& mine = timers.back();
    const double ns = ns_each(arms, [&] {
        uv_timer_start(&mine, [](uv_timer_t*) {}, 30'000, 0);
        uv_timer_stop(&mine);
    });
    for (uv_timer_t& timer : timers) uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return ns;
}

std::string spread(std::vector<double> us) {
    std::sort(us.begin(), us.end());
    char text[64];
    std::snprintf(text, sizeof text, "%8.1f %8.1f %8.1f", us[us.size() / 2], us[us.size() * 9 / 10], us.back());
    return text;
}

// How late a sleep ends, in us, a sample of each kind in turn.
void overshoot() {
    std::printf("\nHow late a sleep ends, us: median, 90 %%, most\n%-12s %-28s %-28s\n", "asked",
                "weft::sleep_for", "clock_nanosleep");
    for (const auto span : {50us, 100us, 200us, 500us, 1000us, 2000us}) {
        std::vector<double> ours, kernels;
        for (int i = 0; i < 200; ++i) {
            double start = wall_s();
            weft::sleep_for(span);
            ours.push_back((wall_s() - start) * 1e6 - static_cast<double>(span.count()));
            const timespec limit{0, span.count() * 1000};
            start = wall_s();
            clock_nanosleep(CLOCK_MONOTONIC, 0, &limit, nullptr);
            kernels.push_back((wall_s() - start) * 1e6 - static_cast<double>(span.count()));
        }
        std::printf("%6lld us    %-28s %-28s\n", static_cast<long long>(span.count()), spread(ours).c_str(),
                    spread(kernels).c_str());
    }
}

void first_use() {
    std::vector<double> nothing, yields, inside;
    for (int i = 0; i < 300; ++i) {
        double start = wall_s();
        std::thread{[] {}}.join();
        nothing.push_back((wall_s() - start) * 1e6);
        double in = 0;
        start = wall_s();
        std::thread{[&] {
            const double begun = wall_s();
            weft::yield();
            in = (wall_s() - begun) * 1e6;
        }}.join();
        yields.push_back((wall_s() - start) * 1e6);
        inside.push_back(in);
    }
    std::printf("\nA thread's first use of its hub, us: median, 90 %%, most\n");
    std::printf("%-46s %s\n", "thread that does nothing: start to join", spread(nothing).c_str());
    std::printf("%-46s %s\n", "thread that yields once: start to join", spread(yields).c_str());
    std::printf("%-46s %s\n", "of that, the yield itself", spread(inside).c_str());
}

void never_fire(long rounds) {
    struct row {
        const char* name;
        std::function<double()> sample;
        std::vector<double> ns{};
    };
    row rows[] = {{"event wait, no deadline", [] { return event_waits(false); }},
                  {"event wait, a deadline that never fires", [] { return event_waits(true); }},
                  {"bare deadline queue: insert, erase", bare_arm_and_cancel},
                  {"uv_timer_t: start, stop", uv_arm_and_cancel}};
    for (long i = 0; i < rounds; ++i)
        for (row& r : rows) r.ns.push_back(r.sample());
    std::printf("\nA timeout that never fires, beside %ld others; CPU ns each: median, 90 %%, most\n", others);
    for (row& r : rows) std::printf("%-46s %s\n", r.name, spread(r.ns).c_str());
}

}  // namespace

int main(int argc, char** argv) try {
    const long count = argc > 1 ? std::atol(argv[1]) : 1'000'000;
    const long rounds = argc > 2 ? std::atol(argv[2]) : 3;
    if (count < 1 || rounds < 1) throw std::invalid_argument{"usage: sleep_bench [how many] [rounds] [text of a row]"};
    many(count, rounds, argc > 3 ? argv[3] : "");
    if (argc > 3) return 0;
    never_fire(7);
    overshoot();
    first_use();
    return std::fflush(stdout) == 0 ? 0 : 1;
} catch (const std::exception& failed) {
    std::fprintf(stderr, "%s: %s\n", argv[0], failed.what());
    return 1;
}
