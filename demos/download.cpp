// download [-o DIR] URL...: all at once, a task and a blocking libcurl call each, with a progress line.
#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include "fetch.hpp"
#include "progress.hpp"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr long patience = 30;  // seconds

int usage() {
    std::fputs("usage: download [-o DIR] URL...   (http or https, as many as you like)\n", stderr);
    return 2;
}

int run(const std::string& directory, const std::vector<std::string>& urls) {
    demo::progress shown{urls.size()};
    const auto count_bytes = [&](std::string_view part) { return shown.add_bytes(part.size()), true; };
    weft::semaphore at_once{64};  // each download needs a few descriptors
    std::set<std::string> names;
    std::vector<weft::task<void>> tasks;
    for (const std::string& url : urls) {
        std::string name = demo::file_name_of(url);
        while (!names.insert(name).second) name += "~";
        tasks.push_back(weft::spawn([&, name] {
            at_once.acquire();
            shown.add(url, directory.empty()
                               ? demo::fetch(url, count_bytes, patience)
                               : demo::fetch_file(url, directory / fs::path{name}, count_bytes, patience));
            at_once.release();
        }));
    }
    if (shown.has_line()) {
        tasks.push_back(weft::spawn([&] {
            for (; !shown.complete(); weft::sleep_for(100ms)) shown.draw();
            shown.clear();
        }));
    }
    for (const auto& each : tasks) each.get();
    return shown.print_summary() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> urls{argv + 1, argv + argc};
    std::string directory;
    if (urls.size() > 1 && urls[0] == "-o") {
        directory = urls[1];
        urls.erase(urls.begin(), urls.begin() + 2);
    }
    for (const std::string& url : urls) {
        if (demo::file_name_of(url).empty()) return usage();
    }
    if (urls.empty()) return usage();
    std::error_code error;
    if (!directory.empty()) fs::create_directories(directory, error);
    if (error) return std::fprintf(stderr, "%s: %s\n", directory.c_str(), error.message().c_str()), 1;
    std::signal(SIGPIPE, SIG_IGN);  // libcurl leaves signals alone, as we asked it to
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !weft::monkey::patch_all()) return 1;
    return run(directory, urls);
}
