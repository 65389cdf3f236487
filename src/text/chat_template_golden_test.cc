// What Jinja2 rendered, set up as transformers does it (data/golden/jinja, made by
// tools/make_jinja_goldens.py): every text byte for byte, every error an error here as well.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "text/chat_template.h"

namespace awq {
namespace {

Json read_json(const std::string& path) {
  auto json = read_json_file(path);
  AWQ_CHECK(json.ok(), json.error().message);
  return *std::move(json);
}

std::string golden_path(const std::string& name) {
  return path_join(AWQ_SOURCE_DIR, "data/golden/jinja/" + name);
}

Result<std::string> render(const std::string& source, const Json& context) {
  AWQ_ASSIGN(const ChatTemplate parsed, ChatTemplate::parse(source));
  return parsed.render(context);
}

// `expected` holds "text", "raised" (the message of raise_exception) or "error".
void expect_result(const std::string& source, const Json& context, const Json& expected) {
  const auto result = render(source, context);
  if (expected.contains("text")) {
    const auto text = expected["text"].get<std::string>();
    if (!result.ok()) {
      ADD_FAILURE() << "fails with: " << result.error().message << "\nexpected: " << text;
    } else {
      EXPECT_EQ(*result, text);
    }
    return;
  }
  if (result.ok()) {
    ADD_FAILURE() << "gives: " << *result << "\nexpected the error: " << expected.dump();
  } else if (expected.contains("raised")) {
    EXPECT_EQ(result.error().message, expected["raised"].get<std::string>());
  }
}

void expect_chats(const Json& chats, const Json& contexts) {
  for (const Json& chat : chats) {
    const auto source = chat["source"].get<std::string>();
    for (const auto& [name, expected] : chat["results"].items()) {
      SCOPED_TRACE(cat("template ", chat["name"].get<std::string>(), ", chat ", name));
      Json context = contexts["tokens"];
      context.update(contexts["chats"][name]);
      expect_result(source, context, expected);
    }
  }
}

TEST(ChatTemplate, JI11_ChatsOfManyFamiliesAreByteIdentical) {
  const Json cases = read_json(golden_path("cases.json"));
  ASSERT_GE(cases["chats"].size(), 20u);
  expect_chats(cases["chats"], read_json(golden_path("contexts.json")));
}

TEST(ChatTemplate, JI11_ExpressionsAreByteIdentical) {
  const Json cases = read_json(golden_path("cases.json"));
  const Json contexts = read_json(golden_path("contexts.json"));
  ASSERT_GE(cases["expressions"].size(), 400u);
  for (const Json& expression : cases["expressions"]) {
    const auto source = expression["source"].get<std::string>();
    SCOPED_TRACE(source);
    expect_result(source, contexts["values"], expression);
  }
}

// Templates that may not be redistributed: rendered by the tool's --templates, elsewhere.
TEST(ChatTemplate, JI11_TemplatesOfTheReader) {
  const char* path = std::getenv("AWQ_JINJA_CASES");
  if (path == nullptr) GTEST_SKIP() << "AWQ_JINJA_CASES names no file";
  expect_chats(read_json(path)["chats"], read_json(golden_path("contexts.json")));
}

}  // namespace
}  // namespace awq
