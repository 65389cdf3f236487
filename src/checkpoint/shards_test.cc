// Rows SH01 to SH06, SH13, SH14: which files make a model's directory, and what is said of those
// that are missing, broken or something else.
#include "checkpoint/shards.h"

#include <sys/stat.h>

#include "base/progress.h"
#include "checkpoint/source.h"
#include "checkpoint/test_files.h"

namespace awq {
namespace {

// A file with one U8 tensor of 4 bytes for each name.
std::string shard(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += cat(i == 0 ? "" : ",", "\"", names[i], "\":{\"dtype\":\"U8\",\"shape\":[4],",
                  "\"data_offsets\":[", 4 * i, ",", 4 * i + 4, "]}");
  }
  return safetensors_file(header + "}", std::string(4 * names.size(), 'x'));
}

class ShardsTest : public ::testing::Test {
 protected:
  ShardsTest() { directory_.write("config.json", "{}"); }

  void write_index(std::string_view map, std::string_view total = "8") {
    directory_.write("model.safetensors.index.json",
                     cat("{\"metadata\":{\"total_size\":", total, "},\"weight_map\":", map, "}"));
  }
  void write_two_shards() {
    directory_.write("one.safetensors", shard({"a"}));
    directory_.write("two.safetensors", shard({"b"}));
    write_index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  }
  Result<Checkpoint> open() const { return Checkpoint::open(directory_.path()); }

  TempDirectory directory_;
};

using Shards = ShardsTest;

TEST_F(Shards, ReadsASingleFileAndShards) {
  write_two_shards();
  const auto two = open();
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_EQ(two->files().size(), 2u);
  EXPECT_TRUE(two->warnings().empty());
  ASSERT_NE(two->find("b"), nullptr);
  EXPECT_EQ(two->find("b")->file, 1);
  EXPECT_EQ(two->find("c"), nullptr);
  directory_.write("model.safetensors", shard({"a", "c"}));
  const auto one = open();
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->tensors().size(), 2u);
}

TEST_F(Shards, SH01_MissingShardsAreAllListed) {
  write_index(R"({"a":"1.safetensors","b":"2.safetensors","c":"1.safetensors"})");
  expect_error(open(), {"index.json: missing shards: 1.safetensors, 2.safetensors", "download"});
}

TEST_F(Shards, SH02_TruncatedShard) {
  write_two_shards();
  std::filesystem::resize_file(directory_.file("two.safetensors"), shard({"b"}).size() - 1);
  expect_error(open(), {"two.safetensors: the file has ", cat(shard({"b"}).size()), "tensor b",
                        "truncated"});
}

TEST_F(Shards, SH03_NamesThatLeaveTheDirectory) {
  for (const char* name :
       {"../../x", "/etc/passwd", "a/b.safetensors", "..\\\\x", "..", ".", "", "a\\u0000b"}) {
    write_index(cat("{\"a\":\"", name, "\"}"));
    expect_error(open(), {"index.json: shard name", "is not a plain file name"});
  }
  write_index(R"({"a":7})");
  expect_error(open(), {"weight_map entry a is not a string"});
}

TEST_F(Shards, SH03_LinksOfACacheAreFollowed) {
  const TempDirectory blobs;
  const std::string blob = blobs.write("0123abcd", shard({"a"}));
  std::filesystem::create_symlink(blob, directory_.file("model.safetensors"));
  EXPECT_TRUE(open().ok());
}

TEST_F(Shards, SH04_TensorsInTheWrongShard) {
  write_two_shards();
  directory_.write("two.safetensors", shard({"b", "a"}));
  expect_error(open(), {"two.safetensors: tensor a is mapped to one.safetensors"});
  directory_.write("two.safetensors", shard({"c"}));
  expect_error(open(), {"two.safetensors: tensor c is not in the index"});
  write_two_shards();
  write_index(R"({"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})");
  expect_error(open(), {"tensor c is in the index but not in two.safetensors"});
}

TEST_F(Shards, SH05_WrongTotalSizeIsAWarning) {
  write_two_shards();
  write_index(R"({"a":"one.safetensors","b":"two.safetensors"})", "9");
  const auto checkpoint = open();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  ASSERT_EQ(checkpoint->warnings().size(), 1u);
  EXPECT_NE(checkpoint->warnings()[0].find("total_size of 9 bytes, the tensors have 8"),
            std::string::npos);
}

TEST_F(Shards, SH06_WhatDownloadsLeaveBehind) {
  directory_.write("model.safetensors",
                   "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
  expect_error(open(), {"model.safetensors: a git-LFS pointer", "run `git lfs pull`"});
  directory_.write("model.safetensors", "<!DOCTYPE html><html>404</html>");
  expect_error(open(), {"an HTML page", "download the file again"});
  directory_.write("model.safetensors", "{\"error\":\"Repository not found\"}");
  expect_error(open(), {"not a safetensors file"});
  const std::string gguf = directory_.write("m.gguf", "version https://git-lfs.github.com/spec/v1");
  expect_error(Checkpoint::open(gguf), {"a git-LFS pointer"});
}

TEST_F(Shards, SH13_PickleOnly) {
  expect_error(open(), {"neither model.safetensors nor model.safetensors.index.json is there"});
  directory_.write("pytorch_model-00001-of-00002.bin", "x");
  expect_error(open(), {"pytorch_model-00001-of-00002.bin is, but pickle files are not read",
                        "convert the model to safetensors"});
  directory_.write("model.Q4_0.gguf", "GGUF");
  expect_error(open(), {"model.Q4_0.gguf is: name that file itself"});
  directory_.write("model-00001-of-00002.safetensors", "x");
  expect_error(open(), {"model-00001-of-00002.safetensors is: rename it"});
}

TEST_F(Shards, SH13_NoConfig) {
  std::filesystem::remove(directory_.file("config.json"));
  expect_error(open(), {"config.json: cannot open"});
  directory_.write("model.Q4_0.gguf", "GGUF");
  expect_error(open(), {"config.json: cannot open", "name that file itself"});
}

TEST_F(Shards, SH14_NotARegularFile) {
  const Timer timer;
  const std::string path = directory_.file("model.safetensors");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_error(open(), {"model.safetensors: not a regular file"});
  expect_error(Checkpoint::open(path), {"neither a directory nor a regular file"});
  std::filesystem::remove(path);
  std::filesystem::create_symlink("nowhere", path);
  expect_error(open(), {"model.safetensors: cannot open: No such file"});
  expect_error(Checkpoint::open(path), {"cannot open: No such file"});
  std::filesystem::remove(path);
  std::filesystem::create_symlink("model.safetensors", path);
  expect_error(open(), {"cannot open: Too many levels of symbolic links"});
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  expect_error(open(), {"model.safetensors: not a regular file"});
  std::filesystem::remove(directory_.file("config.json"));
  ASSERT_EQ(::mkfifo(directory_.file("config.json").c_str(), 0600), 0);
  expect_error(open(), {"config.json: not a regular file"});
  expect_error(Checkpoint::open("/dev/zero"), {"neither a directory nor a regular file"});
  expect_error(Checkpoint::open(""), {"no name"});
  EXPECT_LT(timer.seconds(), 60) << "it waited for something";
}

TEST_F(Shards, SH14_UnreadableDirectory) {
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::none);
  const bool root = ::geteuid() == 0;  // who reads everything
  ASSERT_EQ(root ? ::seteuid(65534) : 0, 0);
  expect_error(open(), {"cannot open: Permission denied"});
  ASSERT_EQ(root ? ::seteuid(0) : 0, 0);
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::owner_all);
}

TEST_F(Shards, BrokenIndexes) {
  directory_.write("model.safetensors.index.json", "[]");
  expect_error(open(), {"\"weight_map\" is missing or empty"});
  directory_.write("model.safetensors.index.json", "{\"weight_map\":{}}");
  expect_error(open(), {"\"weight_map\" is missing or empty"});
  directory_.write("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"1\",\"a\":\"2\"}}");
  expect_error(open(), {"duplicate key \"a\""});
  directory_.write("model.safetensors.index.json", "{");
  expect_error(open(), {"index.json: not valid JSON at byte"});
}

}  // namespace
}  // namespace awq
