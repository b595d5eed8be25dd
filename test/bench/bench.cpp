#include "bench.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <sched.h>
#include <unistd.h>

namespace bench {

namespace {

struct options {
    long rounds = 7;
    int cpu = -1;  // -1: the last one allowed
    std::string only;
    bool list = false;
};

long whole_number(const char* text, long least, long most) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most) {
        throw std::invalid_argument{std::string{text} + " is not a number from " + std::to_string(least) +
                                    " to " + std::to_string(most)};
    }
    return value;
}

options parse(int argc, char** argv) {
    options chosen;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--list") {
            chosen.list = true;
        } else if (i + 1 == argc) {
            throw std::invalid_argument{"usage: " + std::string{argv[0]} +
                                        " [--rounds N] [--only TEXT] [--cpu N] [--list]"};
        } else if (name == "--rounds") {
            chosen.rounds = whole_number(argv[++i], 1, 10'000);
        } else if (name == "--only") {
            chosen.only = argv[++i];
        } else if (name == "--cpu") {
            chosen.cpu = static_cast<int>(whole_number(argv[++i], 0, CPU_SETSIZE - 1));
        } else {
            throw std::invalid_argument{"no option " + name};
        }
    }
    return chosen;
}

// The CPUs that the process may use, and the one among them for what is measured alone.
struct places {
    cpu_set_t all;
    cpu_set_t one;
    int cpu;

    // `cpu` -1: the last one allowed.
    explicit places(int chosen) : cpu{chosen} {
        if (sched_getaffinity(0, sizeof all, &all) != 0) {
            throw std::system_error{errno, std::generic_category(), "sched_getaffinity"};
        }
        for (int i = CPU_SETSIZE - 1; cpu < 0; --i) {
            if (CPU_ISSET(i, &all)) {
                cpu = i;
            }
        }
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
    }

    void stay_on(const cpu_set_t& set) const {
        if (sched_setaffinity(0, sizeof set, &set) != 0) {
            throw std::system_error{errno, std::generic_category(), "pinning to CPU " + std::to_string(cpu)};
        }
    }
};

// What all CPUs together have run, and what the host took from them, in ns.
double machine_busy_ns() {
    std::ifstream stat{"/proc/stat"};
    std::string line;
    if (!std::getline(stat, line)) {
        throw std::runtime_error{"/proc/stat cannot be read"};
    }
    std::istringstream fields{line.substr(4)};
    double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
    fields >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
    return (user + nice + system + irq + softirq + steal) * 1e9 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double clock_ns(clockid_t clock) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0) {
        throw std::system_error{errno, std::generic_category(), "clock_gettime"};
    }
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Three digits or so, whatever the size.
std::string shortened(double value) {
    char text[32];
    if (value < 0.1) {
        std::snprintf(text, sizeof text, "%.2g", value);
    } else {
        std::snprintf(text, sizeof text, "%.*f", value < 100 ? 2 : value < 1000 ? 1 : 0, value);
    }
    return text;
}

std::string spread(const std::vector<double>& values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return shortened(median(values)) + " (" + shortened(*least) + "-" + shortened(*most) + ")";
}

// Room for the heading of a column of ratios and for what stands below it.
int ratio_width(const std::string& baseline) {
    return static_cast<int>(std::max<std::size_t>(baseline.size() + 2, 22));
}

}  // namespace

double cpu_ns() { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }
double wall_ns() { return clock_ns(CLOCK_MONOTONIC); }

void table::add(std::string name, std::function<double()> sample, bool baseline) {
    rows_.push_back({std::move(name), std::move(sample), baseline, false});
}

void table::add_parallel(std::string name, std::function<double()> sample, bool baseline) {
    rows_.push_back({std::move(name), std::move(sample), baseline, true});
}

void table::print(const char* operation) const {
    const bool any_parallel = std::any_of(rows_.begin(), rows_.end(), [](const row& r) { return r.parallel; });
    const std::string unit = any_parallel ? "ns per " : "CPU ns per ";
    std::printf("%-46s %-28s", "row", (unit + operation).c_str());
    for (const row& base : rows_) {
        if (base.baseline) {
            std::printf(" %-*s", ratio_width(base.name), ("/ " + base.name).c_str());
        }
    }
    std::puts("");
    for (const row& r : rows_) {
        std::printf("%-46s %-28s", r.name.c_str(), spread(r.ns).c_str());
        for (const row& base : rows_) {
            if (!base.baseline) {
                continue;
            }
            if (base.parallel != r.parallel) {
                std::printf(" %-*s", ratio_width(base.name), "-");
                continue;
            }
            std::vector<double> ratios;
            for (std::size_t i = 0; i < r.ns.size(); ++i) {
                ratios.push_back(r.ns[i] / base.ns[i]);
            }
            std::printf(" %-*s", ratio_width(base.name), spread(ratios).c_str());
        }
        std::puts("");
    }
}

int table::run(int argc, char** argv, const char* operation) try {
    const options chosen = parse(argc, argv);
    std::erase_if(rows_,
                  [&](const row& r) { return !r.baseline && r.name.find(chosen.only) == std::string::npos; });
    if (chosen.list) {
        for (const row& r : rows_) {
            std::puts(r.name.c_str());
        }
        return 0;
    }
    const places where{chosen.cpu};
    const double started = wall_ns();
    const double busy = machine_busy_ns();
    const double own = cpu_ns();
    for (long round = 0; round < chosen.rounds; ++round) {
        for (row& r : rows_) {
            where.stay_on(r.parallel && chosen.cpu < 0 ? where.all : where.one);
            r.ns.push_back(r.sample());
        }
    }
    const double wall = wall_ns() - started;
    const double foreign = std::max(0.0, machine_busy_ns() - busy - (cpu_ns() - own)) / wall;
    print(operation);
    std::printf(
        "%ld rounds on CPU %d; median (min-max); ratios within a round. "
        "Others used %.0f %% of a CPU meanwhile%s\n",
        chosen.rounds, where.cpu, foreign * 100, foreign > 0.12 ? ": too noisy to quote." : ".");
    return std::fflush(stdout) == 0 ? 0 : 1;
} catch (const std::exception& failed) {
    std::fprintf(stderr, "%s: %s\n", argv[0], failed.what());
    return 1;
}

}  // namespace bench
