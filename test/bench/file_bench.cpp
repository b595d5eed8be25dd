// What a file costs a task: reads and writes that the page cache serves, trips to the pool for files, and how long
// other tasks have to wait meanwhile.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/shim.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "bench.hpp"

namespace {

using namespace std::chrono_literals;

constexpr long calls = 20'000, trips = 2'000;
constexpr std::size_t page = 4096, cold_size = std::size_t{64} << 20;
const char* const folder = "/var/tmp";

char room[page];

int open_file(std::size_t size) {
    std::string name = std::string{folder} + "/weft-bench-" "XX" "XX" "XX";
    const int fd = ::mkstemp(name.data());
    if (fd < 0) std::exit(1);
    ::unlink(name.c_str());
    for (std::size_t at = 0; at < size; at += page)
        if (::write(fd, room, page) != static_cast<ssize_t>(page)) std::exit(1);
    return fd;
}

template <class Clock, class Call>
double each(Clock clock, long count, Call call) {
    const double start = clock();
    for (long i = 0; i < count; ++i) call(i);
    return (clock() - start) / static_cast<double>(count);
}

/// Prints the longest gaps of a 1 ms ticker that runs beside `work`, and how long that took.
template <class Work>
void beside(const char* name, Work work) {
    std::vector<double> gaps;
    bool stop = false;
    auto ticker = weft::spawn([&] {
        double last = bench::wall_ns();
        while (!stop) {
            weft::sleep_for(1ms);
            const double now = bench::wall_ns();
            gaps.push_back((now - last) / 1e6);
            last = now;
        }
    });
    weft::sleep_for(2ms);
    const double start = bench::wall_ns();
    work();
    const double took = (bench::wall_ns() - start) / 1e6;
    weft::sleep_for(1ms);  // a gap that has not ended yet counts
    stop = true;
    ticker.join();
    std::sort(gaps.begin(), gaps.end());
    std::printf("%-48s %8.1f ms  %6zu ticks, gaps: median %.2f ms, longest %.2f ms\n", name, took, gaps.size(),
                gaps[gaps.size() / 2], gaps.back());
}

void show_tickers(int file) {
    const int cold = open_file(cold_size);
    const auto read_cold = [&] {
        ::fdatasync(cold);
        ::posix_fadvise(cold, 0, 0, POSIX_FADV_DONTNEED);
        ::posix_fadvise(cold, 0, 0, POSIX_FADV_RANDOM);
        for (std::size_t at = 0; at < cold_size / 8; at += page) (void)!::pread(cold, room, page, static_cast<off_t>(at));
    };
    const auto sync = [&] {
        for (int i = 0; i < 100; ++i) {
            (void)!::pwrite(file, room, page, i * static_cast<off_t>(page));
            ::fsync(file);
        }
    };
    const auto lock = [&] {
        const int other = ::open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDWR);
        ::flock(file, LOCK_EX);
        auto release = weft::spawn_later(200ms, [&] { ::flock(file, LOCK_UN); });
        ::flock(other, LOCK_EX);
        ::close(other);
        release.join();
    };
    beside("2048 cold reads, parked", read_cold);
    beside("100 fsyncs, parked", sync);
    beside("a lock that is held for 200 ms, parked", lock);
    const weft::monkey::native_scope blocking;
    beside("2048 cold reads, blocking", read_cold);
    beside("100 fsyncs, blocking", sync);
    ::close(cold);
}

}  // namespace

int main(int argc, char** argv) {
    if (!weft::monkey::patch_all()) return 1;
    const int file = open_file(64 * page);
    const auto at = [](long i) { return i % 64 * static_cast<long>(page); };
    const auto& libc_pread = weft::monkey::original<&::pread>();
    const auto& libc_read = weft::monkey::original<&::read>();
    const auto& libc_pwrite = weft::monkey::original<&::pwrite>();
    const auto& libc_fsync = weft::monkey::original<&::fsync>();
    weft::yield();  // the thread has a hub from here on
    bench::table t;
    t.add("pread of 4 KiB, cached: libc", [&] {
        return each(bench::cpu_ns, calls, [&](long i) { (void)!libc_pread(file, room, page, at(i)); });
    }, true);
    t.add("  in a task", [&] {
        return each(bench::cpu_ns, calls, [&](long i) { (void)!::pread(file, room, page, at(i)); });
    });
    t.add("read of 4 KiB, cached: libc", [&] {
        return each(bench::cpu_ns, calls, [&](long i) {
            if (i % 64 == 0) ::lseek(file, 0, SEEK_SET);
            (void)!libc_read(file, room, page);
        });
    });
    t.add("  in a task", [&] {
        return each(bench::cpu_ns, calls, [&](long i) {
            if (i % 64 == 0) ::lseek(file, 0, SEEK_SET);
            (void)!::read(file, room, page);
        });
    });
    t.add("pwrite of 4 KiB into the page cache: libc", [&] {
        return each(bench::cpu_ns, calls, [&](long i) { (void)!libc_pwrite(file, room, page, at(i)); });
    });
    t.add("  in a task", [&] {
        return each(bench::cpu_ns, calls, [&](long i) { (void)!::pwrite(file, room, page, at(i)); });
    });
    t.add("open and close: libc", [&] {
        const weft::monkey::native_scope native;
        return each(bench::cpu_ns, calls, [&](long) { ::close(::open("/etc/passwd", O_RDONLY | O_CLOEXEC)); });
    });
    t.add("  in a task", [&] {
        return each(bench::cpu_ns, calls, [&](long) { ::close(::open("/etc/passwd", O_RDONLY | O_CLOEXEC)); });
    });
    // No file: what is left is the trip.
    t.add_parallel("fsync of no file: libc, wall time", [&] {
        return each(bench::wall_ns, trips, [&](long) { libc_fsync(-1); });
    }, true);
    t.add_parallel("  in a task: a trip to the pool", [&] {
        return each(bench::wall_ns, trips, [&](long) { ::fsync(-1); });
    });
    const int status = t.run(argc, argv, "call");
    if (argc == 1) show_tickers(file);
    ::close(file);
    return status;
}
