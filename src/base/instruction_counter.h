// Instructions that the threads of this process retire in user mode, where the system lets us count them.
#pragma once

#include <cstdint>
#include <vector>

namespace awq {

class InstructionCounter {
 public:
  /// Counts the threads that exist now.
  InstructionCounter();
  ~InstructionCounter();
  InstructionCounter(const InstructionCounter&) = delete;
  InstructionCounter& operator=(const InstructionCounter&) = delete;

  /// Instructions so far; 0 where there are no counters.
  uint64_t read() const;

 private:
  std::vector<int> files_;
};

}  // namespace awq
