// Errors inside the interpreter are exceptions; ChatTemplate turns them into a Result, so none
// leaves this folder.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/format.h"

namespace awq::jinja {

inline constexpr uint32_t kNoOffset = UINT32_MAX;

struct Failure {
  std::string message;
  uint32_t offset = kNoOffset;  ///< byte of the source; the innermost node that knows it fills it
  bool raised = false;          ///< by raise_exception: the message is the template's own
};

template <class... Ts>
[[noreturn]] void fail(const Ts&... values) {
  throw Failure{cat(values...)};
}

template <class... Ts>
[[noreturn]] void fail_at(uint32_t offset, const Ts&... values) {
  throw Failure{cat(values...), offset};
}

}  // namespace awq::jinja
