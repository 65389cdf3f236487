// What tokenizer.ggml.pre names, as the tokenizer.json of the models that it stands for has it.
// Sources: those files, and llama.cpp's list of names. "default" is llama.cpp's own mixture.
#include <array>

#include "text/tokenizer_impl.h"

namespace awq {
namespace {

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDefaultPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";

Json byte_level(bool use_regex) {
  Json step = Json::object();
  step["type"] = "ByteLevel";
  step["add_prefix_space"] = false;
  step["trim_offsets"] = true;
  step["use_regex"] = use_regex;
  return step;
}

Json split(std::string_view regex) {
  Json step = Json::object(), pattern = Json::object();
  pattern["Regex"] = std::string(regex);
  step["type"] = "Split";
  step["pattern"] = std::move(pattern);
  step["behavior"] = "Isolated";
  step["invert"] = false;
  return step;
}

Json digits(bool individual) {
  Json step = Json::object();
  step["type"] = "Digits";
  step["individual_digits"] = individual;
  return step;
}

Json sequence(std::initializer_list<Json> steps) {
  Json list = Json::object(), array = Json::array();
  for (const Json& step : steps) array.push_back(step);
  list["type"] = "Sequence";
  list["pretokenizers"] = std::move(array);
  return list;
}

Json falcon() {
  Json punctuation = Json::object();
  punctuation["type"] = "Punctuation";
  punctuation["behavior"] = "Contiguous";
  return sequence({punctuation, byte_level(true), digits(false), split("[0-9][0-9][0-9]")});
}

enum class Scheme { gpt2, digits_gpt2, llama3, qwen2, gpt4o, tekken, falcon, bloom, mixture };

struct Name {
  std::string_view name;
  Scheme scheme;
  bool nfc = false, ignore_merges = false, add_bos = false;
};

constexpr std::array kNames{
    Name{"gpt-2", Scheme::gpt2},
    Name{"gpt2", Scheme::gpt2},
    Name{"phi-2", Scheme::gpt2},
    Name{"jina-en", Scheme::gpt2},
    Name{"jais", Scheme::gpt2},
    Name{"mpt", Scheme::gpt2, true},
    Name{"olmo", Scheme::gpt2, true},
    Name{"smollm", Scheme::digits_gpt2},
    Name{"starcoder", Scheme::digits_gpt2},
    Name{"refact", Scheme::digits_gpt2},
    Name{"command-r", Scheme::digits_gpt2},
    Name{"codeshell", Scheme::digits_gpt2},
    Name{"exaone", Scheme::digits_gpt2},
    Name{"llama-bpe", Scheme::llama3, false, true, true},
    Name{"llama3", Scheme::llama3, false, true, true},
    Name{"llama-v3", Scheme::llama3, false, true, true},
    Name{"smaug-bpe", Scheme::llama3, false, true, true},
    Name{"falcon3", Scheme::llama3, false, true, true},
    Name{"dbrx", Scheme::llama3},
    Name{"qwen2", Scheme::qwen2, true},
    Name{"stablelm2", Scheme::qwen2},
    Name{"deepseek-r1-qwen", Scheme::qwen2, true},
    Name{"gpt-4o", Scheme::gpt4o},
    Name{"tekken", Scheme::tekken, false, true, true},
    Name{"falcon", Scheme::falcon},
    Name{"bloom", Scheme::bloom},
    Name{"default", Scheme::mixture},
    Name{"", Scheme::mixture},
};

Json scheme_json(Scheme scheme) {
  switch (scheme) {
    case Scheme::gpt2: return byte_level(true);
    case Scheme::digits_gpt2: return sequence({digits(true), byte_level(true)});
    case Scheme::llama3: return sequence({split(kLlama3), byte_level(false)});
    case Scheme::qwen2: return sequence({split(kQwen2), byte_level(false)});
    case Scheme::gpt4o: return sequence({split(kGpt4o), byte_level(false)});
    case Scheme::tekken: return sequence({split(kTekken), byte_level(false)});
    case Scheme::falcon: return falcon();
    case Scheme::bloom: return sequence({split(kBloom), byte_level(false)});
    case Scheme::mixture: break;
  }
  return sequence({split(kDefaultPunctuation), split(kGpt2), split(R"(\p{N}+)"),
                   split("[0-9][0-9][0-9]"), byte_level(false)});
}

}  // namespace

Result<GgufPretokenizer> gguf_pretokenizer(std::string_view name, std::string_view origin) {
  for (const Name& known : kNames) {
    if (known.name != name) continue;
    GgufPretokenizer out;
    out.pre_tokenizer = scheme_json(known.scheme);
    if (known.nfc) out.normalizer = Json{{"type", "NFC"}};
    out.ignore_merges = known.ignore_merges;
    out.add_bos = known.add_bos;
    return out;
  }
  std::string names;
  for (const Name& known : kNames) {
    if (!known.name.empty()) append_item(names, known.name);
  }
  return bad_input(cat(origin, ": tokenizer.ggml.pre \"", printable(name),
                       "\" is not supported; known: ", names));
}

}  // namespace awq
