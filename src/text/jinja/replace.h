// Text operations that can grow their input, under the limits of a heap.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/heap.h"

namespace awq::jinja {

/// str.replace; `count` below 0 replaces all.
std::string replace_text(Heap& heap, std::string_view text, std::string_view from,
                         std::string_view to, int64_t count);

/// ljust '<', rjust '>' and center '^'. `fill` is one character.
std::string justify_text(Heap& heap, std::string_view text, int64_t width, char align,
                         std::string_view fill);

}  // namespace awq::jinja
