// download [-o DIR] URL...: all at once, a task and a blocking libcurl call each, with a progress line.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include "demo.hpp"
#include "fetch.hpp"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr const char* clear_line = "\r\x1b[K";

// On a terminal a line that is redrawn shows what goes well, and only errors stay.
struct progress {
    std::size_t wanted, done = 0, failed = 0;
    double bytes = 0, sum = 0;
    bool terminal = ::isatty(STDERR_FILENO) == 1;
    demo::stopwatch watch{};

    void draw() const {
        std::fprintf(stderr, "%s%zu of %zu, %.1f MB, %.1f s ", clear_line, done, wanted, bytes / 1e6,
                     watch.seconds());
    }
    void add(const std::string& url, const demo::fetched& got) {
        ++done;
        failed += !got.error.empty();
        sum += got.seconds;
        if (terminal && got.error.empty()) return;
        const std::string outcome = got.error.empty() ? std::to_string(got.bytes) + " bytes" : got.error;
        std::fprintf(stderr, "%s%s: %s\n", terminal ? clear_line : "", url.c_str(), outcome.c_str());
    }
};

// Into memory if no file is named. A file under way is called .part and gets its name once it is complete.
demo::fetched download(const std::string& url, const fs::path& file, progress& shown) {
    const fs::path part_file = file.string() + ".part";
    std::ofstream out;
    std::string memory;
    if (!file.empty()) out.open(part_file, std::ios::binary);
    demo::fetched got = demo::fetch(url, [&](std::string_view part) {
        shown.bytes += static_cast<double>(part.size());
        if (file.empty()) return memory += part, true;
        return bool(out << part);
    }, 30);
    if (file.empty()) return got;
    out.close();
    std::error_code error;
    if (!out) got.error = "cannot write " + part_file.string();
    if (got.error.empty()) fs::rename(part_file, file, error);
    if (error) got.error = file.string() + ": " + error.message();
    if (!got.error.empty()) fs::remove(part_file, error);
    return got;
}

int usage() {
    std::fputs("usage: download [-o DIR] URL...   (http or https, as many as you like)\n", stderr);
    return 2;
}

int run(const std::string& directory, const std::vector<std::string>& urls) {
    progress shown{urls.size()};
    weft::semaphore at_once{64};  // each download needs a few descriptors
    std::set<std::string> names;
    std::vector<weft::task<void>> tasks;
    for (const std::string& url : urls) {
        std::string name = demo::file_name_of(url);
        while (!names.insert(name).second) name += "~";
        const fs::path file = directory.empty() ? fs::path{} : directory / fs::path{name};
        tasks.push_back(weft::spawn([&, file] {
            at_once.acquire();
            shown.add(url, download(url, file, shown));
            at_once.release();
        }));
    }
    if (shown.terminal) {
        tasks.push_back(weft::spawn([&] {
            for (; shown.done < shown.wanted; weft::sleep_for(100ms)) shown.draw();
            std::fputs(clear_line, stderr);
        }));
    }
    for (const auto& each : tasks) each.get();
    std::printf("%zu of %zu fetched, %.0f bytes: %.2f s one by one, %.2f s together\n",
                shown.wanted - shown.failed, shown.wanted, shown.bytes, shown.sum, shown.watch.seconds());
    return shown.failed == 0 ? 0 : 1;
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
