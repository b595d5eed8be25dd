// Tasks and plain threads allocate, hand blocks to each other and free them, and tasks switch in between.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/task.hpp>
#include <weft/this_task.hpp>

namespace {

struct block {
    std::uint32_t size;
    unsigned char fill;
    unsigned char bytes[1];
};

std::atomic<block*> exchange[64];
std::atomic<int> spoilt{0};

class worker {
public:
    explicit worker(std::uint32_t seed) : seed_{seed * 2654435761U + 1} {}

    template <class Switch>
    void work(int rounds, Switch now_and_then) {
        for (int i = 0; i < rounds; ++i) {
            block* const made = make();
            let_go(exchange[draw() % 64].exchange(made));
            if (draw() % 8 == 0) let_go(exchange[draw() % 64].exchange(nullptr));
            if (draw() % 16 == 0) now_and_then(draw());
        }
    }

    static void let_go(block* old) {
        if (!old) return;
        for (std::uint32_t i = 0; i < old->size; i += 97)
            if (old->bytes[i] != old->fill) spoilt.fetch_add(1);
        std::free(old);
    }

private:
    std::uint32_t draw() { return (seed_ = seed_ * 1664525U + 1013904223U) >> 8; }
    block* make() {
        const std::uint32_t size = 1 + draw() % (draw() % 32 == 0 ? 200'000 : 900);
        auto* const made = static_cast<block*>(draw() % 4 == 0 ? std::calloc(1, sizeof(block) + size)
                                                               : std::malloc(sizeof(block) + size));
        if (!made) std::abort();
        made->size = size;
        made->fill = static_cast<unsigned char>(draw());
        std::memset(made->bytes, made->fill, size);
        return made;
    }

    std::uint32_t seed_;
};

// A task's ways to wait; each is the thread's if nothing is patched.
void switch_somehow(int* ends, std::uint32_t drawn) {
    char byte = 0;
    switch (drawn % 5) {
        case 0: weft::yield(); break;
        case 1: ::usleep(50); break;
        case 2: ::poll(nullptr, 0, 1); break;
        case 3: weft::sleep_for(std::chrono::microseconds{100}); break;
        default:
            if (::write(ends[1], "x", 1) != 1 || ::read(ends[0], &byte, 1) != 1 || byte != 'x') spoilt.fetch_add(1);
    }
}

void tasks_of_a_thread(std::uint32_t seed) {
    std::vector<weft::task<void>> tasks;
    for (std::uint32_t i = 0; i < 12; ++i)
        tasks.push_back(weft::spawn([seed, i] {
            int ends[2];
            if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) std::abort();
            worker{seed + i}.work(2'000, [&](std::uint32_t drawn) { switch_somehow(ends, drawn); });
            ::close(ends[0]);
            ::close(ends[1]);
        }));
    for (auto& task : tasks) task.get();
}

}  // namespace

int main() {
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 3; ++i)
        threads.emplace_back([i] { worker{1000 + i}.work(100'000, [](std::uint32_t) { ::sched_yield(); }); });
    threads.emplace_back([] { tasks_of_a_thread(500); });
    tasks_of_a_thread(1);
    for (auto& thread : threads) thread.join();
    for (auto& slot : exchange) worker::let_go(slot.exchange(nullptr));
    // Whose malloc it was, and that calls parked if they were to.
    Dl_info owner{};
    dladdr(dlsym(RTLD_DEFAULT, "malloc"), &owner);
    bool ran = false;
    auto other = weft::spawn([&] { ran = true; });
    ::usleep(1'000);
    std::printf("malloc of %s, parks %d, spoilt %d\n", owner.dli_fname, ran, spoilt.load());
    other.join();
    return spoilt.load() != 0;
}
