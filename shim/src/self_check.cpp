#include "self_check.hpp"

#include <atomic>
#include <cstring>
#include <string_view>

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/sys.hpp"
#include "context/sanitizer.hpp"
#include "original.hpp"

namespace weft::shim {
namespace {

namespace sys = detail::sys;

#if defined(__x86_64__)
constexpr unsigned jump_slot = R_X86_64_JUMP_SLOT, glob_dat = R_X86_64_GLOB_DAT, absolute = R_X86_64_64;
#elif defined(__aarch64__)
constexpr unsigned jump_slot = R_AARCH64_JUMP_SLOT, glob_dat = R_AARCH64_GLOB_DAT, absolute = R_AARCH64_ABS64;
#endif

/// What relocation needs of one module's dynamic section.
struct module_tables {
    ElfW(Addr) base = 0;
    const char* strings = nullptr;
    const ElfW(Sym)* symbols = nullptr;
    const ElfW(Rela)* relocations[2] = {nullptr, nullptr};  // of data and of calls
    std::size_t sizes[2] = {0, 0};
    ElfW(Addr) guarded = 0;  // what the loader makes read-only after relocation: from here, this much
    std::size_t guarded_size = 0;
};

struct search {
    bool repair;
    // Before the search, since dlsym takes a lock that is not to be waited for under the loader's other one.
    const bool* in_front;         // of each call: the program's modules find ours
    const char* stuck = nullptr;  // a module whose slot could not be written
    std::size_t unbound = 0;      // slots that lead past us
};

// The dynamic section holds addresses, but the vdso's and some tools' modules hold offsets.
template <class T>
const T* at(ElfW(Addr) base, ElfW(Addr) value) noexcept {
    return reinterpret_cast<const T*>(value < base ? base + value : value);
}

module_tables tables_of(const dl_phdr_info& info) noexcept {
    module_tables t;
    t.base = info.dlpi_addr;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
        if (info.dlpi_phdr[i].p_type == PT_GNU_RELRO) {
            t.guarded = t.base + info.dlpi_phdr[i].p_vaddr;
            t.guarded_size = info.dlpi_phdr[i].p_memsz;
        }
        if (info.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
        const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(t.base + info.dlpi_phdr[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; ++entry) {
            const ElfW(Addr) value = entry->d_un.d_ptr;
            switch (entry->d_tag) {
                case DT_STRTAB: t.strings = at<char>(t.base, value); break;
                case DT_SYMTAB: t.symbols = at<ElfW(Sym)>(t.base, value); break;
                case DT_RELA: t.relocations[0] = at<ElfW(Rela)>(t.base, value); break;
                case DT_RELASZ: t.sizes[0] = value; break;
                case DT_JMPREL: t.relocations[1] = at<ElfW(Rela)>(t.base, value); break;
                case DT_PLTRELSZ: t.sizes[1] = value; break;
                default: break;
            }
        }
    }
    return t;
}

// Modules whose calls must stay libc's: libc itself, the loader, and we.
bool left_alone(const dl_phdr_info& info) noexcept {
    const char* path = info.dlpi_name ? info.dlpi_name : "";
    const char* slash = std::strrchr(path, '/');
    const char* name = slash ? slash + 1 : path;
    for (const char* start : {"libc.so", "ld-linux", "linux-vdso", "libweft"})
        if (std::strncmp(name, start, std::strlen(start)) == 0) return true;
    return false;
}

const call_row* row_named(const char* name) noexcept {
    for (const call_row* row = call_rows; row->name; ++row)
        if (std::strcmp(row->name, name) == 0) return row;
    return nullptr;
}

// Whoever iterates over the modules holds a lock of the loader's, so nobody else changes protections here meanwhile.
bool write_slot(const module_tables& t, void** slot, void* value) noexcept {
    const auto at = reinterpret_cast<ElfW(Addr)>(slot);
    const bool guarded = at - t.guarded < t.guarded_size;
    const auto page = static_cast<std::uintptr_t>(getauxval(AT_PAGESZ));
    const long start = static_cast<long>(at / page * page), size = static_cast<long>(page);
    if (guarded && sys::call(SYS_mprotect, start, size, PROT_READ | PROT_WRITE) < 0) return false;
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (guarded) sys::call(SYS_mprotect, start, size, PROT_READ);
    return true;
}

// ThreadSanitizer orders events by locks, which it must see. What a call does inside one of its functions it does not.
bool is_left_to_sanitizer([[maybe_unused]] const call_row& row) noexcept {
#if defined(WEFT_TSAN)
    return std::string_view{row.area} == "sync";
#else
    return false;
#endif
}

void look_at_slot(search& s, const module_tables& t, const ElfW(Rela)& r, const char* module) noexcept {
    const auto type = ELF64_R_TYPE(r.r_info);
    if (type != jump_slot && type != glob_dat && type != absolute) return;
    const ElfW(Sym)& symbol = t.symbols[ELF64_R_SYM(r.r_info)];
    if (symbol.st_shndx != SHN_UNDEF) return;
    const call_row* row = row_named(t.strings + symbol.st_name);
    if (!row || is_left_to_sanitizer(*row)) return;
    auto** slot = reinterpret_cast<void**>(t.base + r.r_offset);
    void* const bound = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (bound == row->interposed) return;
    // Perhaps not bound yet. The name would be looked up in the global order, or in the module's own (RTLD_DEEPBIND).
    const bool lazy = type == jump_slot && bound != *row->original;
    if (!lazy || !s.in_front[row - call_rows]) ++s.unbound;
    if (s.repair && !write_slot(t, slot, row->interposed)) s.stuck = module;
}

int look_at_module(dl_phdr_info* info, std::size_t, void* p) noexcept {
    auto& s = *static_cast<search*>(p);
    if (left_alone(*info)) return 0;
    const module_tables t = tables_of(*info);
    if (!t.strings || !t.symbols) return 0;
    for (int k = 0; k < 2; ++k) {
        const std::size_t count = t.relocations[k] ? t.sizes[k] / sizeof(ElfW(Rela)) : 0;
        for (std::size_t i = 0; i < count; ++i) look_at_slot(s, t, t.relocations[k][i], info->dlpi_name);
    }
    return 0;
}

constinit std::atomic<bool> before_libc{false};

}  // namespace

bool stands_before_libc() noexcept { return before_libc.load(std::memory_order_relaxed); }

bool calls_arrive() noexcept {
    find_originals();
    bool in_front[call_count];
    bool all = true;
    for (std::size_t i = 0; i < call_count; ++i) {
        in_front[i] = seen_by_program(call_rows[i].name) == call_rows[i].interposed;
        all = all && in_front[i];
    }
    before_libc.store(all, std::memory_order_relaxed);
    search repaired{true, in_front};
    dl_iterate_phdr(look_at_module, &repaired);
    if (repaired.unbound == 0) return true;
    search again{false, in_front};
    dl_iterate_phdr(look_at_module, &again);
    return !repaired.stuck && again.unbound == 0;
}

}  // namespace weft::shim
