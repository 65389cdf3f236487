#include "quant/journal.h"

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "base/file.h"
#include "checkpoint/test_files.h"

namespace awq {
namespace {

class Journal : public testing::Test {
 protected:
  // What a run with one block left, and then `bytes` in `file` of it.
  Result<bool> resume_after(const char* file, std::string_view bytes, const Json& identity) {
    const std::string target = directory.file("out");
    AWQ_ASSIGN(OutputDirectory output, OutputDirectory::create(target, false, {}, true));
    {
      QuantizeJournal journal(output, {{"bits", 4}});
      AWQ_TRY(journal.start(std::vector<int32_t>{1, 2, 3}));
      AWQ_TRY(journal.add({{"groups", Json::array()}, {"linears", Json::array()}}));
    }
    if (file != nullptr) AWQ_TRY(write_file(output.file(file), bytes));
    QuantizeJournal journal(output, identity);
    auto resumed = journal.resume();
    if (resumed.ok() && *resumed) {
      layers = journal.layers();
      tokens = journal.tokens();
    }
    return resumed;
  }

  TempDirectory directory;
  int64_t layers = 0;
  std::vector<int32_t> tokens;
};

const Json kSame = {{"bits", 4}};
const int32_t kTokens[] = {1, 2, 3};
const std::string kHead =
    cat("{\"bits\":4,\"calibration\":\"", hex_of(checksum(kTokens, sizeof kTokens)), "\"}\n");
const char* const kLines = OutputDirectory::kJournal;

TEST_F(Journal, ComesBack) {
  const auto resumed = resume_after(nullptr, "", kSame);
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  EXPECT_TRUE(*resumed);
  EXPECT_EQ(layers, 1);
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 2, 3}));
}

TEST_F(Journal, WhatWasBeingWrittenIsDropped) {
  const auto resumed = resume_after(
      kLines, kHead + "{\"groups\":[],\"linears\":[],\"layer\":0}\n{\"groups\":[{\"lay", kSame);
  ASSERT_TRUE(resumed.ok() && *resumed);
  EXPECT_EQ(layers, 1);
  const auto torn_head = resume_after(kLines, "{\"bi", kSame);
  EXPECT_TRUE(torn_head.ok() && !*torn_head);
}

TEST_F(Journal, OtherOptionsAndForgedFilesAreErrors) {
  const auto error = [&](const char* file, std::string_view bytes, const Json& identity) {
    const auto resumed = resume_after(file, bytes, identity);
    return resumed.ok() ? std::string("accepted") : resumed.error().message;
  };
  EXPECT_NE(error(nullptr, "", {{"bits", 3}}).find("bits"), std::string::npos);
  EXPECT_NE(error(kLines, "{\"bits\":4}\n[1]\n", kSame).find("line 2"), std::string::npos);
  EXPECT_NE(error(kLines, "{\"bits\":4}\n{\"x\":1}\n", kSame).find("line 2"), std::string::npos);
  EXPECT_NE(error(kLines, "not JSON\n", kSame), "accepted");
  const std::string block = "{\"groups\":[],\"linears\":[],\"layer\":0}\n";
  EXPECT_NE(error(kLines, "{\"bits\":4}\n" + block + block, kSame).find("line 3"), std::string::npos);
  EXPECT_NE(error(OutputDirectory::kJournalTokens, std::string(12, '\1'), kSame).find("12 bytes"),
            std::string::npos);
  EXPECT_NE(error(OutputDirectory::kJournalTokens, "12345", kSame).find("5 bytes"),
            std::string::npos);
}

TEST_F(Journal, WhatWasFoundOutMustBeFoundAgain) {
  const std::string target = directory.file("out");
  auto output = OutputDirectory::create(target, false, {}, true);
  ASSERT_TRUE(output.ok());
  {
    QuantizeJournal journal(*output, kSame);
    ASSERT_TRUE(journal.agree("widths", {3, 4}).ok());
    ASSERT_TRUE(journal.start(std::vector<int32_t>{1}).ok());
  }
  QuantizeJournal journal(*output, kSame);
  const auto resumed = journal.resume();
  ASSERT_TRUE(resumed.ok() && *resumed);
  EXPECT_TRUE(journal.agree("widths", {3, 4}).ok());
  const Status other = journal.agree("widths", {4, 4});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message.find("widths"), std::string::npos) << other.error().message;
  EXPECT_FALSE(journal.agree("unheard of", 1).ok());
}

}  // namespace
}  // namespace awq
