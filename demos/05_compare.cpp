// One pipeline in three forms: explicit switches, tasks with queues, OS threads. Each runs in a process of
// its own, so that CPU time, memory and context switches are its own too.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "child.hpp"
#include "compare/pipeline.hpp"
#include "demo.hpp"
#include "line_counts.hpp"

namespace {

struct form {
    const char* name;
    compare::outcome (*run)();
    int lines;
};

constexpr form forms[] = {
    {"explicit", compare::run_explicit, compare::explicit_lines},
    {"automatic", compare::run_automatic, compare::automatic_lines},
    {"threads", compare::run_threads, compare::threads_lines},
};

// Since exec. What getrusage() gives includes the parent's memory before it.
long peak_memory_kib() {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + std::strlen("VmHWM:"));
    }
    return 0;
}

void run_here(const form& which) {
    const demo::stopwatch watch;
    const compare::outcome got = which.run();
    std::printf("%llx %llu %f %ld\n", static_cast<unsigned long long>(got.checksum),
                static_cast<unsigned long long>(got.switches), watch.seconds(), peak_memory_kib());
}

double seconds(const timeval& time) { return double(time.tv_sec) + double(time.tv_usec) * 1e-6; }

int print_table() {
    unsigned long long first = 0, checksum = 0, switches = 0;
    bool same = true;
    std::printf("%d items go source -> parser -> transformer -> sink; after each %d both ends wait\n\n",
                compare::item_count, compare::wait_every);
    std::printf("%-10s %8s %8s %10s %10s %6s\n", "", "wall", "CPU", "switches", "memory", "lines");
    for (const form& each : forms) {
        const demo::ended child = demo::run_child({demo::own_path(), each.name}, true);
        double wall = 0;
        long kib = 0;
        if (child.status != 0 ||
            std::sscanf(child.output.c_str(), "%llx %llu %lf %ld", &checksum, &switches, &wall, &kib) != 4) {
            std::printf("%-10s failed with status %d\n", each.name, child.status);
            return 1;
        }
        const rusage& used = child.used;
        // Threads are switched by the kernel, which counts for itself.
        if (switches == 0) switches = static_cast<unsigned long long>(used.ru_nvcsw + used.ru_nivcsw);
        if (&each == forms) first = checksum;
        same = same && checksum == first;
        const double cpu = seconds(used.ru_utime) + seconds(used.ru_stime);
        std::printf("%-10s %6.2f s %6.2f s %10llu %6.1f MiB %6d\n", each.name, wall, cpu, switches,
                    double(kib) / 1024, each.lines);
    }
    std::printf("\n%s\n", same ? "the same result in all three" : "THE RESULTS DIFFER");
    return same ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    for (const form& each : forms) {
        if (argc == 2 && std::strcmp(argv[1], each.name) == 0) return run_here(each), 0;
    }
    if (demo::unwanted_arguments(argc, argv)) return 2;
    return print_table();
}
