// fuzz: quant
// A journal that a stopped run left: what --resume takes from it is what a run could have written.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "quant/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto journal = awq::parse_journal({reinterpret_cast<const char*>(data), size}, "journal");
  if (!journal.ok()) {
    AWQ_CHECK(!journal.error().message.empty());
    return 0;
  }
  AWQ_CHECK(journal->bytes <= size, journal->bytes);
  AWQ_CHECK(journal->lines.empty() == (journal->bytes == 0), journal->bytes);
  for (size_t i = 0; i < journal->lines.size(); ++i) {
    AWQ_CHECK(journal->lines[i].is_object(), i);
    AWQ_CHECK(i == 0 || (journal->lines[i].at("groups").is_array() &&
                         journal->lines[i].at("linears").is_array()), i);
  }
  return 0;
}
