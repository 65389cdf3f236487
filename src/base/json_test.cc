#include "base/json.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

std::string error_of(std::string_view text) {
  auto result = parse_json(text, "test", {.depth = 8});
  return result.ok() ? "" : result.error().message;
}

TEST(Json, ParsesAndKeepsOrder) {
  auto value = parse_json(R"({"b":1,"a":[true,null,-2.5,"x"]})", "test");
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(dump_json(*value), R"({"b":1,"a":[true,null,-2.5,"x"]})");
}

TEST(Json, RefusesDuplicateKeys) {
  EXPECT_NE(error_of(R"({"a":1,"a":2})").find("duplicate key"), std::string::npos);
}

TEST(Json, RefusesDepth) {
  EXPECT_NE(error_of(std::string(9, '[')).find("deeper"), std::string::npos);
  EXPECT_NE(error_of(std::string(1000000, '[')).find("deeper"), std::string::npos);
  EXPECT_EQ(error_of("[[[[[[[[]]]]]]]]"), "");
}

TEST(Json, NamesTheByteOfAnError) {
  EXPECT_NE(error_of("{\"a\" 1}").find("byte"), std::string::npos);
  EXPECT_NE(error_of("").find("not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("\"\xff\"").find("not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("1 2").find("not valid JSON"), std::string::npos);
}

TEST(Json, RefusesSize) {
  EXPECT_FALSE(parse_json("[1,2,3]", "test", {.bytes = 3}).ok());
}

}  // namespace
}  // namespace awq
