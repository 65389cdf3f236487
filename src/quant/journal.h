// How far a quantization came: written beside the weights after every block, so that a run that was
// stopped, or killed, can go on to the same bytes.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/json.h"
#include "checkpoint/in_place_file.h"
#include "checkpoint/writer.h"

namespace awq {

/// The finished lines of a journal: its identity, then one object a block whose entries are lists.
struct JournalLines {
  std::vector<Json> lines;
  uint64_t bytes = 0;  ///< of them; what follows was being written when the run ended
};

/// Error naming the line that is not of a journal.
Result<JournalLines> parse_journal(std::string_view text, const std::string& origin);

class QuantizeJournal {
 public:
  /// `identity`: what must be equal for the bytes to be equal (options, input). Nothing is journaled
  /// before start().
  QuantizeJournal(const OutputDirectory& output, Json identity)
      : directory_(output.file("")), identity_(std::move(identity)) {}

  /// Reads what a stopped run left; false when it left nothing. Usage error naming what differs.
  Result<bool> resume();
  /// The frame is on disk: blocks follow.
  Status start(std::span<const int32_t> tokens);
  /// What was found out before the blocks, once for all: kept with the identity until start(); of a resumed run
  /// it must be what that found. Usage error otherwise.
  Status agree(const std::string& key, const Json& value);
  /// Block layers() is on disk. `entries`: {"groups", "linears", ...} of the report.
  Status add(Json entries);

  bool started() const { return file_.has_value(); }
  int64_t layers() const { return static_cast<int64_t>(blocks_.size()); }  ///< done
  const std::vector<int32_t>& tokens() const { return tokens_; }  ///< of a resumed run
  const std::vector<Json>& blocks() const { return blocks_; }     ///< the entries given to add()

 private:
  Status append(const Json& line);

  std::string directory_;
  Json identity_;
  Json head_;  // of a resumed run: identity and what was agreed on
  std::vector<int32_t> tokens_;
  std::vector<Json> blocks_;
  std::optional<InPlaceFile> file_;
  uint64_t size_ = 0;
};

}  // namespace awq
