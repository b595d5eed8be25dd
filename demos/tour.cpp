// All demos in their order, or one: the programs that lie beside this one.
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>

#include "child.hpp"
#include "demo.hpp"

namespace {

struct stop {
    const char* program;
    const char* headline;
};

constexpr stop stops[] = {
    {"01_explicit", "explicit: fibers that switch to each other by name"},
    {"02_automatic", "automatic: tasks wait, the scheduler runs the others"},
    {"03_transparent", "transparent: plain sleep(), before and after monkey::patch_all()"},
    {"04_download", "the real thing: 40 downloads by an unmodified libcurl from a real nginx"},
    {"05_compare", "the comparison: one pipeline explicitly, automatically and on OS threads"},
};
constexpr int stop_count = std::size(stops);

int usage(const char* name) {
    std::fprintf(stderr, "usage: %s [1-%d]   (all demos, or the one of that number)\n", name, stop_count);
    return 2;
}

// "ok", or what went wrong.
std::string run(const char* program) {
    const auto path = std::filesystem::path{demo::own_path()}.replace_filename(program);
    try {
        const int status = demo::run_child({path.string()}, false).status;
        return status == 0 ? "ok" : "FAILED with status " + std::to_string(status);
    } catch (const std::system_error& error) {
        return std::string{"FAILED to start: "} + error.what();
    }
}

}  // namespace

int main(int argc, char** argv) {
    int first = 1, last = stop_count;
    if (argc == 2 && std::strlen(argv[1]) == 1) first = last = argv[1][0] - '0';
    else if (argc != 1) return usage(argv[0]);
    if (first < 1 || last > stop_count) return usage(argv[0]);

    bool good = true;
    std::string summary;
    for (int number = first; number <= last; ++number) {
        const stop& here = stops[number - 1];
        std::printf("\n=== %d. %s\n\n", number, here.headline);
        const demo::stopwatch watch;
        const std::string outcome = run(here.program);
        good = good && outcome == "ok";
        char line[50];
        std::snprintf(line, sizeof line, "%d. %-15s %5.1f s  ", number, here.program, watch.seconds());
        summary += line + outcome + "\n";
    }
    std::printf("\n=== summary\n\n%s", summary.c_str());
    return good ? 0 : 1;
}
