#include "fetch.hpp"

#include <array>
#include <fstream>
#include <memory>
#include <system_error>

#include "demo.hpp"

namespace demo {
namespace {

struct delivery {
    const sink& take;
    unsigned long long bytes = 0;
};

std::size_t deliver(char* data, std::size_t, std::size_t size, void* target) {
    auto& to = *static_cast<delivery*>(target);
    try {
        if (!to.take({data, size})) return CURL_WRITEFUNC_ERROR;
    } catch (...) {
        return CURL_WRITEFUNC_ERROR;  // an exception must not pass through libcurl's frames
    }
    to.bytes += size;
    return size;
}

}  // namespace

fetched fetch(const std::string& url, const sink& take, long patience_seconds) {
    fetched result;
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{curl_easy_init(), curl_easy_cleanup};
    if (!handle) {
        result.code = CURLE_FAILED_INIT;
        result.error = curl_easy_strerror(result.code);
        return result;
    }
    CURL* curl = handle.get();
    delivery to{take};
    std::array<char, CURL_ERROR_SIZE> detail{};
    const stopwatch watch;

    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail.data());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, deliver);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &to);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, patience_seconds);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, patience_seconds);
    // A name server that does not answer may outlast our patience: libcurl must not join its resolver thread.
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    result.code = curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    if (result.code == CURLE_OK) result.code = curl_easy_perform(curl);

    result.seconds = watch.seconds();
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &result.status);
    result.bytes = to.bytes;
    if (result.code != CURLE_OK) result.error = detail[0] ? detail.data() : curl_easy_strerror(result.code);
    return result;
}

fetched fetch_file(const std::string& url, const std::filesystem::path& file, const sink& watch,
                   long patience_seconds) {
    const std::filesystem::path part_file = file.string() + ".part";
    std::ofstream out{part_file, std::ios::binary};
    const auto keep = [&](std::string_view part) { return watch(part) && out << part; };
    fetched got = fetch(url, keep, patience_seconds);
    out.close();
    std::error_code error;
    if (!out) got.error = "cannot write " + part_file.string();
    if (got.error.empty()) std::filesystem::rename(part_file, file, error);
    if (error) got.error = file.string() + ": " + error.message();
    if (!got.error.empty()) std::filesystem::remove(part_file, error);
    return got;
}

std::string file_name_of(const std::string& url) {
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed{curl_url(), curl_url_cleanup};
    const auto part = [&](CURLUPart which) {
        char* text = nullptr;
        if (curl_url_get(parsed.get(), which, &text, 0) != CURLUE_OK) return std::string{};
        const std::unique_ptr<char, decltype(&curl_free)> owned{text, curl_free};
        return std::string{text};
    };
    if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
    const std::string scheme = part(CURLUPART_SCHEME);
    if (scheme != "http" && scheme != "https") return {};
    const std::string path = part(CURLUPART_PATH);
    const std::string name = path.substr(path.rfind('/') + 1);
    return name.empty() || name == "." || name == ".." ? "index.html" : name;
}

}  // namespace demo
