#include "text/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/format.h"
#include "text/token_table.h"
#include "text/unicode.h"
#include "text/unigram.h"

namespace awq {
namespace {

// One message of the wire format: a list of fields, each a number and a value.
struct WireField {
  uint32_t number = 0;
  uint64_t integer = 0;     ///< of varints and fixed sizes
  std::string_view bytes;   ///< of texts and messages
  bool has_bytes = false;
};

class WireReader {
 public:
  /// `offset` is where `message` begins in the file, for errors.
  WireReader(std::string_view message, size_t offset, std::string_view where)
      : message_(message), offset_(offset), where_(where) {}

  bool done() const { return at_ == message_.size(); }
  size_t offset() const { return offset_ + at_; }

  Result<WireField> next() {
    AWQ_ASSIGN(const uint64_t key, varint());
    WireField field;
    if ((key >> 3) == 0 || (key >> 3) > 0x1FFFFFFF) return error("a field has no valid number");
    field.number = static_cast<uint32_t>(key >> 3);
    switch (key & 7) {
      case 0: {
        AWQ_ASSIGN(field.integer, varint());
        return field;
      }
      case 1: return fixed(field, 8);
      case 5: return fixed(field, 4);
      case 2: {
        AWQ_ASSIGN(const uint64_t size, varint());
        if (size > message_.size() - at_) {
          return error(cat("a field of ", size, " bytes, ", message_.size() - at_, " are left"));
        }
        field.bytes = message_.substr(at_, size);
        field.has_bytes = true;
        at_ += size;
        return field;
      }
      default: return error(cat("wire type ", key & 7, " is not in use"));
    }
  }

  Error error(std::string_view what) const {
    return bad_input(cat(where_, ": byte ", offset_ + at_, ": ", what,
                         "; is this a SentencePiece model?"));
  }

 private:
  Result<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (done()) return error("the file ends inside a number");
      const auto byte = static_cast<uint8_t>(message_[at_++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return error("a number of more than 64 bits");
  }

  Result<WireField> fixed(WireField field, size_t size) {
    if (size > message_.size() - at_) return error("the file ends inside a number");
    for (size_t i = 0; i < size; ++i) {
      field.integer |= static_cast<uint64_t>(static_cast<uint8_t>(message_[at_ + i])) << (8 * i);
    }
    at_ += size;
    return field;
  }

  std::string_view message_;
  size_t offset_, at_ = 0;
  std::string_view where_;
};

class ModelReader {
 public:
  ModelReader(std::string_view file, std::string_view origin) : file_(file), origin_(origin) {}

  Result<SentencePieceModel> run() {
    WireReader reader(file_, 0, origin_);
    while (!reader.done()) {
      AWQ_ASSIGN(const WireField field, reader.next());
      if (field.number < 1 || field.number > 5 || field.number == 4) continue;
      if (!field.has_bytes) return reader.error(cat("field ", field.number, " is no message"));
      const size_t offset = reader.offset() - field.bytes.size();
      WireReader part(field.bytes, offset, origin_);
      if (field.number == 1) AWQ_TRY(read_piece(part));
      if (field.number == 2) AWQ_TRY(read_trainer(part));
      if (field.number == 3) AWQ_TRY(read_normalizer(part));
      if (field.number == 5) AWQ_TRY(read_denormalizer(part));
    }
    return finish();
  }

 private:
  Error error(std::string_view what) const { return bad_input(cat(origin_, ": ", what)); }

  Status read_piece(WireReader& reader) {
    const size_t id = model_.tokens.size();
    if (id >= static_cast<size_t>(TokenTable::kMaxTokens)) return reader.error("too many pieces");
    std::string text;
    float score = 0;
    int32_t type = 1;
    while (!reader.done()) {
      AWQ_ASSIGN(const WireField field, reader.next());
      if (field.number == 1) text = field.bytes;
      if (field.number == 2) {
        const auto bits = static_cast<uint32_t>(field.integer);
        std::memcpy(&score, &bits, sizeof score);
      }
      if (field.number == 3) type = static_cast<int32_t>(std::min<uint64_t>(field.integer, 99));
    }
    if (!is_utf8(text)) return error(cat("piece ", id, " is not valid UTF-8"));
    if (text.empty()) return error(cat("piece ", id, " is empty"));
    if (text.size() > Unigram::kMaxToken) {
      return error(cat("piece ", id, " has ", text.size(), " bytes, the limit is ", Unigram::kMaxToken));
    }
    if (!std::isfinite(score)) return error(cat("piece ", id, " has no finite score"));
    if (type < 1 || type > 6) return error(cat("piece ", id, " has type ", type, ", expected 1 to 6"));
    model_.tokens.push_back(std::move(text));
    model_.scores.push_back(score);
    model_.types.push_back(type);
    return {};
  }

  Status read_trainer(WireReader& reader) {
    while (!reader.done()) {
      AWQ_ASSIGN(const WireField field, reader.next());
      switch (field.number) {
        case 3: model_type_ = field.integer; break;
        case 24: suffix_ = field.integer != 0; break;
        case 35: model_.byte_fallback = field.integer != 0; break;
        case 46: bos_ = field.bytes; break;
        case 47: eos_ = field.bytes; break;
        case 48: padding_ = field.bytes; break;
        default: break;
      }
    }
    return {};
  }

  Status read_normalizer(WireReader& reader) {
    while (!reader.done()) {
      AWQ_ASSIGN(const WireField field, reader.next());
      switch (field.number) {
        case 2: model_.character_map = field.bytes; break;
        case 3: model_.add_dummy_prefix = field.integer != 0; break;
        case 4: model_.remove_extra_spaces = field.integer != 0; break;
        case 5: escaped_ = field.integer != 0; break;
        default: break;
      }
    }
    return {};
  }

  Status read_denormalizer(WireReader& reader) {
    while (!reader.done()) {
      AWQ_ASSIGN(const WireField field, reader.next());
      if (field.number == 2 && !field.bytes.empty()) {
        return error("denormalizer_spec: mapping characters while decoding is not supported");
      }
    }
    return {};
  }

  Result<SentencePieceModel> finish() {
    if (model_.tokens.empty()) return error("the model has no pieces; is this a SentencePiece model?");
    if (model_type_ != 1 && model_type_ != 2) {
      return error(cat("trainer_spec.model_type ", model_type_,
                       " is not supported; 1 (unigram) and 2 (BPE) are"));
    }
    if (suffix_) return error("trainer_spec.treat_whitespace_as_suffix is not supported");
    if (!escaped_) return error("normalizer_spec.escape_whitespaces: false is not supported");
    model_.kind = static_cast<SentencePieceModel::Kind>(model_type_);
    for (size_t id = 0; id < model_.tokens.size(); ++id) {
      const auto value = static_cast<TokenId>(id);
      if (model_.types[id] == 2) {
        if (model_.unknown >= 0) return error("the model has two unknown pieces");
        model_.unknown = value;
      }
      if (model_.types[id] != 3) continue;
      if (model_.tokens[id] == bos_) model_.bos = value;
      if (model_.tokens[id] == eos_) model_.eos = value;
      if (model_.tokens[id] == padding_) model_.padding = value;
    }
    if (model_.unknown < 0) return error("the model has no unknown piece");
    return std::move(model_);
  }

  std::string_view file_, origin_;
  SentencePieceModel model_;
  uint64_t model_type_ = 1;
  bool suffix_ = false, escaped_ = true;
  std::string_view bos_ = "<s>", eos_ = "</s>", padding_ = "<pad>";
};

}  // namespace

Result<SentencePieceModel> read_sentencepiece(std::string_view file, std::string_view origin) {
  return ModelReader(file, origin).run();
}

}  // namespace awq
