// For tests of threads of the library's own.
#pragma once

#include <atomic>
#include <thread>

#include <weft/this_task.hpp>

namespace test {

/// Holds jobs back until it is opened.
class gate {
public:
    void pass() const {
        while (!open_) std::this_thread::yield();
    }
    void open() { open_ = true; }

private:
    std::atomic<bool> open_{false};
};

/// Once something is true that another thread brings about; the test's limit is the limit.
void until(auto&& holds) {
    while (!holds()) weft::yield();
}

}  // namespace test
