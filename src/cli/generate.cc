// awq generate: continue a prompt.
#include "runtime/generate.h"

#include "base/progress.h"
#include "base/terminal_text.h"
#include "cli/generation_options.h"
#include "cli/verb.h"

namespace awq {
namespace {

struct GenerateArguments {
  ModelOptions model;
  std::string prompt;
  GenerationOptions generation;
  int64_t logprobs = 0;
};

Json logprobs_json(const Tokenizer& tokenizer, const Generation& generation) {
  Json list = Json::array();
  for (const GeneratedToken& token : generation.tokens) {
    Json top = Json::array();
    for (const TokenProbability& other : token.top) {
      top.push_back({{"id", other.id},
                     {"token", tokenizer.token_bytes(other.id)},
                     {"logprob", other.logprob}});
    }
    list.push_back({{"id", token.id},
                    {"token", tokenizer.token_bytes(token.id)},
                    {"logprob", token.logprob},
                    {"top", top}});
  }
  return list;
}

Status generate(const GenerateArguments& options) {
  AWQ_ASSIGN(Session session, Session::open(options.model.model, options.model.backend));
  const Tokenizer& tokenizer = session.tokenizer();
  AWQ_ASSIGN(const std::vector<TokenId> prompt, tokenizer.encode(options.prompt));
  GenerateOptions generate_options = options.generation.runtime(session.vocabulary());
  generate_options.logprobs = options.logprobs;
  AWQ_ASSIGN(const int64_t context,
             options.generation.context(session.model().arch, static_cast<int64_t>(prompt.size())));
  AWQ_ASSIGN(const DType kv, kv_cache_dtype(options.generation.kv_cache, session.model().ops));
  KvCache cache(session.engine().device(), session.model().arch, context, kv);
  AWQ_ASSIGN(const OpenDraft draft, OpenDraft::open(options.generation.draft, session, context, kv));
  generate_options.drafter = draft.drafter.get();

  Detokenizer detokenizer(tokenizer);
  std::string text;
  Status written;
  const auto emit = [&](const std::string& piece) {
    text += piece;
    if (!options.model.json && written.ok()) written = print(for_stdout(piece));
  };
  AWQ_ASSIGN(const Generation generation,
             awq::generate(session.engine(), cache, prompt, generate_options,
                           [&](const GeneratedToken& token) {
                             emit(detokenizer.push(token.id));
                             return written.ok();
                           }));
  emit(detokenizer.flush());
  AWQ_TRY(written);
  say(cat(options.model.json ? "" : "\n", "prefill ", prompt.size(), " tokens in ",
          human_seconds(generation.prefill_seconds), ", decode ", decode_speed(generation)));
  if (!options.model.json) return print("\n");
  Json ids = Json::array();
  for (const GeneratedToken& token : generation.tokens) ids.push_back(token.id);
  Json result = {{"text", text},
                 {"ids", ids},
                 {"prompt_ids", prompt},
                 {"finish_reason", finish_reason_name(generation.finish_reason)},
                 {"decode_passes", generation.decode_passes},
                 {"guessed", generation.guessed},
                 {"accepted", generation.accepted}};
  if (options.logprobs > 0) result["logprobs"] = logprobs_json(tokenizer, generation);
  return print_json(result);
}

}  // namespace

void add_generate(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<GenerateArguments>();
  options->generation.sampler.temperature = 0;
  CLI::App* verb = app.add_subcommand("generate", "continue a prompt");
  add_model_options(*verb, options->model);
  verb->add_option("-p,--prompt", options->prompt, "the prompt")->required();
  add_generation_options(*verb, options->generation);
  verb->add_option("--logprobs", options->logprobs, "report the K most likely tokens (with --json)")
      ->check(CLI::Range(int64_t{0}, int64_t{100}));
  verb->footer("Example:\n  awq generate ./smollm2-awq -p \"The capital of France is\" -n 16");
  verb->callback([options, &outcome] { outcome.status = generate(*options); });
}

}  // namespace awq
