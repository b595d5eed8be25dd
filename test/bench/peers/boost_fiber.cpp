// The measurements of peer.hpp with Boost.Fiber: its own scheduler (round_robin), and stacks from its pool, which
// serves it better than the default that asks malloc for each.
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include <boost/fiber/all.hpp>
#include <boost/version.hpp>

#include "peer.hpp"

namespace {

using namespace peers;
namespace fibers = boost::fibers;
namespace this_fiber = boost::this_fiber;

template <class F>
fibers::fiber start(fibers::pooled_fixedsize_stack& stacks, F function) {
    return fibers::fiber{std::allocator_arg, stacks, std::move(function)};
}

void join_all(std::vector<fibers::fiber>& started) {
    for (fibers::fiber& fiber : started) {
        fiber.join();
    }
    started.clear();
}

double ring(long members) {
    ring_state state;
    fibers::pooled_fixedsize_stack stacks;
    std::vector<fibers::fiber> started;
    started.push_back(start(stacks, [&] { lead_ring(state, members, this_fiber::yield); }));
    while (static_cast<long>(started.size()) < members) {
        started.push_back(start(stacks, [&] { follow_ring(state, this_fiber::yield); }));
    }
    join_all(started);
    return state.ns;
}

double spawn() {
    long ran = 0;
    fibers::pooled_fixedsize_stack stacks;
    std::vector<fibers::fiber> started;
    started.reserve(batch);
    const double ns = measure(batches, batch, [&] {
        for (long i = 0; i < batch; ++i) {
            started.push_back(start(stacks, [&ran] { ++ran; }));
        }
        join_all(started);
    });
    expect(ran == (batches + 1) * batch, "a fiber has not run");
    return ns;
}

double mutex() {
    fibers::mutex lock;
    long inside = 0;
    const double ns = measure(1, lock_pairs, [&] {
        for (long i = 0; i < lock_pairs; ++i) {
            const std::scoped_lock held{lock};
            ++inside;
        }
    });
    expect(inside == 2 * lock_pairs, "a turn was lost");
    return ns;
}

template <class Channel>
double through(Channel& channel) {
    std::int64_t sum = 0;
    const double start = bench::cpu_ns();
    fibers::fiber producer{[&] {
        for (std::int64_t i = 0; i < items; ++i) {
            channel.push(i);
        }
        channel.close();
    }};
    fibers::fiber consumer{[&] {
        for (const std::int64_t item : channel) {
            sum += item;
        }
    }};
    producer.join();
    consumer.join();
    expect(sum == sum_of_items, "an item was lost");
    return (bench::cpu_ns() - start) / items;
}

// A buffered_channel takes a power of two from 2 on and holds one item less.
double queue(std::size_t slots) {
    fibers::buffered_channel<std::int64_t> channel{slots};
    return through(channel);
}

double rendezvous() {
    fibers::unbuffered_channel<std::int64_t> channel;
    return through(channel);
}

double sleeps() {
    std::minstd_rand random{1};
    std::uniform_int_distribution<int> ms{0, longest_sleep_ms};
    long woken = 0;
    fibers::pooled_fixedsize_stack stacks;
    std::vector<fibers::fiber> started;
    started.reserve(sleepers);
    const double begun = bench::wall_ns();
    for (long i = 1; i <= sleepers; ++i) {
        started.push_back(start(stacks, [&woken, span = std::chrono::milliseconds{ms(random)}] {
            this_fiber::sleep_for(span);
            ++woken;
        }));
        if (i % sleepers_between_yields == 0) {
            this_fiber::yield();
        }
    }
    join_all(started);
    const double ns = bench::wall_ns() - begun;
    expect(woken == sleepers, "a sleeper has not woken");
    return ns / 1e9;
}

double wake() {
    fibers::unbuffered_channel<int> ping, pong;
    double ns = 0;
    long answered = 0;
    std::thread other{[&] {
        fibers::fiber{[&] {
            for (const int i : ping) {
                answered += i;
                pong.push(1);
            }
        }}.join();
    }};
    std::thread measuring{[&] {
        fibers::fiber{[&] {
            double begun = 0;
            for (long i = 0; i < warm_up + round_trips; ++i) {
                if (i == warm_up) {
                    begun = bench::wall_ns();
                }
                ping.push(1);
                pong.value_pop();
            }
            ns = (bench::wall_ns() - begun) / round_trips;
            ping.close();
        }}.join();
    }};
    measuring.join();
    other.join();
    expect(answered == warm_up + round_trips, "a wake-up was lost");
    return ns;
}

}  // namespace

int main(int argc, char** argv) {
    return run(argc, argv, "Boost.Fiber " BOOST_LIB_VERSION ", g++ " __VERSION__,
               {
                   {"yield_2", [] { return ring(2); }},
                   {"yield_100", [] { return ring(100); }},
                   {"yield_1000", [] { return ring(1000); }},
                   {"yield_10000", [] { return ring(10'000); }},
                   {"spawn", spawn},
                   {"mutex", mutex},
                   {"queue_128", [] { return queue(128); }},
                   {"queue_1", [] { return queue(2); }},
                   {"rendezvous", rendezvous},
                   {"sleeps", sleeps},
                   {"wake", wake},
               });
}
