#include "tensor/buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace awq {
namespace {

uintptr_t address(const Buffer& buffer) { return reinterpret_cast<uintptr_t>(buffer.data()); }

// Pieces of chunks are memory of their own, for as long as they live and whatever else is given back.
TEST(Buffer, PiecesOfChunks) {
  constexpr size_t kSize = (size_t{1} << 20) + 3;  // a chunk holds fifteen
  std::vector<Buffer> pieces;
  for (int i = 0; i < 40; ++i) {
    pieces.push_back(Buffer::of_chunk(kSize));
    ASSERT_EQ(pieces.back().size(), kSize);
    EXPECT_EQ(address(pieces.back()) % 64, 0u);
    std::memset(pieces.back().data(), i, kSize);
  }
  for (size_t i = 0; i < pieces.size(); i += 2) pieces[i] = Buffer();
  for (size_t i = 0; i < pieces.size(); i += 2) {
    pieces[i] = Buffer::of_chunk(kSize);
    std::memset(pieces[i].data(), 100 + static_cast<int>(i), kSize);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto want = static_cast<std::byte>(i % 2 == 0 ? 100 + i : i);
    for (size_t at = 0; at < kSize; ++at) ASSERT_EQ(pieces[i].data()[at], want) << i << ", " << at;
  }
}

TEST(Buffer, PiecesLieSideBySideInHugePages) {
  const Buffer first = Buffer::of_chunk(40000), second = Buffer::of_chunk(40000);
  EXPECT_EQ(address(second) - address(first), 40000u);
  const Buffer large = Buffer::of_chunk(size_t{4} << 20);
  EXPECT_EQ(address(large) % (size_t{2} << 20), 0u);
  EXPECT_EQ(Buffer::of_chunk(0).data(), nullptr);
}

}  // namespace
}  // namespace awq
