#include "session/chat.h"

#include <ctime>

namespace awq {
namespace {

std::string token_or_empty(const Tokenizer& tokenizer, TokenId id) {
  return id >= 0 ? std::string(tokenizer.token_text(id)) : std::string();
}

// Stands for message `index` while rendering; letters and digits only, so that filters such as trim
// leave it alone, and private-use characters that no vocabulary spells.
std::string placeholder(size_t index) { return cat("\uE000m", index, "\uE001"); }

}  // namespace

Result<Chat> Chat::create(const Vocabulary& vocabulary) {
  if (!vocabulary.chat_template) {
    return bad_input("this model has no chat template; use `awq generate` for plain completion");
  }
  AWQ_ASSIGN(ChatTemplate parsed, ChatTemplate::parse(*vocabulary.chat_template));
  return Chat(vocabulary, std::move(parsed));
}

Result<std::string> Chat::render_with(const std::vector<std::string>& contents) const {
  const Tokenizer& tokenizer = vocabulary_->tokenizer;
  Json messages = Json::array();
  for (size_t i = 0; i < messages_.size(); ++i) {
    messages.push_back({{"role", messages_[i].role}, {"content", contents[i]}});
  }
  return template_.render({{"messages", messages},
                           {"add_generation_prompt", true},
                           {"bos_token", token_or_empty(tokenizer, tokenizer.bos())},
                           {"eos_token", token_or_empty(tokenizer, tokenizer.eos())}});
}

Result<std::string> Chat::render() const {
  std::vector<std::string> contents;
  for (const Message& message : messages_) contents.push_back(message.content);
  return render_with(contents);
}

// Renders with placeholders for the contents, then checks that putting the contents in their place
// gives what rendering the contents gives. If so, the template's text and the users' text are told
// apart exactly. A template that transforms contents (trims them, say) is tried with the trimmed
// text; one that does more is encoded with special tokens spelled out in no message honoured.
Result<std::vector<TokenId>> Chat::encode() const {
  const Tokenizer& tokenizer = vocabulary_->tokenizer;
  AWQ_ASSIGN(const std::string whole, render());
  std::vector<std::string> marks;
  for (size_t i = 0; i < messages_.size(); ++i) marks.push_back(placeholder(i));
  AWQ_ASSIGN(const std::string marked, render_with(marks));

  // Pieces: template text and message text in turn.
  struct Piece {
    std::string text;
    bool special;
  };
  std::vector<Piece> pieces;
  std::string rebuilt;
  size_t at = 0, position = 0;
  bool exact = true;
  while (at < marked.size() && exact) {
    const size_t mark = marked.find("\uE000m", at);
    const std::string text = marked.substr(at, mark == std::string::npos ? mark : mark - at);
    exact = whole.compare(position, text.size(), text) == 0;
    pieces.push_back({text, true});
    position += text.size();
    if (mark == std::string::npos) break;
    const size_t end = marked.find("\uE001", mark);
    const size_t digits = mark + std::string_view("\uE000m").size();
    const size_t index = static_cast<size_t>(std::strtoull(marked.c_str() + digits, nullptr, 10));
    if (end == std::string::npos || index >= messages_.size()) {
      exact = false;
      break;
    }
    std::string content = messages_[index].content;
    if (whole.compare(position, content.size(), content) != 0) {
      const size_t first = content.find_first_not_of(" \t\r\n\f\v");
      const size_t last = content.find_last_not_of(" \t\r\n\f\v");
      content = first == std::string::npos ? "" : content.substr(first, last - first + 1);
    }
    exact = exact && whole.compare(position, content.size(), content) == 0;
    pieces.push_back({content, false});
    position += content.size();
    at = end + std::string_view("\uE001").size();
  }
  exact = exact && position == whole.size();
  if (!exact) {
    for (const Message& message : messages_) {
      AWQ_ASSIGN(const auto with, tokenizer.encode(message.content, {false, true}));
      AWQ_ASSIGN(const auto without, tokenizer.encode(message.content, {false, false}));
      if (with != without) {
        return bad_input("a message spells one of the model's special tokens, and this chat "
                         "template rewrites messages, so the two cannot be told apart");
      }
    }
    return tokenizer.encode(whole, {false, true});
  }
  // Neighbouring text is encoded together where it can be: a message that spells no special token
  // changes nothing by being parsed for them.
  std::vector<TokenId> ids;
  std::string run;
  const auto flush = [&]() -> Status {
    if (run.empty()) return {};
    AWQ_ASSIGN(const auto part, tokenizer.encode(run, {false, true}));
    ids.insert(ids.end(), part.begin(), part.end());
    run.clear();
    return {};
  };
  for (const Piece& piece : pieces) {
    if (!piece.special) {
      AWQ_ASSIGN(const auto with, tokenizer.encode(piece.text, {false, true}));
      AWQ_ASSIGN(const auto without, tokenizer.encode(piece.text, {false, false}));
      if (with != without) {
        AWQ_TRY(flush());
        ids.insert(ids.end(), without.begin(), without.end());
        continue;
      }
    }
    run += piece.text;
  }
  AWQ_TRY(flush());
  return ids;
}

}  // namespace awq
