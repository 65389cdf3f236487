// A conversation: history, template, and the tokens of the next turn.
#pragma once

#include <string>
#include <vector>

#include "session/session.h"

namespace awq {

struct Message {
  std::string role, content;
};

class Chat {
 public:
  /// Error when the model has no chat template or one that does not parse.
  static Result<Chat> create(const Vocabulary& vocabulary);

  void add(std::string role, std::string content) {
    messages_.push_back({std::move(role), std::move(content)});
  }
  void drop_last() { messages_.pop_back(); }
  void clear() { messages_.clear(); }
  bool empty() const { return messages_.empty(); }

  /// The whole conversation as text, ready for the assistant's turn.
  Result<std::string> render() const;

  /// The same as tokens. Only the template's own text becomes special tokens: what users wrote is
  /// plain text, even where it spells one.
  Result<std::vector<TokenId>> encode() const;

 private:
  Chat(const Vocabulary& vocabulary, ChatTemplate chat_template)
      : vocabulary_(&vocabulary), template_(std::move(chat_template)) {}
  Result<std::string> render_with(const std::vector<std::string>& contents) const;

  const Vocabulary* vocabulary_;
  ChatTemplate template_;
  std::vector<Message> messages_;
};

}  // namespace awq
