// The part of an iovec array that has not gone yet.  Floor: shim.
#pragma once

#include <climits>

#include <sys/uio.h>

namespace weft::shim {

/// The caller's array is never written to.
class remaining_parts {
public:
    remaining_parts(const iovec* parts, size_t count) noexcept : all_{parts}, all_count_{count} {
        for (size_t i = 0; i < count && possible(); ++i) total_ += parts[i].iov_len;
    }

    /// False for what the kernel refuses: it is to say so itself.
    bool possible() const noexcept { return all_count_ <= IOV_MAX && (all_ || all_count_ == 0); }
    size_t total() const noexcept { return total_; }

    /// The first `gone` bytes have gone.
    void skip_to(size_t gone) noexcept {
        if (gone == 0) return;
        size_t skipped = 0;
        while (skipped < all_count_ && gone >= all_[skipped].iov_len) gone -= all_[skipped++].iov_len;
        first_ = skipped;
        cut_ = gone;
    }

    // A cut element is the only one that has to be changed: it goes alone, the rest after it.
    iovec* first() noexcept {
        if (cut_ == 0) return const_cast<iovec*>(all_ + first_);
        single_.iov_base = static_cast<char*>(all_[first_].iov_base) + cut_;
        single_.iov_len = all_[first_].iov_len - cut_;
        return &single_;
    }
    size_t count() const noexcept { return cut_ == 0 ? all_count_ - first_ : 1; }

private:
    const iovec* all_;
    size_t all_count_;
    size_t total_ = 0;
    size_t first_ = 0;
    size_t cut_ = 0;
    iovec single_{};
};

}  // namespace weft::shim
