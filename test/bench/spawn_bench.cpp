// What it costs to start something that ends at once, and to wait for it.
#include <stdexcept>
#include <thread>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"
#include "fcontext_ring.hpp"

namespace {

using bench::cpu_ns;

constexpr long batch = 1000;

// CPU ns per operation of `once`, called `times` times after one call that is not measured. Each call does
// `operations` of them.
template <class F>
double measure(long times, long operations, F once) {
    once();
    const double start = cpu_ns();
    for (long i = 0; i < times; ++i) {
        once();
    }
    return (cpu_ns() - start) / static_cast<double>(times * operations);
}

double threads() {
    long ran = 0;
    std::vector<std::thread> started;
    started.reserve(batch);
    // One CPU, but a thread may be preempted anywhere.
    auto body = [&ran] { __atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED); };
    const double ns = measure(1, batch, [&] {
        for (long i = 0; i < batch; ++i) {
            started.emplace_back(body);
        }
        for (std::thread& thread : started) {
            thread.join();
        }
        started.clear();
    });
    if (ran != 2 * batch) {
        throw std::logic_error{"a thread has not run"};
    }
    return ns;
}

double bare_contexts(long at_once) {
    static bench::fcontext_pool pool{batch};
    return measure(100'000 / at_once, at_once, [at_once] {
        for (long i = 0; i < at_once; ++i) {
            pool.spawn();
        }
        pool.run_all();
    });
}

double tasks() {
    long ran = 0;
    std::vector<weft::task<void>> started;
    started.reserve(batch);
    const double ns = measure(50, batch, [&] {
        for (long i = 0; i < batch; ++i) {
            started.push_back(weft::spawn([&ran] { ++ran; }));
        }
        weft::joinall(started);
        started.clear();
    });
    if (ran != 51 * batch) {
        throw std::logic_error{"a task has not run"};
    }
    return ns;
}

double tasks_one_by_one() {
    long ran = 0;
    const double ns = measure(50'000, 1, [&] { weft::spawn([&ran] { ++ran; }).join(); });
    if (ran != 50'001) {
        throw std::logic_error{"a task has not run"};
    }
    return ns;
}

double fibers() {
    long ran = 0;
    const double ns = measure(50'000, 1, [&] {
        weft::fiber once{[&ran] { ++ran; }};
        once.switch_to();
    });
    if (ran != 50'001) {
        throw std::logic_error{"a fiber has not run"};
    }
    return ns;
}

}  // namespace

int main(int argc, char** argv) {
    bench::table table;
    table.add("std::thread, 1000 at once", threads, true);
    table.add(
        "bare fcontext, pooled, 1000 at once", [] { return bare_contexts(batch); }, true);
    table.add("bare fcontext, pooled, one by one", [] { return bare_contexts(1); });
    table.add("spawn, joinall, 1000 at once", tasks);
    table.add("spawn, join, one by one", tasks_one_by_one);
    table.add("fiber: create, run, destroy, one by one", fibers);
    return table.run(argc, argv, "start to end");
}
