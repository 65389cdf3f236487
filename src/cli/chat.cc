// awq chat: a conversation on the terminal, or one reply.
#include "session/chat.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <iterator>

#include "base/progress.h"
#include "base/terminal_text.h"
#include "cli/generation_options.h"
#include "cli/verb.h"

namespace awq {
namespace {

struct ChatArguments {
  ModelOptions model;
  std::string system, prompt;
  GenerationOptions generation;
};

std::atomic<bool> interrupted_{false};

// The first Ctrl-C ends the reply; a second one before it took effect ends the program.
void on_interrupt(int) {
  if (interrupted_.exchange(true)) std::_Exit(130);
}

class Conversation {
 public:
  Conversation(Session& session, Chat chat, const ChatArguments& options, int64_t context, DType kv,
               Drafter* drafter)
      : session_(session),
        chat_(std::move(chat)),
        options_(options),
        drafter_(drafter),
        cache_(session.engine().device(), session.model().arch, context, kv) {
    reset();
  }

  void reset() {
    chat_.clear();
    if (!options_.system.empty()) chat_.add("system", options_.system);
    cached_.clear();
    cache_.truncate(0);
  }

  // Answers `question`; streams to stdout. After an error the conversation is what it was before.
  Result<Generation> reply(const std::string& question, std::string& answer) {
    chat_.add("user", question);
    Result<Generation> generation = answer_last(answer);
    if (!generation.ok()) chat_.drop_last();
    return generation;
  }

 private:
  Result<Generation> answer_last(std::string& answer) {
    AWQ_ASSIGN(const std::vector<TokenId> prompt, chat_.encode());
    if (static_cast<int64_t>(prompt.size()) > cache_.capacity()) {
      return usage_error(cat("the conversation has ", prompt.size(), " tokens with this message, ",
                             "the context holds ", cache_.capacity()));
    }
    // Only what is not in the cache from earlier turns is run; the last token always is.
    const size_t shared = std::min(prompt.size() - 1, common_prefix(prompt));
    cached_.resize(shared);
    cache_.truncate(static_cast<int64_t>(shared));
    const std::span<const TokenId> fresh = std::span(prompt).subspan(shared);
    Detokenizer detokenizer(session_.tokenizer());
    Status written;
    const auto emit = [&](const std::string& piece) {
      answer += piece;
      if (!options_.model.json && written.ok()) written = print(without_controls(piece));
    };
    GenerateOptions generate_options = options_.generation.runtime(session_.vocabulary());
    generate_options.sampler.seed += turns_++;
    generate_options.drafter = drafter_;
    generate_options.before = cached_;
    AWQ_ASSIGN(Generation generation, generate(session_.engine(), cache_, fresh, generate_options,
                                               [&](const GeneratedToken& token) {
                                                 emit(detokenizer.push(token.id));
                                                 return written.ok() && !interrupted_;
                                               }));
    emit(detokenizer.flush());
    AWQ_TRY(written);
    chat_.add("assistant", answer);
    cached_ = prompt;
    for (const GeneratedToken& token : generation.tokens) cached_.push_back(token.id);
    cached_.resize(static_cast<size_t>(cache_.length()));
    return generation;
  }

  size_t common_prefix(const std::vector<TokenId>& prompt) const {
    return static_cast<size_t>(
        std::mismatch(prompt.begin(), prompt.end(), cached_.begin(), cached_.end()).first -
        prompt.begin());
  }

  Session& session_;
  Chat chat_;
  const ChatArguments& options_;
  Drafter* drafter_;
  KvCache cache_;
  std::vector<TokenId> cached_;  // what the cache holds
  uint64_t turns_ = 0;
};

void say_speed(const Generation& generation) {
  say(cat("[", generation.tokens.size(), " tokens, ", decode_speed(generation), ", ",
          finish_reason_name(generation.finish_reason), "]"));
}

Status one_shot(Conversation& conversation, const ChatArguments& options,
                const std::string& question) {
  std::string answer;
  AWQ_ASSIGN(const Generation generation, conversation.reply(question, answer));
  if (options.model.json) {
    Json ids = Json::array();
    for (const GeneratedToken& token : generation.tokens) ids.push_back(token.id);
    return print_json({{"text", answer},
                       {"ids", ids},
                       {"finish_reason", finish_reason_name(generation.finish_reason)}});
  }
  AWQ_TRY(print("\n"));
  say_speed(generation);
  return {};
}

Status repl(Conversation& conversation) {
  say("type a message; /reset starts over, /exit or Ctrl-D ends, Ctrl-C stops a reply");
  std::string line;
  for (;;) {
    AWQ_TRY(print("> "));
    if (!std::getline(std::cin, line)) return print("\n");
    if (line == "/exit" || line == "/quit") return {};
    if (line == "/reset") {
      conversation.reset();
      continue;
    }
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    interrupted_ = false;
    std::string answer;
    const auto generation = conversation.reply(line, answer);
    AWQ_TRY(print("\n"));
    if (generation.ok()) {
      say_speed(*generation);
    } else {
      say(cat("awq: ", generation.error().message,
              "; this message is left out, the conversation goes on (/reset starts over)"));
    }
  }
}

Status chat(const ChatArguments& options) {
  AWQ_ASSIGN(Session session, Session::open(options.model.model, options.model.backend));
  AWQ_ASSIGN(Chat chat, Chat::create(session.vocabulary()));
  const int64_t context = options.generation.context_size > 0
                              ? options.generation.context_size
                              : std::min<int64_t>(session.model().arch.sizes.context, 4096);
  AWQ_ASSIGN(const int64_t positions, options.generation.context(session.model().arch, context));
  const int64_t capacity = std::min(positions, context);
  AWQ_ASSIGN(const DType kv, kv_cache_dtype(options.generation.kv_cache, session.model().ops));
  AWQ_ASSIGN(const OpenDraft draft, OpenDraft::open(options.generation.draft, session, capacity, kv));
  Conversation conversation(session, std::move(chat), options, capacity, kv, draft.drafter.get());
  std::signal(SIGINT, on_interrupt);
  if (!options.prompt.empty()) return one_shot(conversation, options, options.prompt);
  if (::isatty(STDIN_FILENO) == 0) {
    const std::string question((std::istreambuf_iterator<char>(std::cin)), {});
    return one_shot(conversation, options, question);
  }
  return repl(conversation);
}

}  // namespace

void add_chat(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<ChatArguments>();
  options->generation.sampler.temperature = 0.7;
  options->generation.sampler.top_p = 0.95;
  options->generation.sampler.top_k = 40;
  options->generation.max_tokens = 512;
  CLI::App* verb = app.add_subcommand("chat", "talk to a model");
  add_model_options(*verb, options->model);
  verb->add_option("--system", options->system, "system message");
  verb->add_option("-p,--prompt", options->prompt, "answer this and end");
  add_generation_options(*verb, options->generation);
  verb->footer("Example:\n  awq chat ./smollm2-awq -p \"What is the capital of France?\"");
  verb->callback([options, &outcome] { outcome.status = chat(*options); });
}

}  // namespace awq
