// The text side of a checkpoint: tokenizer, chat template, end-of-text ids, wherever they lie.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/source.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace awq {

struct Vocabulary {
  Tokenizer tokenizer;
  std::optional<std::string> chat_template;  ///< source text; parsed where it is used
  std::vector<int32_t> stop_ids;             ///< end of text: config, generation config, template
};

/// tokenizer.json (or tokenizer.model), tokenizer_config.json, chat_template.jinja, generation_config.json of a
/// directory, or the metadata of a GGUF file. `vocab`: rows of the embedding; a special id outside
/// it is an error.
Result<Vocabulary> load_vocabulary(const Checkpoint& checkpoint, int64_t vocab);

/// Writes the tokenizer and generation files of `checkpoint` into the Hugging Face directory
/// `directory`: copied byte for byte from a directory, made from the vocabulary of a GGUF file.
Status write_vocabulary(const Checkpoint& checkpoint, const Vocabulary& vocabulary,
                        const std::string& directory);

}  // namespace awq
