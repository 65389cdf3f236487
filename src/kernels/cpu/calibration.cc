// Second-order statistics: fixed tiles of BLAS products, dealt to threads.
#include <algorithm>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/scratch.h"

namespace awq::cpu {

static constexpr int64_t kTile = 192;      // columns of a tile of h
static constexpr int64_t kRowBlock = 256;  // rows of e against h at a time

// Tiles on and above the diagonal are computed, each then copied to its mirror.
void gram(Device& device, Matrix x, float* h) {
  const int64_t dim = x.cols, tiles = (dim + kTile - 1) / kTile;
  device.pool().parallel_for(tiles * tiles, 1, [&](int64_t item, int64_t) {
    const int64_t i = item / tiles * kTile, j = item % tiles * kTile;
    if (j < i || x.rows == 0) return;
    const int64_t height = std::min(kTile, dim - i), width = std::min(kTile, dim - j);
    sgemm()(CblasRowMajor, CblasTrans, CblasNoTrans, static_cast<blasint>(height),
            static_cast<blasint>(width), static_cast<blasint>(x.rows), 1, x.data + i,
            static_cast<blasint>(x.stride), x.data + j, static_cast<blasint>(x.stride), 1,
            h + i * dim + j, static_cast<blasint>(dim));
    for (int64_t r = 0; r < height; ++r) {
      for (int64_t c = i == j ? r + 1 : 0; c < width; ++c) {
        h[(j + c) * dim + i + r] = h[(i + r) * dim + j + c];
      }
    }
  });
}

void abs_sum(const KernelTable& kernels, Device& device, Matrix x, double* sums) {
  constexpr int64_t kColumns = 64;
  const int64_t strips = (x.cols + kColumns - 1) / kColumns;
  for_rows(device, strips, x.rows * kColumns, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kColumns, last = std::min(x.cols, end * kColumns);
    for (int64_t t = 0; t < x.rows; ++t) {
      kernels.abs_sum(x.row(t) + first, sums + first, last - first);
    }
  });
}

void unscale_gram(Device& device, float* h, const float* s, int64_t dim) {
  for_rows(device, dim, dim, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < dim; ++j) h[i * dim + j] /= s[i] * s[j];
    }
  });
}

// h is symmetric: what lies above a tile of its diagonal counts twice, what lies below is not
// multiplied.
void quadratic_form(const KernelTable& kernels, Device& device, Matrix e, const float* h,
                    double* losses) {
  const auto multiply = sgemm();
  const int64_t dim = e.cols;
  const auto stride = static_cast<blasint>(e.stride), pitch = static_cast<blasint>(dim);
  device.pool().parallel_for(e.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    float* product = scratch_of<float>(Scratch::sums, kRowBlock * dim);
    const auto rows = static_cast<blasint>(end - begin);
    for (int64_t j = 0; j < dim; j += kTile) {
      const auto above = static_cast<blasint>(j);
      const auto width = static_cast<blasint>(std::min(kTile, dim - j));
      multiply(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, width, width, 1, e.row(begin) + j,
               stride, h + j * dim + j, pitch, 0, product + j, pitch);
      if (j == 0) continue;
      multiply(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, width, above, 2, e.row(begin),
               stride, h + j, pitch, 1, product + j, pitch);
    }
    for (int64_t o = begin; o < end; ++o) {
      losses[o] = kernels.dot(e.row(o), product + (o - begin) * dim, dim);
    }
  });
}

}  // namespace awq::cpu
