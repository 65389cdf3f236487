// Files of tasks become items or one error that names the line.
#include "eval/choice_tasks.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

TEST(ChoiceItems, EveryKindOfLine) {
  auto items = parse_choice_items(
      "{\"query\": \"Question: why?\\n\", \"choices\": [\"a\", \"b\"], \"gold\": 1}\n\n", "f");
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ((*items)[0].contexts, std::vector<std::string>{"Question: why?\nAnswer:"});
  EXPECT_EQ((*items)[0].gold, 1);
  items = parse_choice_items(
      "{\"context_options\": [\"x\", \"y\"], \"continuation\": \"z\", \"gold\": 0}", "f");
  ASSERT_TRUE(items.ok());
  EXPECT_EQ((*items)[0].choices(), 2u);
  items = parse_choice_items("{\"context\": \"x \", \"continuation\": \"z\"}\r\n", "f");
  ASSERT_TRUE(items.ok());
  EXPECT_EQ((*items)[0].choices(), 1u);
  EXPECT_EQ((*items)[0].contexts[0], "x ");
  items = parse_choice_items("a text\n3\none\ntwo\nthree\nfour\n", "f");
  ASSERT_TRUE(items.ok());
  EXPECT_EQ((*items)[0].gold, 3);
  EXPECT_EQ((*items)[0].continuations[1], "two");
}

TEST(ChoiceItems, ErrorsNameTheLineAndTheField) {
  const auto expect = [](std::string_view text, std::string_view word) {
    const auto items = parse_choice_items(text, "file");
    ASSERT_FALSE(items.ok()) << text;
    EXPECT_EQ(items.error().kind, ErrorKind::bad_input);
    EXPECT_NE(items.error().message.find(word), std::string::npos) << items.error().message;
  };
  expect("", "no items");
  expect("{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 2}", "line 1: \"gold\"");
  expect("{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": -1}", "0 to 1");
  expect("{\"query\": \"q\", \"choices\": [\"a\"], \"gold\": 0}", "two texts or more");
  expect("{\"query\": 3, \"choices\": [\"a\", \"b\"], \"gold\": 0}", "\"query\"");
  expect("{\"context\": \"c\"}", "\"continuation\"");
  expect("{\"context\": \"c\", \"continuation\": \"d\"}\n"
         "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 0}", "line 2: an item of another kind");
  expect("{broken", "line 1");
  expect("a\n1\nb", "six an item");
  expect("a\n4\nb\nc\nd\ne", "line 2");
}

TEST(ChoiceItems, ShotsAreTheLastItemsWithTheirAnswers) {
  auto items = parse_choice_items(
      "{\"context_options\": [\"x1\", \"y1\"], \"continuation\": \"z1\", \"gold\": 0}\n"
      "{\"context_options\": [\"x2\", \"y2\"], \"continuation\": \"z2\", \"gold\": 1}\n", "f");
  ASSERT_TRUE(items.ok());
  ASSERT_TRUE(add_shots(*items, 1).ok());
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ((*items)[0].contexts, (std::vector<std::string>{"y2 z2\n\nx1", "y2 z2\n\ny1"}));
  EXPECT_FALSE(add_shots(*items, 1).ok());
  auto six = parse_choice_items("a\n3\none\ntwo\nthree\nfour\nb\n1\nfive\nsix\nseven\neight\n", "f");
  ASSERT_TRUE(six.ok());
  ASSERT_TRUE(add_shots(*six, 1).ok());
  EXPECT_EQ((*six)[0].contexts[0], "b six\n\na");
}

}  // namespace
}  // namespace awq
