#include "context/advice.hpp"

#include <atomic>
#include <cerrno>

#include "base/sys.hpp"

namespace weft::detail {
namespace {

// @returns whether all was done; what was done in part may be done again
bool advise_at_once(std::span<const iovec> ranges, long advice) noexcept {
    constexpr long this_process = -10000;  // PIDFD_SELF
    static std::atomic<bool> possible{true};
    if (!possible.load(std::memory_order_relaxed)) return false;
    long wanted = 0;
    for (const iovec& r : ranges) wanted += static_cast<long>(r.iov_len);
    const long done = sys::call(SYS_process_madvise, this_process, sys::word(ranges.data()),
                                static_cast<long>(ranges.size()), advice, 0);
    // Refused as such, or only for these ranges, which their own calls will tell.
    if (done < 0 && done != -ENOMEM) possible.store(false, std::memory_order_relaxed);
    return done == wanted;
}

}  // namespace

advised advise(std::span<const iovec> ranges, long advice) noexcept {
    if (ranges.size() > 1 && advise_at_once(ranges, advice)) return {ranges.size(), 0};
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const long result = sys::call(SYS_madvise, sys::word(ranges[i].iov_base),
                                      static_cast<long>(ranges[i].iov_len), advice);
        if (result != 0) return {i, static_cast<int>(-result)};
    }
    return {ranges.size(), 0};
}

}  // namespace weft::detail
