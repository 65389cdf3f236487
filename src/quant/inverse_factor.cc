#include "quant/inverse_factor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/cpu/blas.h"

namespace awq {
namespace {

constexpr int64_t kTile = 128;
constexpr double kLargestDamping = 10;

// A symmetric matrix on its way to its factor, row-major.
class Factoring {
 public:
  Factoring(double* a, int64_t n, ThreadPool& pool)
      : a_(a), n_(n), blocks_((n + kTile - 1) / kTile), pool_(pool) {}

  // Lower triangle: a = L L^T. False when a is not positive definite.
  bool cholesky() {
    for (int64_t k = 0; k < blocks_; ++k) {
      if (!factor_diagonal(k)) return false;
      solve_panel(k);
      update_trailing(k);
    }
    return true;
  }

  // From L in the lower triangle to L^-T in the upper one, the diagonal included.
  void invert_transposed() {
    inverse_.assign(static_cast<size_t>(blocks_ * kTile * kTile), 0.0);
    pool_.parallel_for(blocks_, 1, [&](int64_t j, int64_t) { invert_diagonal(j); });
    pool_.parallel_for(blocks_, 1, [&](int64_t j, int64_t) { invert_column(j); });
    for (int64_t j = 0; j < blocks_; ++j) {
      for (int64_t r = 0; r < size(j); ++r) {
        for (int64_t c = r; c < size(j); ++c) *at(j, r, j, c) = diagonal(j)[c * kTile + r];
      }
    }
  }

  // x[i, j] and x[n-1-j, n-1-i] of the upper triangle change places.
  void reverse() {
    for (int64_t i = 0; i < n_; ++i) {
      for (int64_t j = i; i + j < n_ - 1; ++j) {
        std::swap(a_[i * n_ + j], a_[(n_ - 1 - j) * n_ + n_ - 1 - i]);
      }
    }
  }

 private:
  int64_t size(int64_t block) const { return std::min(kTile, n_ - block * kTile); }
  double* at(int64_t i, int64_t r, int64_t j, int64_t c) const {
    return a_ + (i * kTile + r) * n_ + j * kTile + c;
  }
  double* diagonal(int64_t j) { return inverse_.data() + j * kTile * kTile; }

  bool factor_diagonal(int64_t k) {
    for (int64_t j = 0; j < size(k); ++j) {
      double pivot = *at(k, j, k, j);
      for (int64_t m = 0; m < j; ++m) pivot -= *at(k, j, k, m) * *at(k, j, k, m);
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
      pivot = std::sqrt(pivot);
      *at(k, j, k, j) = pivot;
      for (int64_t i = j + 1; i < size(k); ++i) {
        double value = *at(k, i, k, j);
        for (int64_t m = 0; m < j; ++m) value -= *at(k, i, k, m) * *at(k, j, k, m);
        *at(k, i, k, j) = value / pivot;
      }
    }
    return true;
  }

  // Rows below block k: x L_kk^T = a.
  void solve_panel(int64_t k) {
    const int64_t first = (k + 1) * kTile;
    pool_.parallel_for(n_ - first, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double* x = a_ + (first + i) * n_ + k * kTile;
        for (int64_t j = 0; j < size(k); ++j) {
          double value = x[j];
          for (int64_t m = 0; m < j; ++m) value -= x[m] * *at(k, j, k, m);
          x[j] = value / *at(k, j, k, j);
        }
      }
    });
  }

  void update_trailing(int64_t k) {
    const int64_t left = blocks_ - k - 1;
    pool_.parallel_for(left * left, 1, [&](int64_t item, int64_t) {
      const int64_t i = k + 1 + item / left, j = k + 1 + item % left;
      if (j > i) return;
      multiply(CblasNoTrans, CblasTrans, size(i), size(j), size(k), -1, at(i, 0, k, 0), n_,
               at(j, 0, k, 0), n_, 1, at(i, 0, j, 0), n_);
    });
  }

  void invert_diagonal(int64_t k) {
    double* inverse = diagonal(k);
    for (int64_t c = 0; c < size(k); ++c) {
      inverse[c * kTile + c] = 1 / *at(k, c, k, c);
      for (int64_t r = c + 1; r < size(k); ++r) {
        double sum = 0;
        for (int64_t m = c; m < r; ++m) sum += *at(k, r, k, m) * inverse[m * kTile + c];
        inverse[r * kTile + c] = -sum / *at(k, r, k, r);
      }
    }
  }

  // M = L^-1: M_ij = -M_ii sum_{j <= k < i} L_ik M_kj, kept transposed in the upper triangle, where
  // what one column writes no other reads.
  void invert_column(int64_t j) {
    std::vector<double> sum(static_cast<size_t>(kTile * kTile));
    for (int64_t i = j + 1; i < blocks_; ++i) {
      multiply(CblasNoTrans, CblasNoTrans, size(i), size(j), size(j), 1, at(i, 0, j, 0), n_,
               diagonal(j), kTile, 0, sum.data(), kTile);
      if (i > j + 1) {
        multiply(CblasNoTrans, CblasTrans, size(i), size(j), (i - j - 1) * kTile, 1,
                 at(i, 0, j + 1, 0), n_, at(j, 0, j + 1, 0), n_, 1, sum.data(), kTile);
      }
      multiply(CblasTrans, CblasTrans, size(j), size(i), size(i), -1, sum.data(), kTile,
               diagonal(i), kTile, 0, at(j, 0, i, 0), n_);
    }
  }

  static void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t m, int64_t n, int64_t k,
                       double alpha, const double* a, int64_t lda, const double* b, int64_t ldb,
                       double beta, double* c, int64_t ldc) {
    cpu::dgemm()(CblasRowMajor, ta, tb, static_cast<blasint>(m), static_cast<blasint>(n),
                 static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda), b,
                 static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
  }

  double* a_;
  int64_t n_, blocks_;
  ThreadPool& pool_;
  std::vector<double> inverse_;  // of the diagonal blocks of L, [blocks, kTile, kTile]
};

// What the diagonal of H says of its channels; `upper` is yet to be made.
struct Described {
  InverseFactor factor;
  double mean = 0;  // of the diagonal; 1 when nothing came in: rounding to nearest
};

Result<Described> describe(std::span<const float> diagonal, const FactorOptions& options) {
  const auto width = static_cast<int64_t>(diagonal.size());
  const auto energy = [&](int64_t i) { return double{diagonal[static_cast<size_t>(i)]}; };
  Described result;
  InverseFactor& factor = result.factor;
  factor.width = width;
  for (int64_t i = 0; i < width; ++i) {
    if (!(energy(i) >= 0) || !std::isfinite(energy(i))) {
      return runtime_error(cat("the Hessian's diagonal is ", energy(i), " at channel ", i,
                               "; the checkpoint overflows on this calibration text"));
    }
    factor.dead += energy(i) == 0;
    result.mean += energy(i) / static_cast<double>(width);
  }
  if (result.mean == 0) result.mean = 1;
  factor.order.resize(static_cast<size_t>(width));
  std::iota(factor.order.begin(), factor.order.end(), int64_t{0});
  if (options.act_order) {
    std::stable_sort(factor.order.begin(), factor.order.end(),
                     [&](int64_t a, int64_t b) { return energy(a) > energy(b); });
  }
  return result;
}

// Raises the damping until `make(damping)` is done; what else it ends in goes back at once.
template <class F>
Result<FactorOutcome> damped(InverseFactor& factor, const FactorOptions& options, F&& make) {
  for (factor.damping = options.damping; factor.damping <= kLargestDamping;
       factor.damping = std::max(1e-4, factor.damping * 10)) {
    const FactorOutcome outcome = make(factor.damping);
    if (outcome != FactorOutcome::not_positive_definite) return outcome;
  }
  return runtime_error(cat("the Hessian of ", factor.width,
                           " channels is not positive definite even with a damping of ",
                           kLargestDamping, " times its mean diagonal"));
}

std::vector<float> diagonal_of(const Ops& ops, const DeviceBuffer& gram, int64_t width) {
  Device& device = *ops.device;
  std::vector<float> diagonal(static_cast<size_t>(width));
  const size_t bytes = diagonal.size() * sizeof(float);
  const DeviceBuffer packed(device, bytes);
  device.clear(packed.data(), bytes);
  ops.add(device, {gram.as<float>(), width, 1, width + 1}, {packed.as<float>(), width, 1});
  device.download(diagonal.data(), packed.data(), bytes);
  return diagonal;
}

}  // namespace

Result<InverseFactor> inverse_factor(std::span<const float> gram, int64_t width,
                                     const FactorOptions& options, ThreadPool& pool) {
  AWQ_CHECK(static_cast<int64_t>(gram.size()) == width * width, gram.size(), ", width ", width);
  std::vector<float> diagonal(static_cast<size_t>(width));
  for (int64_t i = 0; i < width; ++i) {
    diagonal[static_cast<size_t>(i)] = gram[static_cast<size_t>(i * width + i)];
  }
  AWQ_ASSIGN(Described described, describe(diagonal, options));
  InverseFactor& factor = described.factor;
  factor.upper = Buffer(InverseFactor::bytes(width));
  auto* a = factor.upper.as<double>();
  // With the columns turned around, L of A = L L^T gives the factor of the inverse that is upper
  // triangular: one inversion of a triangle instead of one of H.
  const auto make = [&](double damping) {
    pool.parallel_for(width, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t i = factor.order[static_cast<size_t>(width - 1 - r)];
        for (int64_t c = 0; c < width; ++c) {
          const int64_t j = factor.order[static_cast<size_t>(width - 1 - c)];
          a[r * width + c] = gram[static_cast<size_t>(i * width + j)];
        }
        if (diagonal[static_cast<size_t>(i)] == 0) a[r * width + r] = described.mean;
        a[r * width + r] += damping * described.mean;
      }
    });
    Factoring factoring(a, width, pool);
    if (!factoring.cholesky()) return FactorOutcome::not_positive_definite;
    factoring.invert_transposed();
    factoring.reverse();
    return FactorOutcome::done;
  };
  AWQ_TRY(damped(factor, options, make));
  return std::move(factor);
}

Result<InverseFactor> inverse_factor(const Ops& ops, const DeviceBuffer& gram, int64_t width,
                                     const FactorOptions& options) {
  Device& device = *ops.device;
  AWQ_CHECK(gram.size() == static_cast<size_t>(width * width) * sizeof(float), gram.size());
  const auto on_host = [&] {
    const auto count = static_cast<size_t>(width * width);
    if (device.host_visible()) {
      return inverse_factor(std::span(gram.as<float>(), count), width, options, device.pool());
    }
    std::vector<float> values(count);
    device.download(values.data(), gram.data(), gram.size());
    return inverse_factor(values, width, options, device.pool());
  };
  if (ops.round_compensated == nullptr) return on_host();
  AWQ_ASSIGN(Described described, describe(diagonal_of(ops, gram, width), options));
  InverseFactor factor = std::move(described.factor);
  const std::vector<int32_t> order(factor.order.begin(), factor.order.end());
  factor.device_upper = DeviceBuffer(device, InverseFactor::bytes(width));
  AWQ_ASSIGN(const FactorOutcome outcome, damped(factor, options, [&](double damping) {
    return ops.inverse_factor(device, {gram.as<float>(), order, described.mean,
                                       damping * described.mean,
                                       factor.device_upper.as<double>()});
  }));
  if (outcome == FactorOutcome::unavailable) {
    AWQ_ASSIGN(InverseFactor made, on_host());
    device.upload(factor.device_upper.data(), made.upper.data(), InverseFactor::bytes(width));
    factor.damping = made.damping;
  }
  factor.device_order = DeviceBuffer(device, order.size() * sizeof(int32_t));
  device.upload(factor.device_order.data(), order.data(), order.size() * sizeof(int32_t));
  return factor;
}

}  // namespace awq
