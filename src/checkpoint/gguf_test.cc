// Rows GG01 to GG12 and GG16: what a broken GGUF file says, and what a whole one holds.
#include "checkpoint/gguf.h"

#include <algorithm>
#include <ctime>

#include "checkpoint/test_files.h"

namespace awq {
namespace {

constexpr uint64_t kHuge = uint64_t{1} << 62;

Result<GgufFile> parse(const std::string& file) { return parse_gguf(as_bytes(file), "f.gguf"); }

// One F32 tensor "t" whose record says `dims`, `type` and `offset`, over `bytes` of data.
Result<GgufFile> parse_tensor(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset = 0,
                              size_t bytes = 64) {
  GgufBuilder builder;
  builder.record("t", dims, type, offset).data.resize(bytes);
  return parse(builder.build());
}

TEST(Gguf, ReadsMetadataAndTensors) {
  GgufBuilder builder;
  builder.string("general.architecture", "llama").u32("n", 7).f32("eps", 0.5f);
  builder.value("flag", 7, "\x01").value("neg", 11, le<int64_t>(-5));
  builder.array("words", 8, 2, GgufBuilder::text("a") + GgufBuilder::text("bc"));
  builder.array("scores", 6, 2, le(1.5f) + le(-2.0f)).array("types", 5, 2, le(1) + le(-1));
  builder.tensor("a", {2, 3}, 0, std::string(24, 'a')).tensor("b", {32}, 8, std::string(34, 'b'));
  const std::string bytes = builder.build();  // the tensors point into it
  const auto file = parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(std::get<std::string>(file->metadata.at("general.architecture")), "llama");
  EXPECT_EQ(std::get<uint64_t>(file->metadata.at("n")), 7u);
  EXPECT_EQ(std::get<double>(file->metadata.at("eps")), 0.5);
  EXPECT_EQ(std::get<bool>(file->metadata.at("flag")), true);
  EXPECT_EQ(std::get<int64_t>(file->metadata.at("neg")), -5);
  EXPECT_EQ(std::get<std::vector<std::string>>(file->metadata.at("words"))[1], "bc");
  EXPECT_EQ(std::get<std::vector<double>>(file->metadata.at("scores"))[1], -2.0);
  EXPECT_EQ(std::get<std::vector<int64_t>>(file->metadata.at("types"))[1], -1);
  ASSERT_EQ(file->tensors.size(), 2u);
  EXPECT_EQ(file->tensors[0].shape.text(), "[3, 2]");
  EXPECT_EQ(file->tensors[1].dtype, DType::q8_0);
  EXPECT_EQ(as_text(file->tensors[1].data), std::string(34, 'b'));
}

TEST(Gguf, GG01_MagicAndVersion) {
  GgufBuilder builder;
  builder.magic = "GGJT";
  expect_error(parse(builder.build()), {"f.gguf: not a GGUF file"});
  expect_error(parse("GG"), {"not a GGUF file"});
  expect_error(parse("GGUF"), {"byte 4: the file ends inside the version"});
  builder.magic = "GGUF";
  for (const auto& [version, text] : std::vector<std::pair<uint32_t, std::string>>{
           {0, "version 0 is unknown, expected 2 or 3"},
           {1, "version 1 is not read"},
           {4, "version 4 is unknown, expected 2 or 3; a newer"},
           {0x03000000, "a big-endian file"}}) {
    builder.version = version;
    expect_error(parse(builder.build()), {"byte 4: ", text});
  }
  builder.version = 2;
  EXPECT_TRUE(parse(builder.build()).ok());
}

TEST(Gguf, GG02_CountsBeyondTheFile) {
  for (const uint64_t count : {UINT64_MAX, kHuge, uint64_t{100}}) {
    GgufBuilder builder;
    builder.tensor_count = count;
    expect_error(parse(builder.build()), {cat("byte 8: ", count, " tensors do not fit")});
    builder.tensor_count.reset();
    builder.value_count = count;
    expect_error(parse(builder.build()), {cat("byte 16: ", count, " metadata values do not fit")});
  }
  GgufBuilder builder;
  builder.tensor_count = 1;  // fits, but there is no record
  expect_error(parse(builder.build() + std::string(32, '\0')), {"a name of 0 bytes"});
}

TEST(Gguf, GG03_TextLengths) {
  for (const uint64_t length : {UINT64_MAX, uint64_t{1000}}) {
    GgufBuilder builder;
    builder.value("k", 8, le(length) + std::string(100, 'x'));
    expect_error(parse(builder.build()), {"the value of k declares", cat(length)});
    builder = {};
    builder.values = le(length) + std::string(100, 'k');
    builder.values_added = 1;
    expect_error(parse(builder.build()), {"byte 24: metadata key 0 declares", cat(length)});
  }
  GgufBuilder builder;
  builder.array("k", 8, 2, GgufBuilder::text("a") + le(kHuge));
  expect_error(parse(builder.build()), {"string 1 of k declares"});
}

TEST(Gguf, GG04_Arrays) {
  const auto array = [](uint32_t type, uint64_t count) {
    return parse(GgufBuilder().array("k", type, count, std::string(64, '\0')).build());
  };
  EXPECT_TRUE(array(10, 8).ok());
  for (const uint64_t count : {kHuge, UINT64_MAX, uint64_t{1} << 61, uint64_t{100}}) {
    expect_error(array(10, count), {"k declares", cat(count), "elements"});
  }
  expect_error(array(9, 1), {"k is an array of arrays"});
  expect_error(array(13, 1), {"k has the unknown element type 13"});
  expect_error(parse(GgufBuilder().value("k", 77, "xxxx").build()), {"unknown value type 77"});
  expect_error(parse(GgufBuilder().value("k", 7, "\x02").build()),
               {"boolean of 2, expected 0 or 1"});
  GgufBuilder large;  // a file of a few MB must not ask for 32 times as much
  large.array("k", 0, uint64_t{5} << 20, std::string(5 << 20, '\0'));
  expect_error(parse(large.build()), {"the limit is 4194304 elements"});
}

TEST(Gguf, GG05_NamesThereTwice) {
  expect_error(parse(GgufBuilder().u32("k", 1).u32("k", 2).build()), {"key k is there twice"});
  expect_error(parse(GgufBuilder().u32("", 1).build()), {"metadata key 0 is empty"});
  expect_error(parse(GgufBuilder().tensor("t", {1}, 0, "0123").tensor("t", {1}, 0, "0123").build()),
               {"tensor t: is there twice"});
  expect_error(parse(GgufBuilder().tensor(std::string(64, 'n'), {1}, 0, "0123").build()),
               {"a name of 64 bytes, expected 1 to 63"});
}

// A file of so many tensors; sets the processor time that parsing it took.
size_t parse_tensors(int count, double& seconds) {
  GgufBuilder builder;
  for (int i = 0; i < count; ++i) {
    builder.record(cat("t", i), {1}, 0, 32 * static_cast<uint64_t>(i));
  }
  builder.data.resize(static_cast<size_t>(count) * 32);
  const std::string file = builder.build();
  const std::clock_t start = std::clock();
  const auto parsed = parse(file);
  seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? parsed->tensors.size() : 0;
}

// Sixteen times the tensors take about sixteen times as long; a quadratic reader would take 256 times.
TEST(Gguf, GG05_AMillionTensors) {
  double few = 0, many = 0;
  EXPECT_EQ(parse_tensors(62'500, few), 62'500u);
  EXPECT_EQ(parse_tensors(1'000'000, many), 1'000'000u);
  EXPECT_LT(many, 100 * std::max(few, 0.01));
}

TEST(Gguf, GG06_Alignment) {
  for (const uint32_t bad : {0u, 1u, 3u, 4u, 48u, 1u << 17, 1u << 31}) {
    expect_error(parse(GgufBuilder().u32("general.alignment", bad).build()),
                 {cat("general.alignment is ", bad), "expected a power of two from 8 to 65536"});
  }
  expect_error(parse(GgufBuilder().string("general.alignment", "32").build()),
               {"general.alignment is not an unsigned integer"});
  expect_error(parse(GgufBuilder().value("general.alignment", 5, le(-32)).build()),
               {"general.alignment is not an unsigned integer"});
  GgufBuilder builder;
  builder.alignment = 64;
  builder.u32("general.alignment", 64).tensor("a", {1}, 0, "aaaa").tensor("b", {1}, 0, "bbbb");
  const std::string bytes = builder.build();
  const auto file = parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(as_text(file->tensors[1].data), "bbbb");
}

TEST(Gguf, GG07_GG08_DimensionsThatOverflow) {
  expect_error(parse_tensor({1, 1, 1, 1, 1}, 0), {"tensor t: 5 dimensions, expected at most 4"});
  expect_error(parse_tensor({UINT64_MAX}, 0), {"tensor t: dimension 0 is 18446744073709551615"});
  expect_error(parse_tensor({uint64_t{1} << 63, 2}, 0), {"dimension 0 is"});
  expect_error(parse_tensor({uint64_t{1} << 32, uint64_t{1} << 32}, 0), {"is too large"});
  expect_error(parse_tensor({0, kHuge, 4}, 0), {"is too large"});  // as a Shape it overflows
  expect_error(parse_tensor({4, kHuge, 0}, 0), {"is too large"});
  expect_error(parse_tensor({kHuge}, 0), {"its size is too large"});  // elements fit, bytes not
  expect_error(parse_tensor({UINT64_MAX / 4}, 0), {"18446744073709551612 bytes", "end past"});
  expect_error(parse_tensor({uint64_t{1} << 60}, 0), {"end past the 64 bytes of data"});
}

TEST(Gguf, GG09_SizesThatWrapTogether) {
  GgufBuilder builder;
  const uint64_t most = (uint64_t{1} << 61) - 32;  // F32 elements: 2^63 - 128 bytes
  builder.record("a", {most}, 0, 0).record("b", {most}, 0, most * 4).record("c", {most}, 0, 0);
  builder.data.resize(64);
  expect_error(parse(builder.build()), {"tensor a", "end past the 64 bytes of data"});
}

TEST(Gguf, GG10_Offsets) {
  expect_error(parse_tensor({4}, 0, 32), {"tensor t: data offset 32, expected 0"});
  expect_error(parse_tensor({4}, 0, 1), {"data offset 1, expected 0"});
  expect_error(parse_tensor({4}, 0, UINT64_MAX - 31), {"expected 0"});
  GgufBuilder builder;
  builder.record("a", {8}, 0, 0).record("b", {8}, 0, 16).data.resize(64);
  expect_error(parse(builder.build()), {"tensor b: data offset 16, expected 32"});
}

TEST(Gguf, GG11_DataThatIsShort) {
  expect_error(parse_tensor({16}, 0, 0, 63), {"tensor t: 64 bytes", "the 63 bytes of data"});
  EXPECT_TRUE(parse_tensor({16}, 0, 0, 64).ok());
  expect_error(parse_tensor({16}, 0, 0, 0), {"the 0 bytes of data", "truncated"});
  GgufBuilder builder;  // not even the padding before the data
  builder.pad = false;
  builder.record("t", {1}, 0, 0);
  expect_error(parse(builder.build()), {"the 0 bytes of data"});
  const std::string whole =
      GgufBuilder().u32("k", 1).tensor("t", {32}, 2, std::string(18, 'x')).build();
  EXPECT_TRUE(parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse(whole.substr(0, size)).ok()) << size;
  }
}

TEST(Gguf, GG12_BlocksAndTypes) {
  expect_error(parse_tensor({48}, 2), {"rows of 48 are not whole Q4_0 blocks of 32"});
  expect_error(parse_tensor({128, 2}, 12), {"rows of 128 are not whole Q4_K blocks of 256"});
  expect_error(parse_tensor({}, 2), {"rows of 1 are not whole"});
  for (const uint32_t type : {4u, 5u, 9u, 15u, 16u, 29u, 31u, 99u, UINT32_MAX}) {
    expect_error(parse_tensor({256}, type),
                 {cat("tensor t: ggml type ", type, " is not supported")});
  }
}

TEST(Gguf, EmptyTensorsAreRead) {
  GgufBuilder builder;
  builder.tensor("a", {4}, 0, std::string(16, 'a'))
      .tensor("e", {0, 8}, 0, "")
      .tensor("z", {0}, 0, "");
  const auto file = parse(builder.build());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_TRUE(file->tensors[1].data.empty());
}

TEST(Gguf, GG16_PartsOfASplit) {
  GgufBuilder builder;
  builder.value("split.count", 2, le<uint16_t>(3)).value("split.no", 2, le<uint16_t>(0));
  expect_error(parse(builder.build()), {"one part of a split GGUF of 3 files", "merge them"});
  EXPECT_TRUE(parse(GgufBuilder().value("split.count", 2, le<uint16_t>(1)).build()).ok());
  expect_error(parse(GgufBuilder().string("split.count", "x").build()), {"one part of a split"});
}

}  // namespace
}  // namespace awq
