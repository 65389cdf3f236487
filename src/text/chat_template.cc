#include "text/chat_template.h"

#include <new>
#include <utility>

#include "text/jinja/interpreter.h"
#include "text/jinja/syntax.h"

namespace awq {
namespace {

// Runs `action`; what it throws becomes an Error, so that no exception leaves the folder.
template <class T, class Action>
Result<T> guarded(Action action) {
  try {
    return action();
  } catch (const jinja::Failure& failure) {
    return bad_input(failure.raised ? failure.message : cat("chat template: ", failure.message));
  } catch (const std::bad_alloc&) {
    return resource_error("chat template: out of memory");
  }
}

}  // namespace

struct ChatTemplate::Impl {
  jinja::Syntax syntax;
  TemplateLimits limits;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string source, TemplateLimits limits) {
  return guarded<ChatTemplate>([&] {
    auto impl = std::make_unique<Impl>();
    impl->syntax = jinja::parse_template(std::move(source), limits);
    impl->limits = limits;
    return ChatTemplate(std::move(impl));
  });
}

Result<std::string> ChatTemplate::render(const Json& context) const {
  const jinja::Syntax& syntax = impl_->syntax;
  return guarded<std::string>([&] {
    try {
      return jinja::Interpreter(syntax, impl_->limits).render(context);
    } catch (jinja::Failure& failure) {
      if (!failure.raised && failure.offset != jinja::kNoOffset) {
        failure.message =
            cat(jinja::position_text(syntax.source, failure.offset), ": ", failure.message);
      }
      throw;
    }
  });
}

}  // namespace awq
