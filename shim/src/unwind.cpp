// The compiler's tables (.eh_frame, as in the LSB) tell for each instruction where the frame above begins and where the
// registers of its caller lie. Only what leads to the next frame is followed: stack pointer, frame pointer, return address.
#include "unwind.hpp"

#include <cstring>

#include "sched/onlooker.hpp"

// libgcc's, as its unwinder finds the table's entry of an instruction.
struct dwarf_eh_bases {
    void* text;
    void* data;
    void* function;
};
extern "C" const void* _Unwind_Find_FDE(void* pc, dwarf_eh_bases* bases);

namespace weft::shim {
namespace {

bool word_at(std::uintptr_t address, std::uintptr_t& value) noexcept {
    return detail::peek_at(reinterpret_cast<const std::uintptr_t*>(address), value);
}

#if defined(__x86_64__)

constexpr std::uint64_t fp_register = 6, sp_register = 7, return_register = 16;

/// A walk through a table.
struct reader {
    const unsigned char* at;

    std::uint64_t fixed(int size) noexcept {
        std::uint64_t value = 0;
        std::memcpy(&value, at, static_cast<std::size_t>(size));
        at += size;
        return value;
    }
    std::uint64_t uleb() noexcept {
        std::uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            const unsigned char byte = *at++;
            if (shift < 64) value |= std::uint64_t{byte & 0x7fU} << shift;
            if (!(byte & 0x80)) return value;
        }
    }
    std::int64_t sleb() noexcept {
        std::uint64_t value = 0;
        unsigned shift = 0;
        unsigned char byte;
        do {
            byte = *at++;
            if (shift < 64) value |= std::uint64_t{byte & 0x7fU} << shift;
            shift += 7;
        } while (byte & 0x80);
        if (shift < 64 && (byte & 0x40)) value |= ~std::uint64_t{0} << shift;
        return static_cast<std::int64_t>(value);
    }
};

int size_of_pointer(unsigned encoding) noexcept {
    switch (encoding & 7) {
        case 2: return 2;
        case 3: return 4;
        default: return 8;
    }
}

/// Where a register of the caller is.
struct rule {
    enum : std::uint8_t { unchanged, at_offset, lost } how = unchanged;
    std::int64_t offset = 0;
};

/// What a row of the table says.
struct frame_row {
    std::uint64_t base_register = sp_register;
    std::int64_t base_offset = 0;
    bool base_known = true;  // not by an expression
    rule fp, ra;

    rule* of(std::uint64_t reg) noexcept { return reg == fp_register ? &fp : reg == return_register ? &ra : nullptr; }
};

struct entry {
    reader program{}, common{};             // instructions of the function, and those before them
    const unsigned char* program_end = nullptr;
    const unsigned char* common_end = nullptr;
    std::uintptr_t begins = 0;
    std::uint64_t code_unit = 1;
    std::int64_t data_unit = 1;
    bool is_signal_frame = false;
};

/// Reads what precedes the instructions. @returns false if it is of a kind that no compiler here makes
bool open_entry(std::uintptr_t pc, entry& e) noexcept {
    dwarf_eh_bases bases{};
    const auto* fde = static_cast<const unsigned char*>(_Unwind_Find_FDE(reinterpret_cast<void*>(pc), &bases));
    if (!fde) return false;
    e.begins = reinterpret_cast<std::uintptr_t>(bases.function);
    reader f{fde};
    const auto length = f.fixed(4);
    e.program_end = f.at + length;
    const unsigned char* const here = f.at;
    reader c{here - f.fixed(4)};
    const auto common_length = c.fixed(4);
    if (length >= 0xfffffff0 || common_length >= 0xfffffff0) return false;
    e.common_end = c.at + common_length;
    c.fixed(4);
    const auto version = c.fixed(1);
    const auto* words = reinterpret_cast<const char*>(c.at);
    c.at += std::strlen(words) + 1;
    e.code_unit = c.uleb();
    e.data_unit = c.sleb();
    const std::uint64_t return_column = version == 1 ? c.fixed(1) : c.uleb();
    if (*words != 'z' || return_column != return_register) return false;
    const auto more = c.uleb();
    e.common.at = c.at + more;
    unsigned encoding = 0;
    for (++words; *words; ++words) {
        if (*words == 'R') encoding = static_cast<unsigned>(c.fixed(1));
        else if (*words == 'L') c.fixed(1);
        else if (*words == 'P') c.at += size_of_pointer(static_cast<unsigned>(c.fixed(1)));
        else if (*words == 'S') e.is_signal_frame = true;
    }
    f.at += 2 * size_of_pointer(encoding);
    f.at += f.uleb();
    e.program = f;
    return true;
}

/// Runs instructions up to the row of `pc`. @returns false on one that is not known
bool run(reader r, const unsigned char* end, std::uintptr_t& at, std::uintptr_t pc, const entry& e, frame_row& row,
         const frame_row& initial) noexcept {
    constexpr int deepest = 8;
    frame_row saved[deepest];
    int depth = 0;
    const auto put = [&](std::uint64_t reg, rule what) {
        if (rule* const slot = row.of(reg)) *slot = what;
    };
    while (r.at < end) {
        const unsigned op = static_cast<unsigned>(r.fixed(1)), low = op & 0x3f;
        std::uint64_t reg;
        std::uint64_t step = 0;
        switch (op & 0xc0) {
            case 0x40: step = low; goto advance;
            case 0x80: put(low, {rule::at_offset, static_cast<std::int64_t>(r.uleb()) * e.data_unit}); continue;
            case 0xc0:
                if (rule* const slot = row.of(low)) *slot = low == fp_register ? initial.fp : initial.ra;
                continue;
            default: break;
        }
        switch (op) {
            case 0x00: continue;                                     // nop
            case 0x02: step = r.fixed(1); goto advance;
            case 0x03: step = r.fixed(2); goto advance;
            case 0x04: step = r.fixed(4); goto advance;
            case 0x05:                                               // offset_extended
                reg = r.uleb();
                put(reg, {rule::at_offset, static_cast<std::int64_t>(r.uleb()) * e.data_unit});
                continue;
            case 0x06:                                               // restore_extended
                reg = r.uleb();
                if (rule* const slot = row.of(reg)) *slot = reg == fp_register ? initial.fp : initial.ra;
                continue;
            case 0x07: put(r.uleb(), {rule::lost, 0}); continue;     // undefined
            case 0x08: put(r.uleb(), {}); continue;                  // same_value
            case 0x09: reg = r.uleb(); r.uleb(); put(reg, {rule::lost, 0}); continue;  // register
            case 0x0a:                                               // remember_state
                if (depth == deepest) return false;
                saved[depth++] = row;
                continue;
            case 0x0b:                                               // restore_state
                if (depth == 0) return false;
                row = saved[--depth];
                continue;
            case 0x0c:                                               // def_cfa
                row.base_register = r.uleb();
                row.base_offset = static_cast<std::int64_t>(r.uleb());
                row.base_known = true;
                continue;
            case 0x0d: row.base_register = r.uleb(); row.base_known = true; continue;
            case 0x0e: row.base_offset = static_cast<std::int64_t>(r.uleb()); continue;
            case 0x0f:                                               // def_cfa_expression
                reg = r.uleb();
                r.at += reg;
                row.base_known = false;
                continue;
            case 0x10:                                               // expression
            case 0x16:                                               // val_expression
                put(r.uleb(), {rule::lost, 0});
                reg = r.uleb();
                r.at += reg;
                continue;
            case 0x11:                                               // offset_extended_sf
                reg = r.uleb();
                put(reg, {rule::at_offset, r.sleb() * e.data_unit});
                continue;
            case 0x12:                                               // def_cfa_sf
                row.base_register = r.uleb();
                row.base_offset = r.sleb() * e.data_unit;
                row.base_known = true;
                continue;
            case 0x13: row.base_offset = r.sleb() * e.data_unit; continue;
            case 0x2e: r.uleb(); continue;                           // GNU_args_size
            default: return false;
        }
    advance:
        at += step * e.code_unit;
        if (at > pc) return true;
    }
    return true;
}

/// @returns false if no table tells how this function's frame is laid out there
bool row_of(std::uintptr_t pc, frame_row& row) noexcept {
    entry e;
    if (!open_entry(pc, e) || e.is_signal_frame) return false;
    std::uintptr_t at = e.begins;
    if (!run(e.common, e.common_end, at, pc, e, row, frame_row{})) return false;
    const frame_row initial = row;
    return run(e.program, e.program_end, at, pc, e, row, initial);
}

bool is_code(std::uintptr_t pc) noexcept {
    dwarf_eh_bases bases{};
    return _Unwind_Find_FDE(reinterpret_cast<void*>(pc), &bases) != nullptr;
}

/// The frame pointer is not known, and the frame hangs on it: looks for the return address, below which a function that
/// has a frame pointer keeps its caller's. @returns false if there is none near
bool search(standpoint& s) noexcept {
    constexpr std::uintptr_t near = 512 * sizeof(std::uintptr_t);
    for (std::uintptr_t slot = s.sp; slot < s.sp + near; slot += sizeof slot) {
        std::uintptr_t to = 0, below = 0;
        if (!word_at(slot, to) || !word_at(slot - sizeof slot, below)) return false;
        unsigned char before[5];
        if (to < sizeof before || !is_code(to - 1) ||
            !detail::peek(reinterpret_cast<const void*>(to - sizeof before), before, sizeof before))
            continue;
        const bool called = before[0] == 0xe8 || before[3] == 0xff || before[2] == 0xff;
        if (!called || below <= slot || below - slot > (std::uintptr_t{1} << 20)) continue;
        s = {to, slot + sizeof slot, below, true};
        return true;
    }
    return false;
}

#endif

/// From a frame to its caller's.
#if defined(__aarch64__)
// Compilers keep the chain of frame pointers there, and where a frame begins does not show from it.
bool step_out(standpoint& s) noexcept {
    std::uintptr_t above = 0, to = 0;
    if (s.fp == 0 || !word_at(s.fp, above) || !word_at(s.fp + sizeof above, to)) return false;
    if (to == 0 || (above != 0 && above <= s.fp)) return false;
    s = {to & ((std::uintptr_t{1} << 48) - 1), s.fp, above, true};  // the rest may be a signature
    return true;
}
#else
bool step_out(standpoint& s) noexcept {
    frame_row row;
    if (!row_of(s.calls ? s.pc - 1 : s.pc, row) || !row.base_known) return false;
    if (row.base_register != sp_register && row.base_register != fp_register) return false;
    if (row.base_register == fp_register && s.fp == 0) return search(s);
    const std::uintptr_t base = (row.base_register == sp_register ? s.sp : s.fp) + static_cast<std::uintptr_t>(row.base_offset);
    std::uintptr_t to = 0;
    if (base < s.sp || row.ra.how != rule::at_offset || !word_at(base + static_cast<std::uintptr_t>(row.ra.offset), to) ||
        to == 0)
        return false;
    std::uintptr_t fp = row.fp.how == rule::lost ? 0 : s.fp;
    if (row.fp.how == rule::at_offset) word_at(base + static_cast<std::uintptr_t>(row.fp.offset), fp);
    s = {to, base, fp, true};
    return true;
}
#endif

}  // namespace

std::size_t unwind(standpoint s, void** frames, std::size_t room) noexcept {
    std::size_t count = 0;
    while (count < room && s.pc != 0) {
        frames[count++] = reinterpret_cast<void*>(s.pc);
        if (!step_out(s)) break;
    }
    return count;
}

}  // namespace weft::shim
