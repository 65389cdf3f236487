// The extents of a tensor, outermost first, as the field writes them: [rows, columns].
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/check.h"

namespace awq {

class Shape {
 public:
  static constexpr size_t kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const int64_t> extents) : rank_(extents.size()) {
    AWQ_CHECK(rank_ <= kMaxRank, rank_);
    for (size_t i = 0; i < rank_; ++i) extents_[i] = extents[i];
  }

  size_t rank() const { return rank_; }
  int64_t operator[](size_t i) const { return extents_[i]; }
  std::span<const int64_t> extents() const { return {extents_.data(), rank_}; }

  /// Product of all extents; a scalar has 1.
  int64_t elements() const {
    int64_t product = 1;
    for (size_t i = 0; i < rank_; ++i) product *= extents_[i];
    return product;
  }
  /// Extent of the innermost axis; 1 for a scalar.
  int64_t columns() const { return rank_ == 0 ? 1 : extents_[rank_ - 1]; }
  /// Product of all axes but the innermost.
  int64_t rows() const {
    int64_t product = 1;
    for (size_t i = 0; i + 1 < rank_; ++i) product *= extents_[i];
    return product;
  }

  bool operator==(const Shape& other) const {
    return rank_ == other.rank_ && extents_ == other.extents_;
  }

  std::string text() const {
    std::string out = "[";
    for (size_t i = 0; i < rank_; ++i) out += cat(i == 0 ? "" : ", ", extents_[i]);
    return out + "]";
  }

 private:
  std::array<int64_t, kMaxRank> extents_ = {};
  size_t rank_ = 0;
};

}  // namespace awq
