// What detail/small_lock.hpp promises: one holder at a time, and nobody sleeps on.
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <weft/detail/small_lock.hpp>

TEST_CASE("many threads count under the lock and miss none") {
    constexpr int threads = 4, each = 20'000;
    weft::detail::small_lock lock;
    long count = 0;
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t)
        all.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                lock.lock();
                ++count;
                // Now and then long enough for the others to go to sleep in the kernel.
                if (i % 4096 == 0) std::this_thread::sleep_for(std::chrono::microseconds{200});
                lock.unlock();
            }
        });
    for (auto& t : all) t.join();
    CHECK(count == threads * each);
}
