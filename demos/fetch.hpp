/// @file fetch.hpp
/// One blocking download by libcurl's easy interface. Plain code: it knows nothing of weft.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <curl/curl.h>

namespace demo {

/// How one download ended.
struct fetched {
    CURLcode code = CURLE_OK;
    long status = 0;          // of HTTP; 0 if no answer came
    unsigned long long bytes = 0;  // handed to the sink
    double seconds = 0;
    std::string error;  // empty if all went well
};

/// Receives the contents piece by piece; false gives the download up.
using sink = std::function<bool(std::string_view)>;

/// Fetches `url` over HTTP or HTTPS and follows redirects. Call curl_global_init() first.
/// @param patience_seconds  limit for resolving and connecting, and for a transfer that stands still
fetched fetch(const std::string& url, const sink& take, long patience_seconds);

/// The same into a file, with each piece shown to `watch` too. While it is under way the file is called
/// `file`.part; it gets its name, and takes the place of one of that name, once it is complete.
fetched fetch_file(const std::string& url, const std::filesystem::path& file, const sink& watch,
                   long patience_seconds);

/// The last part of an http or https URL's path, fit to name a file: "index.html" if there is none, and empty
/// if `url` is not such a URL.
std::string file_name_of(const std::string& url);

}  // namespace demo
