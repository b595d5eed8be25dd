#include <weft/message.hpp>

#include <cstdlib>
#include <cxxabi.h>
#include <memory>

namespace weft::detail {
namespace {

std::string readable(const std::type_info& type) {
    if (type == typeid(std::string)) return "std::string";
    int status = 0;
    std::unique_ptr<char, decltype(&std::free)> name{abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                     &std::free};
    return status == 0 ? name.get() : type.name();
}

std::string listed(const std::type_info* const* types, std::size_t count) {
    std::string text = "(";
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) text += ", ";
        text += readable(*types[i]);
    }
    return text + ")";
}

}  // namespace

void throw_bad_message(const message_kind* held, const std::type_info* const* wanted, std::size_t wanted_count) {
    throw bad_message("weft: the message holds " + (held ? listed(held->types, held->count) : "()") +
                      " but was asked for " + listed(wanted, wanted_count) +
                      "; ask with as<T>() or get<T...>() for the types that were sent");
}

}  // namespace weft::detail
