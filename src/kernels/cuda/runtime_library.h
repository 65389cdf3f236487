// Libraries of CUDA that are opened at run time, so that the program starts on machines without them.
#pragma once

#include <dlfcn.h>

#include <initializer_list>
#include <string>

namespace awq::cuda {

/// Never closed: the runtime of CUDA may be gone when statics are destroyed.
class RuntimeLibrary {
 public:
  /// The first of `files` that can be opened; `name` is for messages.
  RuntimeLibrary(const char* name, std::initializer_list<const char*> files) : name_(name) {
    for (const char* file : files) {
      handle_ = dlopen(file, RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) break;
      if (error_.empty()) error_ = dlerror();
    }
    if (handle_ != nullptr) error_.clear();
  }

  /// False when the library is not open or lacks `symbol`: error() says which.
  template <class F>
  bool find(const char* symbol, F& function) {
    if (handle_ == nullptr) return false;
    function = reinterpret_cast<F>(dlsym(handle_, symbol));
    if (function == nullptr) error_ = std::string(name_) + " has no " + symbol;
    return function != nullptr;
  }

  /// Empty when all is well.
  const std::string& error() const { return error_; }

 private:
  const char* name_;
  void* handle_ = nullptr;
  std::string error_;
};

}  // namespace awq::cuda
