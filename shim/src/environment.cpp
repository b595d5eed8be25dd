// WEFT_PATCH in the environment: what is patched when the shim is loaded.
#include <cstdio>
#include <cstring>
#include <string_view>

#include <sys/auxv.h>

#include <weft/monkey.hpp>

#include "base/check.hpp"
#include "base/copies.hpp"
#include "gate.hpp"

WEFT_COPY_NOTE(2);

namespace weft::shim {
namespace {

void refuse(std::string_view word) {
    char text[256];
    std::snprintf(text, sizeof text,
                  "WEFT_PATCH: unknown word '%.*s'; known are all, time, socket, fd, poll, dns, file, process, signal, sync",
                  static_cast<int>(word.size() < 80 ? word.size() : 80), word.data());
    detail::warn(text);
}

void patch_listed(std::string_view list) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        const std::string_view word = list.substr(0, comma);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        if (word.empty()) continue;
        const int index = area_named(word);
        if (word != "all" && index < 0) {
            refuse(word);
            continue;
        }
        // Says itself why not, and would say it again for each word.
        if (!(word == "all" ? monkey::patch_all() : monkey::patch(static_cast<monkey::area>(index)))) return;
    }
}

// The environment comes as an argument: libc's own variable is not set before libc's constructor, which runs later.
[[gnu::constructor(103)]] void start(int, char**, char** environment) {
    detail::only_copy(detail::part::shim, &gates, true);
    constexpr std::string_view wanted = "WEFT_PATCH=";
    if (getauxval(AT_SECURE) != 0 || !environment) return;
    for (char** entry = environment; *entry; ++entry)
        if (std::strncmp(*entry, wanted.data(), wanted.size()) == 0) return patch_listed(*entry + wanted.size());
}

}  // namespace
}  // namespace weft::shim
