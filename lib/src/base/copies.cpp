#include "base/copies.hpp"

#include <cstdio>
#include <cstring>

#include <link.h>

#include "base/check.hpp"

WEFT_COPY_NOTE(1);

namespace weft::detail {
namespace {

struct search {
    std::uint32_t type;
    const void* here;
    int found = 0;
    bool here_first = false;
    const char* names[2] = {"", ""};
};

std::size_t rounded(std::size_t size, std::size_t to) noexcept { return (size + to - 1) / to * to; }

bool has_note(const char* at, std::size_t size, std::size_t align, std::uint32_t type) noexcept {
    const char* const end = at + size;
    while (static_cast<std::size_t>(end - at) >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        std::memcpy(&head, at, sizeof head);
        const char* const owner = at + sizeof head;
        const std::size_t whole = rounded(sizeof head + head.n_namesz, align) + rounded(head.n_descsz, align);
        if (whole > static_cast<std::size_t>(end - at)) return false;
        if (head.n_type == type && head.n_namesz == 5 && std::memcmp(owner, "weft", 5) == 0) return true;
        at += whole;
    }
    return false;
}

bool lies_in(const dl_phdr_info& info, const void* address) noexcept {
    const auto at = reinterpret_cast<ElfW(Addr)>(address) - info.dlpi_addr;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
        const auto& segment = info.dlpi_phdr[i];
        if (segment.p_type == PT_LOAD && at - segment.p_vaddr < segment.p_memsz) return true;
    }
    return false;
}

int look_at_module(dl_phdr_info* info, std::size_t, void* p) noexcept {
    auto& s = *static_cast<search*>(p);
    bool has = false;
    for (int i = 0; i < info->dlpi_phnum && !has; ++i) {
        const auto& segment = info->dlpi_phdr[i];
        if (segment.p_type != PT_NOTE) continue;
        const auto* const notes = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
        has = has_note(notes, segment.p_memsz, segment.p_align == 8 ? 8 : 4, s.type);
    }
    if (!has) return 0;
    if (s.found == 0) s.here_first = lies_in(*info, s.here);
    if (s.found < 2) s.names[s.found] = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : "the program itself";
    ++s.found;
    return 0;
}

[[gnu::constructor]] void look_for_others() {
    static const char here = 0;
    only_copy(part::library, &here, true);
}

}  // namespace

bool only_copy(part which, const void* here, bool tell) noexcept {
    search s{static_cast<std::uint32_t>(which), here};
    dl_iterate_phdr(look_at_module, &s);
    if (s.found <= 1) return true;
    if (tell && !s.here_first) {
        char text[480];
        std::snprintf(text, sizeof text,
                      "two copies of weft%s are in this process, %.150s and %.150s, and know nothing of each other's tasks: "
                      "link one of them only. Nothing is patched",
                      which == part::shim ? "'s shim" : "", s.names[0], s.names[1]);
        warn(text);
    }
    return false;
}

}  // namespace weft::detail
