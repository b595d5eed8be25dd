// What a suspended fiber costs: memory, page tables, mappings, and CPU time to make and to end.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/fiber.hpp>
#include <weft/stack.hpp>

#include "bench.hpp"

namespace {

struct figures {
    double resident = 0;      // bytes each
    double page_tables = 0;   // bytes each
    double mappings = 0;      // in all
    double make_ns = 0;       // each
    double end_ns = 0;        // each
};

// Of the process: resident and page-table bytes, mappings.
figures now() {
    figures f;
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) f.resident = std::stod(line.substr(6)) * 1024;
        if (line.starts_with("VmPTE:")) f.page_tables = std::stod(line.substr(6)) * 1024;
    }
    std::ifstream maps{"/proc/self/maps"};
    f.mappings = static_cast<double>(std::count(std::istreambuf_iterator<char>{maps}, {}, '\n'));
    return f;
}

template <class Make, class End>
figures measure(std::size_t count, Make make, End end) {
    const double n = static_cast<double>(count);
    const figures before = now();
    const double start = bench::cpu_ns();
    make();
    figures f;
    f.make_ns = (bench::cpu_ns() - start) / n;
    const figures held = now();
    f.resident = (held.resident - before.resident) / n;
    f.page_tables = (held.page_tables - before.page_tables) / n;
    f.mappings = held.mappings - before.mappings;
    const double middle = bench::cpu_ns();
    end();
    f.end_ns = (bench::cpu_ns() - middle) / n;
    return f;
}

// The page faults alone, at the stride of a default stack.
figures pages(std::size_t count) {
    constexpr std::size_t stride = 260 * 1024;
    char* at = nullptr;
    return measure(
        count,
        [&] {
            at = static_cast<char*>(::mmap(nullptr, stride * count, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
            if (at == MAP_FAILED) throw std::runtime_error{"mmap"};
            ::madvise(at, stride * count, MADV_NOHUGEPAGE);
            for (std::size_t i = 1; i <= count; ++i) *static_cast<volatile char*>(at + i * stride - 512) = 1;
        },
        [&] { ::munmap(at, stride * count); });
}

figures fibers(std::size_t count) {
    std::vector<weft::fiber> made(count);  // the handles are the user's
    long resumed = 0;
    const auto body = [&resumed] {
        weft::fiber::current().parent().switch_to();
        ++resumed;
    };
    const figures f = measure(
        count,
        [&] {
            for (auto& one : made) {
                one = weft::fiber{body};
                one.switch_to();
            }
        },
        [&] {
            for (auto& one : made) one.switch_to();
        });
    if (resumed != static_cast<long>(count)) throw std::logic_error{"a fiber has not run"};
    return f;
}

figures fibers_with_mprotect(std::size_t count) {
    (void)weft::set_stack_options({.guard = weft::stack_guard::mprotect});
    return fibers(count);
}

struct row {
    const char* name;
    figures (*sample)(std::size_t);
    std::size_t count;
    std::vector<figures> taken{};
};

// In a process of its own, which nothing before it has touched.
figures sample_apart(const row& r) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error{"pipe"};
    const pid_t child = ::fork();
    if (child == 0) {
        const figures f = r.sample(r.count);
        ::_exit(::write(ends[1], &f, sizeof f) == sizeof f ? 0 : 1);
    }
    ::close(ends[1]);
    figures f;
    const bool whole = ::read(ends[0], &f, sizeof f) == sizeof f;
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!whole) throw std::runtime_error{std::string{r.name} + ": did not end well"};
    return f;
}

std::string spread(const std::vector<figures>& taken, double figures::*which) {
    std::vector<double> values;
    for (const figures& f : taken) values.push_back(f.*which);
    std::sort(values.begin(), values.end());
    char text[80];
    const double median = values[values.size() / 2];
    std::snprintf(text, sizeof text, "%.0f (%.0f-%.0f)", median, values.front(), values.back());
    return text;
}

int run(int rounds, const char* only) {
    std::vector<row> rows{
        {"page faults alone", pages, 100'000},
        {"suspended fibers", fibers, 100'000},
        {"page faults alone", pages, 1'000'000},
        {"suspended fibers", fibers, 1'000'000},
        {"page faults alone", pages, 30'000},
        {"suspended fibers, mprotect", fibers_with_mprotect, 30'000},
    };
    std::erase_if(rows, [&](const row& r) {
        return (r.name + std::to_string(r.count)).find(only) == std::string::npos;
    });
    for (int round = 0; round < rounds; ++round)
        for (row& r : rows) r.taken.push_back(sample_apart(r));
    std::printf("%-28s %8s  %-20s %-20s %-20s %-22s %-22s\n", "row", "count", "resident bytes",
                "page-table bytes", "mappings in all", "CPU ns to make", "CPU ns to end");
    for (const row& r : rows)
        std::printf("%-28s %8zu  %-20s %-20s %-20s %-22s %-22s\n", r.name, r.count,
                    spread(r.taken, &figures::resident).c_str(),
                    spread(r.taken, &figures::page_tables).c_str(),
                    spread(r.taken, &figures::mappings).c_str(), spread(r.taken, &figures::make_ns).c_str(),
                    spread(r.taken, &figures::end_ns).c_str());
    std::printf("%d rounds, each row in a process of its own; median (min-max); per fiber but for mappings.\n",
                rounds);
    return 0;
}

}  // namespace

int main(int argc, char** argv) try {
    int rounds = 3;
    const char* only = "";
    for (int i = 1; i < argc; i += 2) {
        const bool last = i + 1 == argc;
        if (!last && std::strcmp(argv[i], "--rounds") == 0) rounds = std::max(1, std::atoi(argv[i + 1]));
        else if (!last && std::strcmp(argv[i], "--only") == 0) only = argv[i + 1];
        else throw std::invalid_argument{"usage: memory_bench [--rounds N] [--only TEXT]"};
    }
    return run(rounds, only);
} catch (const std::exception& failed) {
    std::fprintf(stderr, "%s\n", failed.what());
    return 1;
}
