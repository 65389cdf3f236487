// strftime in English, whatever the locale of the process.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "text/jinja/heap.h"

namespace awq::jinja {

std::string format_time(Heap& heap, std::string_view format, const std::tm& time);

}  // namespace awq::jinja
