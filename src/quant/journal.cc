#include "quant/journal.h"

#include <cstring>

#include "base/checksum.h"
#include "base/file.h"

namespace awq {

Result<JournalLines> parse_journal(std::string_view text, const std::string& origin) {
  JournalLines journal;
  // What follows the last end of line was being written when the run was killed.
  const size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  for (size_t begin = 0; begin < whole;) {
    const size_t end = text.find('\n', begin);
    AWQ_ASSIGN(Json line, parse_json(text.substr(begin, end - begin), origin));
    const auto list = [&](const char* key) {
      const auto found = line.find(key);
      return found != line.end() && found->is_array();
    };
    const auto of_layer = [&](size_t layer) {
      const auto found = line.find("layer");
      return found != line.end() && found->is_number_unsigned() && *found == layer;
    };
    const size_t before = journal.lines.size();
    if (!line.is_object() || (before > 0 && !(list("groups") && list("linears") && of_layer(before - 1)))) {
      return bad_input(cat(printable(origin), ": line ", before + 1,
                           before > 0 ? cat(" is not layer ", before - 1, "'s") : std::string(" is not a journal's"),
                           "; leave --resume out to begin again"));
    }
    journal.lines.push_back(std::move(line));
    begin = end + 1;
  }
  journal.bytes = whole;
  return journal;
}

static std::string sum_of(std::span<const int32_t> tokens) {
  return hex_of(checksum(tokens.data(), tokens.size_bytes()));
}

// "bits 3 where the stopped run had 4": the first entry that differs.
static std::string difference(const std::string& key, const Json& was, const Json& is) {
  if (was.is_object() && is.is_object()) {
    for (const auto& [inner, value] : is.items()) {
      const auto found = was.find(inner);
      if (found == was.end() || *found != value) {
        return difference(inner, found == was.end() ? Json() : *found, value);
      }
    }
    for (const auto& [inner, value] : was.items()) {
      if (!is.contains(inner)) return difference(inner, value, Json());
    }
  }
  const auto said = [](const Json& value) {
    return value.is_null() ? std::string("nothing") : printable(dump_json(value), 80);
  };
  return cat(printable(key), " ", said(is), " where the stopped run had ", said(was));
}

Result<bool> QuantizeJournal::resume() {
  const std::string path = path_join(directory_, OutputDirectory::kJournal);
  if (!file_exists(path)) return false;
  AWQ_ASSIGN(const std::string text, read_file(path));
  AWQ_ASSIGN(const JournalLines journal, parse_journal(text, path));
  const std::vector<Json>& lines = journal.lines;
  if (lines.empty()) return false;
  const Json& head = lines.front();
  for (const auto& [key, value] : identity_.items()) {
    const auto was = head.find(key);
    if (was != head.end() && *was == value) continue;
    return usage_error(cat("--resume: ", difference(key, was == head.end() ? Json() : *was, value),
                           "; give the same options, or leave --resume out to begin again"));
  }
  const std::string ids_path = path_join(directory_, OutputDirectory::kJournalTokens);
  AWQ_ASSIGN(const std::string ids, read_file(ids_path));
  if (ids.size() % sizeof(int32_t) != 0) {
    return bad_input(cat(printable(ids_path), ": ", ids.size(), " bytes, expected token ids of four "
                         "bytes each; leave --resume out to begin again"));
  }
  tokens_.resize(ids.size() / sizeof(int32_t));
  std::memcpy(tokens_.data(), ids.data(), tokens_.size() * sizeof(int32_t));
  if (const auto sum = head.find("calibration"); sum == head.end() || *sum != sum_of(tokens_)) {
    return bad_input(cat(printable(ids_path), ": ", ids.size(), " bytes that are not the stopped run's calibration "
                         "tokens; leave --resume out to begin again"));
  }
  head_ = head;
  blocks_.assign(lines.begin() + 1, lines.end());
  file_.reset();
  AWQ_ASSIGN(InPlaceFile file, InPlaceFile::open(path, true));
  file_.emplace(std::move(file));
  size_ = journal.bytes;
  return true;
}

Status QuantizeJournal::start(std::span<const int32_t> tokens) {
  AWQ_TRY(write_file(path_join(directory_, OutputDirectory::kJournalTokens),
                     {reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()}));
  AWQ_ASSIGN(InPlaceFile file,
             InPlaceFile::open(path_join(directory_, OutputDirectory::kJournal), false));
  file_.emplace(std::move(file));
  size_ = 0;
  identity_["calibration"] = sum_of(tokens);
  return append(identity_);
}

Status QuantizeJournal::agree(const std::string& key, const Json& value) {
  if (!started()) {
    identity_[key] = value;
    return {};
  }
  if (const auto was = head_.find(key); was != head_.end() && *was == value) return {};
  return usage_error(cat("--resume: the ", key, " is not the stopped run's (another device or program, or files that "
                         "were changed); leave --resume out to begin again"));
}

Status QuantizeJournal::add(Json entries) {
  entries["layer"] = blocks_.size();
  AWQ_TRY(append(entries));
  blocks_.push_back(std::move(entries));
  return {};
}

Status QuantizeJournal::append(const Json& line) {
  const std::string text = dump_json(line) + "\n";
  AWQ_TRY(file_->write_at(size_, text.data(), text.size()));
  size_ += text.size();
  return file_->sync();
}

}  // namespace awq
