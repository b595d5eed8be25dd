// The real thing: 40 downloads at once by an unmodified libcurl, one blocking curl_easy_perform() a task,
// from a real nginx. Beside them three that must fail, each on its own.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include "demo.hpp"
#include "fetch.hpp"
#include "nginx.hpp"

namespace {

constexpr std::size_t rate = 64 * 1024;  // bytes a second for each download

int run() {
    const auto files = demo::random_files(40, rate);
    const demo::nginx server{files, rate};
    const demo::loopback_port nobody;  // bound, but nobody listens
    const std::string refused = "http://127.0.0.1:" + std::to_string(nobody.number()) + "/";
    ::setenv("no_proxy", "*", 1);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !weft::monkey::patch_all()) return 1;

    const demo::stopwatch watch;
    double sum = 0, slowest = 0, wall = 0;
    int unexpected = 0;
    const auto print = [&](const char* name, const demo::fetched& got, bool good, const std::string& text) {
        if (!good) ++unexpected;
        std::printf("%-9s %5.2f s  %6llu bytes  %s%s\n", name, got.seconds, got.bytes,
                    good ? "" : "UNEXPECTED: ", text.c_str());
    };
    const auto download = [&](const demo::nginx::file& file) {
        demo::checksum want, have;
        want.add(file.contents);
        const std::string url = server.url(file.name);
        const auto got = demo::fetch(url, [&](auto part) { return have.add(part), true; }, 10);
        const bool good = got.error.empty() && have.value() == want.value();
        print(file.name.c_str(), got, good, good ? "checksum ok" : "checksum differs " + got.error);
        sum += got.seconds;
        slowest = std::max(slowest, got.seconds);
        wall = watch.seconds();
    };
    const auto fail = [&](const char* name, const std::string& url, std::vector<CURLcode> expected) {
        const auto got = demo::fetch(url, [](auto) { return true; }, 10);
        print(name, got, std::count(expected.begin(), expected.end(), got.code) > 0, got.error);
    };

    std::vector<weft::task<void>> tasks;
    for (const auto& file : files) tasks.push_back(weft::spawn([&] { download(file); }));
    tasks.push_back(weft::spawn(fail, "refused", refused, std::vector{CURLE_COULDNT_CONNECT}));
    const std::string gone = server.url("missing");
    tasks.push_back(weft::spawn(fail, "missing", gone, std::vector{CURLE_HTTP_RETURNED_ERROR}));
    // A name server that is silent, not negative, shows as a time-out.
    tasks.push_back(weft::spawn(fail, "no host", "http://no-such-host.invalid/",
                                std::vector{CURLE_COULDNT_RESOLVE_HOST, CURLE_OPERATION_TIMEDOUT}));
    for (const auto& each : tasks) each.get();

    std::printf("%zu downloads: %.2f s one by one, %.2f s together; the slowest took %.2f s\n", files.size(),
                sum, wall, slowest);
    return unexpected == 0 && wall < 1.5 * slowest ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (demo::unwanted_arguments(argc, argv)) return 2;
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    try {
        return run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
}
