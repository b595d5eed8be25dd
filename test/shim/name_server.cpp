#include "shim/name_server.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <arpa/nameser.h>
#include <poll.h>

#include <weft/monkey.hpp>

namespace test {
namespace {

std::string name_in(const std::string& query, std::size_t& at) {
    std::string name;
    while (at < query.size() && query[at] != 0) {
        const auto length = static_cast<unsigned char>(query[at]);
        name += (name.empty() ? "" : ".") + query.substr(at + 1, length);
        at += 1U + length;
    }
    ++at;
    return name;
}

std::string wire_name(std::string_view name) {
    std::string wire;
    while (!name.empty()) {
        const std::size_t end = std::min(name.find('.'), name.size());
        wire += static_cast<char>(end);
        wire += name.substr(0, end);
        name.remove_prefix(std::min(end + 1, name.size()));
    }
    return wire + '\0';
}

std::string number(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

// A record of the name that was asked for, or of `owner`.
std::string record(int type, const std::string& data, const std::string& owner = "\xc0\x0c") {
    return owner + number(static_cast<unsigned>(type)) + number(ns_c_in) + std::string("\0\0\0\x3c", 4) +
           number(static_cast<unsigned>(data.size())) + data;
}

const std::string ipv4{"\x0a\x01\x02\x03", 4};
const std::string ipv6{"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07", 16};

struct records {
    bool exists = true;
    std::vector<std::string> all;
};

records records_of(const std::string& name, int type) {
    const std::string host = wire_name("host.weft.test");
    if (name == "host.weft.test" || name == "slow.weft.test") {
        if (type == ns_t_a) return {true, {record(ns_t_a, ipv4)}};
        if (type == ns_t_aaaa) return {true, {record(ns_t_aaaa, ipv6)}};
        return {};
    }
    if (name == "alias.weft.test") {
        if (type == ns_t_a) return {true, {record(ns_t_cname, host), record(ns_t_a, ipv4, host)}};
        return {true, {record(ns_t_cname, host)}};
    }
    if (name == "many.weft.test") {
        records many;
        for (int i = 0; i < 28 && type == ns_t_a; ++i)
            many.all.push_back(record(ns_t_a, ipv4.substr(0, 3) + static_cast<char>(i)));
        return many;
    }
    if (name == "empty.weft.test") return {};
    if (name == "3.2.1.10.in-addr.arpa" && type == ns_t_ptr) return {true, {record(ns_t_ptr, host)}};
    return {false, {}};
}

}  // namespace

name_server::name_server() {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    auto* const at = reinterpret_cast<sockaddr*>(&address_);
    if (::bind(socket_, at, size) != 0 || ::getsockname(socket_, at, &size) != 0) throw std::runtime_error("bind");
    thread_ = std::thread{[this] { serve(); }};
}

name_server::~name_server() {
    stop_ = true;
    const weft::monkey::native_scope blocks;
    thread_.join();
}

void name_server::serve() {
    struct held {
        std::string answer;
        sockaddr_in to;
    };
    std::vector<held> waiting;
    while (!stop_) {
        if (!held_) {
            for (const held& h : waiting)
                ::sendto(socket_, h.answer.data(), h.answer.size(), 0, reinterpret_cast<const sockaddr*>(&h.to), sizeof h.to);
            waiting.clear();
        }
        pollfd look{socket_, POLLIN, 0};
        if (::poll(&look, 1, 2) <= 0) continue;
        std::string query(512, 0);
        sockaddr_in from{};
        socklen_t from_size = sizeof from;
        const ssize_t size = ::recvfrom(socket_, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
        if (size < NS_HFIXEDSZ) continue;
        ++asked_;
        query.resize(static_cast<std::size_t>(size));
        std::size_t end = NS_HFIXEDSZ;
        const std::string name = name_in(query, end);
        const int type = static_cast<unsigned char>(query[end]) << 8 | static_cast<unsigned char>(query[end + 1]);
        const records found = records_of(name, type);
        std::string answer = query.substr(0, 2);
        answer += number(0x8580U | (found.exists ? ns_r_noerror : ns_r_nxdomain));
        answer += number(1) + number(static_cast<unsigned>(found.all.size())) + number(0) + number(0);
        answer += query.substr(NS_HFIXEDSZ, end + 4 - NS_HFIXEDSZ);
        for (const std::string& one : found.all) answer += one;
        waiting.push_back({answer, from});
        if (name == "slow.weft.test" && held_) continue;
        const held now = waiting.back();
        waiting.pop_back();
        ::sendto(socket_, now.answer.data(), now.answer.size(), 0, reinterpret_cast<const sockaddr*>(&now.to), sizeof now.to);
    }
}

void point_at(struct __res_state& resolver, const name_server& server) {
    resolver.nscount = 1;
    resolver.nsaddr_list[0] = server.address();
    resolver.retrans = 20;
    resolver.retry = 2;
    std::strcpy(resolver.defdname, "weft.test");
    resolver.dnsrch[0] = resolver.defdname;
    resolver.dnsrch[1] = nullptr;
}

resolver_of::resolver_of(const name_server& server) {
    if (::res_init() != 0) throw std::runtime_error("res_init");
    point_at(_res, server);
}

resolver_of::~resolver_of() { ::res_init(); }

}  // namespace test
