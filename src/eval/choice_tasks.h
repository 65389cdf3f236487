// Zero-shot tasks as lm-evaluation-harness scores them: the log-likelihood of each choice after its
// context, without generating. docs/verbs/eval.md describes the files.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/engine.h"
#include "text/tokenizer.h"

namespace awq {

/// One question. Either one context with several continuations, several contexts with one
/// continuation (winogrande), or one of each, to be said word for word (lambada).
struct ChoiceItem {
  std::vector<std::string> contexts, continuations;  ///< continuations without the space before
  int gold = 0;
  size_t choices() const { return std::max(contexts.size(), continuations.size()); }
};

/// A JSONL file with one item a line, or six lines an item: context, gold, four endings. Errors name
/// the line and the field.
Result<std::vector<ChoiceItem>> parse_choice_items(std::string_view text, std::string_view origin);

/// Takes the last `shots` items off and puts them, with their right answers, before every other one:
/// context, a space, continuation, an empty line. Usage error where nothing would be left.
Status add_shots(std::vector<ChoiceItem>& items, int64_t shots);

struct ChoiceResult {
  int64_t items = 0;
  bool last_word = false;  ///< of single continuations: `accuracy` counts those said greedily
  double accuracy = 0, accuracy_stderr = 0;
  /// By log-likelihood per character; as accuracy where contexts differ.
  double normalized = 0, normalized_stderr = 0;
  double perplexity = 0;   ///< of the continuations, last_word only
  std::vector<int> chosen;  ///< by sum, per item; last_word: 1 where said
};

/// Scores the items one after the other; choices share the computation of their common prefix.
/// Contexts that are too long for the model lose their beginning.
Result<ChoiceResult> measure_choices(Engine& engine, const Tokenizer& tokenizer,
                                     const std::vector<ChoiceItem>& items,
                                     const std::function<void(int64_t, double)>& progress = {});

}  // namespace awq
