// Descriptors of weft's own, for the length of one wait.  Floor: shim.
#pragma once

namespace weft::shim {

/// The program can neither close it nor put another in its place, and a forked child has it no more.
class own_descriptor {
public:
    own_descriptor() noexcept = default;
    ~own_descriptor() { close(); }
    own_descriptor(const own_descriptor&) = delete;
    own_descriptor& operator=(const own_descriptor&) = delete;

    /// @param made  what the kernel has answered: a descriptor, closed by exec, or minus an error number
    /// @returns whether there is one
    bool take(long made) noexcept;
    bool is_open() const noexcept { return fd_ >= 0; }
    int number() const noexcept { return fd_; }

private:
    void close() noexcept;

    friend struct own_descriptors;
    int fd_ = -1;
    own_descriptor* prev_ = nullptr;
    own_descriptor* next_ = nullptr;
};

}  // namespace weft::shim
