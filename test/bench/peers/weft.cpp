// The measurements of peer.hpp with weft.
#include <chrono>
#include <mutex>
#include <thread>

#include <weft/weft.hpp>
#if __has_include(<weft/channel.hpp>)
#include <weft/channel.hpp>
#define PEERS_HAVE_CHANNEL 1
#endif

#include "peer.hpp"

namespace {

using namespace peers;

void get_all(const std::vector<weft::task<void>>& tasks) {
    for (const auto& task : tasks) {
        task.get();  // throws what the task threw
    }
}

double ring(long members) {
    ring_state state;
    std::vector<weft::task<void>> tasks;
    tasks.push_back(weft::spawn([&] { lead_ring(state, members, weft::yield); }));
    while (static_cast<long>(tasks.size()) < members) {
        tasks.push_back(weft::spawn([&] { follow_ring(state, weft::yield); }));
    }
    get_all(tasks);
    return state.ns;
}

double spawn() {
    long ran = 0;
    std::vector<weft::task<void>> tasks;
    tasks.reserve(batch);
    const double ns = measure(batches, batch, [&] {
        for (long i = 0; i < batch; ++i) {
            tasks.push_back(weft::spawn([&ran] { ++ran; }));
        }
        weft::joinall(tasks);
        tasks.clear();
    });
    expect(ran == (batches + 1) * batch, "a task has not run");
    return ns;
}

double mutex() {
    weft::mutex lock;
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
    auto producer = weft::spawn([&] {
        for (std::int64_t i = 0; i < items; ++i) {
            channel.put(i);
        }
        channel.close();
    });
    auto consumer = weft::spawn([&] {
        while (const auto item = channel.get()) {
            sum += *item;
        }
    });
    producer.get();
    consumer.get();
    expect(sum == sum_of_items, "an item was lost");
    return (bench::cpu_ns() - start) / items;
}

double queue(std::size_t capacity) {
    weft::queue<std::int64_t> channel{capacity};
    return through(channel);
}

double sleeps() {
    std::minstd_rand random{1};
    std::uniform_int_distribution<int> ms{0, longest_sleep_ms};
    long woken = 0;
    std::vector<weft::task<void>> tasks;
    tasks.reserve(sleepers);
    const double start = bench::wall_ns();
    for (long i = 1; i <= sleepers; ++i) {
        tasks.push_back(weft::spawn([&woken, span = std::chrono::milliseconds{ms(random)}] {
            weft::sleep_for(span);
            ++woken;
        }));
        if (i % sleepers_between_yields == 0) {
            weft::yield();
        }
    }
    weft::joinall(tasks);
    const double ns = bench::wall_ns() - start;
    expect(woken == sleepers, "a sleeper has not woken");
    return ns / 1e9;
}

double wake() {
    weft::event ping, pong;
    double ns = 0;
    long answered = 0;
    const auto wait = [](weft::event& event) {
        event.wait();
        event.clear();
    };
    std::thread other{[&] {
        weft::spawn([&] {
            for (; answered < warm_up + round_trips; ++answered) {
                wait(ping);
                pong.set();
            }
        }).get();
    }};
    std::thread measuring{[&] {
        weft::spawn([&] {
            double start = 0;
            for (long i = 0; i < warm_up + round_trips; ++i) {
                if (i == warm_up) {
                    start = bench::wall_ns();
                }
                ping.set();
                wait(pong);
            }
            ns = (bench::wall_ns() - start) / round_trips;
        }).get();
    }};
    measuring.join();
    other.join();
    expect(answered == warm_up + round_trips, "a wake-up was lost");
    return ns;
}

}  // namespace

int main(int argc, char** argv) {
    return run(argc, argv, "weft " PEERS_WEFT_VERSION ", g++ " __VERSION__,
               {
                   {"yield_2", [] { return ring(2); }},
                   {"yield_100", [] { return ring(100); }},
                   {"yield_1000", [] { return ring(1000); }},
                   {"yield_10000", [] { return ring(10'000); }},
                   {"spawn", spawn},
                   {"mutex", mutex},
                   {"queue_128", [] { return queue(128); }},
                   {"queue_1", [] { return queue(1); }},
#ifdef PEERS_HAVE_CHANNEL
                   {"rendezvous",
                    [] {
                        weft::channel<std::int64_t> channel;
                        return through(channel);
                    }},
#endif
                   {"sleeps", sleeps},
                   {"wake", wake},
               });
}
