// recvmsg, recvmmsg, sendmsg, sendmmsg: control data, and headers that are read and written.
#include <cstring>

#include "shim/differential.hpp"
#include "shim/faults.hpp"
#include "shim/sockets.hpp"

using namespace std::chrono_literals;
using test::later;

namespace {

msghdr over(iovec* parts, std::size_t count) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    return message;
}

ssize_t send_with_rights(int to, const char* text, int what) {
    iovec part{const_cast<char*>(text), std::strlen(text)};
    msghdr message = over(&part, 1);
    test::control control;
    control.carry(message, &what, 1);
    return ::sendmsg(to, &message, 0);
}

}  // namespace

DIFFERENTIAL("recvmsg takes descriptors with the bytes that they came with") {
    auto s = test::unix_pair();
    char b[32] = {};
    iovec part{b, sizeof b};
    const auto take = [&](const char* what, int flags) {
        test::control control;
        msghdr message = over(&part, 1);
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        out(what, [&] { return c.recvmsg(s[0], &message, flags); });
        out.value("flags", message.msg_flags & ~MSG_CMSG_CLOEXEC);
        out.value("descriptors", control.take(message));
    };
    {
        const later send{c, 30ms, [&] {
            CHECK(send_with_rights(s[1], "abc", 1) == 3);
            CHECK(::send(s[1], "def", 3, 0) == 3);
        }};
        take("with a descriptor", MSG_CMSG_CLOEXEC);
    }
    take("the rest", 0);
    {
        CHECK(::send(s[1], "ab", 2, 0) == 2);
        const later send{c, 30ms, [&] {
            CHECK(::send(s[1], "cd", 2, 0) == 2);
            CHECK(send_with_rights(s[1], "ef", 1) == 2);
            CHECK(::send(s[1], "gh", 2, 0) == 2);
        }};
        part.iov_len = 10;
        take("MSG_WAITALL up to a descriptor", MSG_WAITALL);
        part.iov_len = 2;
        take("and after it", MSG_WAITALL);
    }
    CHECK(send_with_rights(s[1], "xyz", 1) == 3);
    msghdr none = over(&part, 1);
    out("without room for it", [&] { return c.recvmsg(s[0], &none, 0); });
    out.value("flags", none.msg_flags);
}

DIFFERENTIAL("recvmsg MSG_WAITALL fills all parts, with and without room for control data") {
    for (const bool room : {false, true}) {
        auto s = test::tcp_pair();
        char b[16] = {};
        char names[64];
        iovec parts[3] = {{b, 3}, {b + 3, 0}, {b + 3, 7}};
        test::control control;
        msghdr message = over(parts, 3);
        message.msg_name = names;
        message.msg_namelen = sizeof names;
        if (room) message.msg_control = control.room, message.msg_controllen = sizeof control.room;
        CHECK(::send(s[1], "ab", 2, 0) == 2);
        {
            const later send{c, 30ms, [&] { CHECK(::send(s[1], "cdefghij", 8, 0) == 8); }};
            out("all", [&] { return c.recvmsg(s[0], &message, MSG_WAITALL); });
        }
        out.bytes("bytes", b, 10);
        out.value("name", message.msg_namelen);
        out.value("control", static_cast<std::int64_t>(message.msg_controllen));
        out.value("flags", message.msg_flags);
        out.value("the parts are untouched", parts[0].iov_len == 3 && parts[2].iov_base == b + 3);
        CHECK(::send(s[1], "xyz!", 4, 0) == 4);
        s[1].close();
        out("cut by the end", [&] { return c.recvmsg(s[0], &message, MSG_WAITALL); });
        out("at the end", [&] { return c.recvmsg(s[0], &message, MSG_WAITALL); });
    }
}

DIFFERENTIAL("a recvmsg that fails leaves its header as it was") {
    auto s = test::udp_pair();
    char b[8], name[64];
    iovec part{b, sizeof b};
    test::control control;
    msghdr message = over(&part, 1);
    message.msg_name = name;
    message.msg_namelen = 40;
    message.msg_control = control.room;
    message.msg_controllen = 100;
    message.msg_flags = 77;
    test::set_timeout(s[0], SO_RCVTIMEO, 40);
    out("in vain", [&] { return c.recvmsg(s[0], &message, 0); });
    out.value("name", message.msg_namelen);
    out.value("control", static_cast<std::int64_t>(message.msg_controllen));
    out.value("flags", message.msg_flags);
    const later send{c, 20ms, [&] { ::send(s[1], "hi", 2, 0); }};
    out("after a wait", [&] { return c.recvmsg(s[0], &message, 0); });
    out.value("name", message.msg_namelen);
    out.value("control", static_cast<std::int64_t>(message.msg_controllen));
    out.value("flags", message.msg_flags);
    out("of no descriptor", [&] { return c.recvmsg(-1, &message, 0); });
    message.msg_iovlen = 5000;
    out("of too many parts", [&] { return c.recvmsg(s[0], &message, 0); });
}

DIFFERENTIAL("recvmmsg") {
    auto s = test::udp_pair();
    char b[4][8] = {};
    iovec parts[4];
    mmsghdr many[4] = {};
    for (int i = 0; i < 4; ++i) {
        parts[i] = {b[i], sizeof b[i]};
        many[i].msg_hdr = over(&parts[i], 1);
    }
    const auto lengths = [&](int count) {
        for (int i = 0; i < count; ++i) out.value("length", many[i].msg_len);
    };
    {
        const later send{c, 30ms, [&] { ::send(s[1], "a", 1, 0); }};
        lengths(out("waits for the first only",
                    [&] { return c.recvmmsg(s[0], many, 4, MSG_WAITFORONE, nullptr); }));
    }
    {
        ::send(s[1], "a", 1, 0), ::send(s[1], "bb", 2, 0);
        lengths(out("and takes what is there",
                    [&] { return c.recvmmsg(s[0], many, 4, MSG_WAITFORONE, nullptr); }));
    }
    {
        const later send{c, 30ms, [&] { ::send(s[1], "a", 1, 0), ::send(s[1], "bb", 2, 0), ::send(s[1], "ccc", 3, 0); }};
        lengths(out("waits for all", [&] { return c.recvmmsg(s[0], many, 3, 0, nullptr); }));
    }
    for (int i = 0; i < 3; ++i) ::send(s[1], "xy", 2, 0);
    lengths(out("MSG_DONTWAIT", [&] {
        const test::faults::spared now;
        return c.recvmmsg(s[0], many, 4, MSG_DONTWAIT, nullptr);
    }));
    timespec limit{0, 20'000'000};
    const later send{c, 60ms, [&] { ::send(s[1], "late", 4, 0); }};
    out("its limit is looked at after a message", [&] { return c.recvmmsg(s[0], many, 4, 0, &limit); });
    out.value("nothing is left of it", limit.tv_sec == 0 && limit.tv_nsec == 0);
    timespec bad{0, -1};
    out("a bad limit", [&] { return c.recvmmsg(s[0], many, 4, 0, &bad); });
    test::set_timeout(s[0], SO_RCVTIMEO, 50);
    out("none in time", [&] { return c.recvmmsg(s[0], many, 4, 0, nullptr); });
    ::send(s[1], "one", 3, 0);
    out("one in time", [&] { return c.recvmmsg(s[0], many, 4, 0, nullptr); });
    out("of no descriptor", [&] { return c.recvmmsg(-1, many, 4, 0, nullptr); });
    out("of none", [&] { return c.recvmmsg(s[0], many, 0, 0, nullptr); });
}

DIFFERENTIAL("sendmsg and sendmmsg") {
    auto s = test::unix_pair(SOCK_SEQPACKET);
    char b[64] = {};
    iovec parts[2] = {{const_cast<char*>("ab"), 2}, {const_cast<char*>("cde"), 3}};
    msghdr message = over(parts, 2);
    out("sendmsg", [&] { return c.sendmsg(s[0], &message, 0); });
    out("it comes whole", [&] { return c.recv(s[1], b, sizeof b, 0); });
    out.bytes("bytes", b, 5);
    message.msg_iovlen = 5000;
    out("of too many parts", [&] { return c.sendmsg(s[0], &message, 0); });
    message.msg_iovlen = 0;
    out("of no parts", [&] { return c.sendmsg(s[0], &message, 0); });
    out("it comes empty", [&] { return c.recv(s[1], b, sizeof b, MSG_DONTWAIT); });
    mmsghdr many[3] = {};
    for (auto& one : many) one.msg_hdr = over(parts, 2);
    out("sendmmsg", [&] { return c.sendmmsg(s[0], many, 3, 0); });
    for (const auto& one : many) out.value("length", one.msg_len);
    test::control control;
    const int rights[2] = {0, 1};
    message = over(parts, 2);
    control.carry(message, rights, 2);
    out("with descriptors", [&] { return c.sendmsg(s[0], &message, 0); });
    s[1].close();
    out("to a closed peer", [&] { return c.sendmmsg(s[0], many, 3, MSG_NOSIGNAL); });
    out("to no descriptor", [&] { return c.sendmmsg(-1, many, 3, 0); });
    out("none", [&] { return c.sendmmsg(s[0], many, 0, 0); });
}

DIFFERENTIAL("headers and arrays that are not there") {
    auto s = test::unix_pair();
    char b[8] = {};
    iovec part{b, sizeof b};
    msghdr message = over(&part, 1);
    auto* const nowhere = reinterpret_cast<char*>(std::uintptr_t{16});
    auto* const no_header = reinterpret_cast<msghdr*>(nowhere);
    auto* const no_headers = reinterpret_cast<mmsghdr*>(nowhere);
    out("recvmsg", [&] { return c.recvmsg(s[0], no_header, 0); });
    out("recvmsg MSG_WAITALL", [&] { return c.recvmsg(s[0], no_header, MSG_WAITALL); });
    out("recvmsg MSG_DONTWAIT", [&] { return c.recvmsg(s[0], no_header, MSG_DONTWAIT); });
    out("sendmsg", [&] { return c.sendmsg(s[0], no_header, 0); });
    out("recvmmsg", [&] { return c.recvmmsg(s[0], no_headers, 2, 0, nullptr); });
    out("sendmmsg", [&] { return c.sendmmsg(s[0], no_headers, 2, 0); });
    mmsghdr one{};
    one.msg_hdr = message;
    out("recvmmsg's limit", [&] { return c.recvmmsg(s[0], &one, 1, 0, reinterpret_cast<timespec*>(nowhere)); });
    message.msg_iov = reinterpret_cast<iovec*>(nowhere);
    message.msg_iovlen = 2;
    out("recvmsg's parts", [&] { return c.recvmsg(s[0], &message, 0); });
    out("recvmsg's parts, MSG_WAITALL", [&] { return c.recvmsg(s[0], &message, MSG_WAITALL); });
    out("sendmsg's parts", [&] { return c.sendmsg(s[0], &message, 0); });
    part = {nowhere, 4};
    message = over(&part, 1);
    out("a part that is not there, to send", [&] { return c.sendmsg(s[0], &message, 0); });
    CHECK(::send(s[1], "abc", 3, 0) == 3);
    out("and to receive into", [&] { return c.recvmsg(s[0], &message, 0); });
    out("recv", [&] { return c.recv(s[0], nowhere, 3, 0); });
    out("send", [&] { return c.send(s[0], nowhere, 3, 0); });
}
