#include "pipeline.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace compare {
namespace {

template <class Number>
Number number(std::string_view text) {
    Number value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

std::string make_line(int item) {
    return std::to_string(item) + ";item-number-" + std::to_string(item * 7919LL % item_count) + ";" +
           std::to_string(item * 104729LL % 1'000'003);
}

record parse(const std::string& line) {
    const std::size_t first = line.find(';');
    const std::size_t second = line.find(';', first + 1);
    const std::string_view text = line;
    return {number<int>(text.substr(0, first)), line.substr(first + 1, second - first - 1),
            number<std::uint64_t>(text.substr(second + 1))};
}

record transform(record from) {
    std::reverse(from.name.begin(), from.name.end());
    from.amount = from.amount * 3 + from.name.size();
    return from;
}

void fold(const record& from, demo::checksum& sum) {
    sum.add(from.name);
    sum.add(std::to_string(from.id) + ":" + std::to_string(from.amount));
}

}  // namespace compare
