#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <array>

namespace awq {
namespace {

constexpr size_t kMaxPattern = size_t{1} << 16;
// Runs of white space are legitimately walked back once, so steps grow with the text.
constexpr uint64_t kSteps = 4'000'000, kStepsPerByte = 8;
// PCRE2 does not tell how many steps a match took, only that it took more than allowed: a match
// begins with few, and whenever these do not do, they are charged and it starts over with more.
constexpr uint32_t kFirstSteps = 256, kMoreSteps = 4;
constexpr uint32_t kHeapLimitKib = 64 * 1024;

}  // namespace

struct RegexScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, size_t{16} << 20, nullptr);
  uint64_t steps = kSteps;  ///< left for the matches to come

  Impl() {
    AWQ_CHECK(data != nullptr && context != nullptr, "out of memory");
    pcre2_set_heap_limit(context, kHeapLimitKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Impl() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (stack != nullptr) pcre2_jit_stack_free(stack);
  }
};

void RegexScratch::refill(size_t text_bytes) { impl_->steps = kSteps + kStepsPerByte * text_bytes; }
RegexScratch::RegexScratch() : impl_(std::make_unique<Impl>()) {}
RegexScratch::RegexScratch(RegexScratch&&) noexcept = default;
RegexScratch& RegexScratch::operator=(RegexScratch&&) noexcept = default;
RegexScratch::~RegexScratch() = default;

struct Regex::Impl {
  pcre2_code* code = nullptr;
  bool jit = false;
  std::string where;
  ~Impl() { pcre2_code_free(code); }

  int match(std::string_view subject, size_t from, const RegexScratch::Impl& memory) const {
    const auto* text = reinterpret_cast<PCRE2_SPTR>(subject.data() == nullptr ? "" : subject.data());
    if (jit) {
      const int found = pcre2_jit_match(code, text, subject.size(), from, PCRE2_NO_UTF_CHECK,
                                        memory.data, memory.context);
      if (found != PCRE2_ERROR_JIT_STACKLIMIT && found != PCRE2_ERROR_JIT_BADOPTION) return found;
    }
    return pcre2_match(code, text, subject.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                       memory.data, memory.context);
  }
};

Regex::Regex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, std::string_view where) {
  if (pattern.size() > kMaxPattern) {
    return bad_input(cat(where, ": a regular expression of ", pattern.size(),
                         " bytes; the limit is ", kMaxPattern));
  }
  AWQ_ASSIGN(const std::string translated, translate_oniguruma(pattern, where));
  int code = 0;
  size_t offset = 0;
  auto impl = std::make_unique<Impl>();
  impl->where = where;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  impl->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &code, &offset, context);
  pcre2_compile_context_free(context);
  if (impl->code == nullptr) {
    std::array<PCRE2_UCHAR, 200> reason{};
    pcre2_get_error_message(code, reason.data(), reason.size());
    return bad_input(cat(where, ": the regular expression ", printable(pattern), " is not valid: ",
                         reinterpret_cast<const char*>(reason.data())));
  }
  impl->jit = pcre2_jit_compile(impl->code, PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::move(impl));
}

Result<std::optional<Span>> Regex::find(std::string_view subject, size_t from,
                                        RegexScratch& scratch) const {
  RegexScratch::Impl& memory = *scratch.impl_;
  int found = 0;
  for (uint64_t allowed = kFirstSteps;; allowed *= kMoreSteps) {
    allowed = std::min({allowed, memory.steps, uint64_t{0xFFFFFFFF}});
    pcre2_set_match_limit(memory.context, static_cast<uint32_t>(allowed));
    found = impl_->match(subject, from, memory);
    if (found != PCRE2_ERROR_MATCHLIMIT || allowed == 0) break;
    memory.steps -= allowed;
  }
  if (found == PCRE2_ERROR_NOMATCH) return std::optional<Span>();
  if (found < 0) {
    std::array<PCRE2_UCHAR, 200> reason{};
    pcre2_get_error_message(found, reason.data(), reason.size());
    return bad_input(cat(impl_->where, ": matching gave up: ",
                         reinterpret_cast<const char*>(reason.data()),
                         "; the expression backtracks too much on this text"));
  }
  const size_t* bounds = pcre2_get_ovector_pointer(memory.data);
  const Span span{bounds[0], bounds[1]};
  if (span.begin > span.end || span.begin < from || span.end > subject.size()) {  // \K does this
    return bad_input(cat(impl_->where, ": the expression moves the start of its match"));
  }
  return std::optional<Span>(span);
}

}  // namespace awq
