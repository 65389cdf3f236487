// fuzz: eval
// A task file of `awq eval`: items have what scoring needs, or there is an error that says what.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "eval/choice_tasks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto items =
      awq::parse_choice_items({reinterpret_cast<const char*>(data), size}, "task.jsonl");
  if (!items.ok()) {
    AWQ_CHECK(!items.error().message.empty());
    return 0;
  }
  AWQ_CHECK(!items->empty());
  for (const awq::ChoiceItem& item : *items) {
    AWQ_CHECK(!item.contexts.empty() && !item.continuations.empty());
    AWQ_CHECK(item.contexts.size() == 1 || item.continuations.size() == 1);
    AWQ_CHECK(item.gold >= 0 && static_cast<size_t>(item.gold) < item.choices(), item.gold);
  }
  return 0;
}
