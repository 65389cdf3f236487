#include "base/base64.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

// The vectors of RFC 4648, section 10.
TEST(Base64, GivesTheVectorsOfTheStandard) {
  const std::pair<std::string, std::string> vectors[] = {
      {"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},        {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(*decode_base64(text, "test"), bytes);
  }
}

TEST(Base64, EveryByteComesBack) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(*decode_base64(encode_base64(bytes), "test"), bytes);
}

TEST(Base64, RefusesWhatIsNone) {
  for (const std::string text : {"A", "AA", "AAA", "A===", "====", "AA A", "AAAA\n", "A-_A", "=AAA"}) {
    EXPECT_FALSE(decode_base64(text, "test").ok()) << text;
  }
}

}  // namespace
}  // namespace awq
