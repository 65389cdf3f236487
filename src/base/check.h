// CHECK for broken invariants of our own: prints the condition, the values and the place, aborts.
// Never for input from outside, which ends in a Result.
#pragma once

#include <string>

#include "base/format.h"

namespace awq {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& values);

}  // namespace awq

#define AWQ_CHECK(condition, ...)                                                            \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      ::awq::check_failed(__FILE__, __LINE__, #condition, ::awq::cat(__VA_ARGS__));          \
    }                                                                                        \
  } while (0)
