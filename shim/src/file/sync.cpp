// fsync and its kin, and copies that stay inside the kernel: work for the disk, whole on a pool thread.
#include "pooled.hpp"

namespace weft::shim {

int core::fsync(int fd) {
    return in_pool("fsync", fd, [=] { return original().fsync(fd); });
}

int core::fdatasync(int fd) {
    return in_pool("fdatasync", fd, [=] { return original().fdatasync(fd); });
}

int core::syncfs(int fd) {
    return in_pool("syncfs", fd, [=] { return original().syncfs(fd); });
}

int core::sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
    return in_pool("sync_file_range", fd, [=] { return original().sync_file_range(fd, offset, size, flags); });
}

ssize_t core::copy_file_range(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags) {
    return in_pool("copy_file_range", io::attempt{in}, io::attempt{out},
                   [=] { return original().copy_file_range(in, in_at, out, out_at, size, flags); });
}

}  // namespace weft::shim
