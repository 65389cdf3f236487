#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace awq {

void check_failed(const char* file, int line, const char* condition, const std::string& values) {
  std::fprintf(stderr, "awq: internal error at %s:%d: check '%s' failed%s%s\n", file, line,
               condition, values.empty() ? "" : ": ", values.c_str());
  std::abort();
}

}  // namespace awq
