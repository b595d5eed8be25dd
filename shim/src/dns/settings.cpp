#include "settings.hpp"

#include <algorithm>
#include <cstring>

namespace weft::shim::dns {

settings::settings() noexcept {
    const struct __res_state& own = _res;
    options_ = own.options;
    if (!made()) return;
    retrans_ = own.retrans;
    retry_ = own.retry;
    dots_ = own.ndots;
    servers_ = std::clamp(own.nscount, 0, MAXNS);
    std::copy_n(own.nsaddr_list, servers_, server_);
    std::memcpy(domains_, own.defdname, sizeof domains_);
    bool more = true;
    for (int i = 0; i <= MAXDNSRCH; ++i) {
        const char* const name = more ? own.dnsrch[i] : nullptr;
        more = name != nullptr;
        const bool inside = more && name >= own.defdname && name < own.defdname + sizeof domains_;
        searched_[i] = inside ? static_cast<int>(name - own.defdname) : -1;
    }
}

bool settings::operator==(const settings& other) const noexcept {
    return options_ == other.options_ && retrans_ == other.retrans_ && retry_ == other.retry_ &&
           servers_ == other.servers_ && dots_ == other.dots_ &&
           std::memcmp(server_, other.server_, sizeof server_) == 0 &&
           std::memcmp(domains_, other.domains_, sizeof domains_) == 0 &&
           std::memcmp(searched_, other.searched_, sizeof searched_) == 0;
}

void settings::put() const noexcept {
    struct __res_state& own = _res;
    own.options = options_;
    own.retrans = retrans_;
    own.retry = retry_;
    own.ndots = dots_ & 0xf;
    own.nscount = servers_;
    std::copy_n(server_, servers_, own.nsaddr_list);
    std::memcpy(own.defdname, domains_, sizeof domains_);
    int used = 0;
    for (const int at : searched_)
        if (at >= 0) own.dnsrch[used++] = own.defdname + at;
    std::fill(own.dnsrch + used, own.dnsrch + MAXDNSRCH + 1, nullptr);
}

in_force::in_force(const settings& wanted) noexcept {
    if (!wanted.made()) return;  // libc reads them from its files, here as there
    if (!before_.made()) {
        ::res_ninit(&_res);
        before_ = settings{};
    }
    changed_ = !(before_ == wanted);
    if (changed_) wanted.put();
}

in_force::~in_force() {
    if (changed_) before_.put();
}

}  // namespace weft::shim::dns
