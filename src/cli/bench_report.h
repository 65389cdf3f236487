// What awq bench measured, as a table or a document.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "kernels/decode_step.h"

namespace awq {

struct Measurement {
  std::string test;
  double tokens_per_second = 0, stddev = 0, bytes_per_token = 0, roof = 0;
  double ms_per_token = 0;  ///< the median of the runs
  uint64_t peak = 0;  ///< resident memory before the roof was measured with a buffer of its own
  std::string plan;   ///< of the backend for a decode step; empty: op by op
  double barriers_per_token = 0;    ///< of the host's threads
  double instructions_per_weight = 0;  ///< 0: no counter on this machine
  std::vector<PartTime> parts;  ///< of one pass, with --profile

  /// Of speculative decoding; guessed 0: none.
  int64_t guessed = 0, accepted = 0;
  double tokens_per_pass = 0, gain = 0;  ///< gain: times the speed without guesses

  double gb_per_second() const { return tokens_per_second * bytes_per_token / 1e9; }
  double percent_of_roof() const { return 100 * gb_per_second() * 1e9 / roof; }
  std::string plan_name() const { return plan.empty() ? "op by op" : plan; }
};

struct BenchSubject {
  std::string model, device, backend, activations;
  bool random = false;  ///< weights
  double load_seconds = 0;
};

enum class BenchOutput { md, csv, json };

/// The whole answer, ending with a new line.
std::string bench_report(const std::vector<Measurement>& results, const BenchSubject& subject,
                         BenchOutput output);

}  // namespace awq
