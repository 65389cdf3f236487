#include "text/jinja/strftime.h"

#include <array>

namespace awq::jinja {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

// `fill` 0 drops the leading zeros ("%-d").
std::string digits(int value, size_t width, char fill = '0') {
  std::string text = cat(value);
  while (fill != '\0' && text.size() < width) text.insert(text.begin(), fill);
  return text;
}

int week_of_year(const std::tm& time, bool monday) {
  const int day = monday ? (time.tm_wday + 6) % 7 : time.tm_wday;
  return (time.tm_yday + 7 - day) / 7;
}

std::string field(Heap& heap, char letter, char fill, const std::tm& time) {
  const auto nested = [&](std::string_view format) { return format_time(heap, format, time); };
  const int hour12 = time.tm_hour % 12 == 0 ? 12 : time.tm_hour % 12;
  switch (letter) {
    case 'Y': return cat(time.tm_year + 1900);
    case 'y': return digits((time.tm_year + 1900) % 100, 2, fill);
    case 'C': return digits((time.tm_year + 1900) / 100, 2, fill);
    case 'm': return digits(time.tm_mon + 1, 2, fill);
    case 'd': return digits(time.tm_mday, 2, fill);
    case 'e': return digits(time.tm_mday, 2, fill == '\0' ? '\0' : ' ');
    case 'H': return digits(time.tm_hour, 2, fill);
    case 'I': return digits(hour12, 2, fill);
    case 'M': return digits(time.tm_min, 2, fill);
    case 'S': return digits(time.tm_sec, 2, fill);
    case 'f': return "000000";
    case 'j': return digits(time.tm_yday + 1, 3, fill);
    case 'p': return time.tm_hour < 12 ? "AM" : "PM";
    case 'A': return std::string(kDays[static_cast<size_t>(time.tm_wday)]);
    case 'a': return std::string(kDays[static_cast<size_t>(time.tm_wday)].substr(0, 3));
    case 'B': return std::string(kMonths[static_cast<size_t>(time.tm_mon)]);
    case 'b':
    case 'h': return std::string(kMonths[static_cast<size_t>(time.tm_mon)].substr(0, 3));
    case 'u': return cat(time.tm_wday == 0 ? 7 : time.tm_wday);
    case 'w': return cat(time.tm_wday);
    case 'U': return digits(week_of_year(time, false), 2, fill);
    case 'W': return digits(week_of_year(time, true), 2, fill);
    case 'F': return nested("%Y-%m-%d");
    case 'T':
    case 'X': return nested("%H:%M:%S");
    case 'R': return nested("%H:%M");
    case 'D':
    case 'x': return nested("%m/%d/%y");
    case 'c': return nested("%a %b %e %H:%M:%S %Y");
    case 'Z':
    case 'z': return "";  // datetime.now() knows no zone
    case 'n': return "\n";
    case 't': return "\t";
    case '%': return "%";
    default: fail("strftime_now: unsupported '%", printable({&letter, 1}), "'");
  }
}

}  // namespace

std::string format_time(Heap& heap, std::string_view format, const std::tm& time) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const bool plain = i + 1 < format.size() && format[i + 1] == '-';
    i += plain ? 2 : 1;
    if (i >= format.size()) fail("strftime_now: incomplete format");
    heap.step();
    out += field(heap, format[i], plain ? '\0' : '0', time);
    heap.check_size(out.size());
  }
  return out;
}

}  // namespace awq::jinja
