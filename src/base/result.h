// Errors as values. Everything that comes from outside (files, sockets, command line) ends in a
// Result<T>; exceptions do not cross folders. A message says what, where (path, offset or field),
// why, and the fix.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"

namespace awq {

/// What went wrong, as the process exit code that the command line reports for it.
enum class ErrorKind {
  runtime = 1,    ///< anything that has no better kind
  usage = 2,      ///< the caller asked for something that is not offered
  bad_input = 3,  ///< a file or text that is corrupt, unsupported or inconsistent
  network = 4,
  resources = 5,  ///< memory, disk, descriptors
};

struct Error {
  ErrorKind kind = ErrorKind::runtime;
  std::string message;
};

inline Error bad_input(std::string message) { return {ErrorKind::bad_input, std::move(message)}; }
inline Error usage_error(std::string message) { return {ErrorKind::usage, std::move(message)}; }
inline Error runtime_error(std::string message) { return {ErrorKind::runtime, std::move(message)}; }
inline Error resource_error(std::string message) {
  return {ErrorKind::resources, std::move(message)};
}

/// Either a T or an Error. Reading the value of a failed Result is a broken invariant.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit by design
  Result(Error error) : error_(std::move(error)) {}      // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }

  T& value() & {
    AWQ_CHECK(ok(), error_.message);
    return *value_;
  }
  const T& value() const& {
    AWQ_CHECK(ok(), error_.message);
    return *value_;
  }
  T&& value() && {
    AWQ_CHECK(ok(), error_.message);
    return std::move(*value_);
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

  const Error& error() const {
    AWQ_CHECK(!ok());
    return error_;
  }

 private:
  std::optional<T> value_;
  Error error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    AWQ_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace awq

#define AWQ_CONCAT_(a, b) a##b
#define AWQ_CONCAT(a, b) AWQ_CONCAT_(a, b)

/// Returns the error of `expr` (a Result) from the enclosing function, if there is one.
#define AWQ_TRY(expr)                                              \
  do {                                                             \
    if (auto awq_status_ = (expr); !awq_status_.ok()) {            \
      return ::awq::Error(awq_status_.error());                    \
    }                                                              \
  } while (0)

/// `AWQ_ASSIGN(auto x, f());` declares x from a successful Result, or returns its error.
#define AWQ_ASSIGN(decl, expr) AWQ_ASSIGN_(AWQ_CONCAT(awq_result_, __LINE__), decl, expr)
#define AWQ_ASSIGN_(tmp, decl, expr)                       \
  auto tmp = (expr);                                       \
  if (!tmp.ok()) return ::awq::Error(tmp.error());         \
  decl = std::move(*tmp)
