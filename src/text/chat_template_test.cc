// Templates that attack, break or ask for too much. Rows JI01 to JI12 of the reliability matrix.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <ctime>

namespace awq {
namespace {

// Builds that look for faults make no promise about time.
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(AWQ_FUZZING)
constexpr bool kTimed = false;
#else
constexpr bool kTimed = true;
#endif

Result<std::string> render(const std::string& source, const Json& context = Json::object(),
                           TemplateLimits limits = {}) {
  AWQ_ASSIGN(const ChatTemplate parsed, ChatTemplate::parse(source, limits));
  return parsed.render(context);
}

std::string text_of(const std::string& source, const Json& context = Json::object()) {
  const auto result = render(source, context);
  return result.ok() ? *result : "error: " + result.error().message;
}

// Seconds of processor time since `start`: other work on the machine does not count.
double seconds_since(std::clock_t start) {
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}
constexpr double kSlowMachine = 4;  // the bounds are for a fast one

// The message of the error that a template must end in, within `seconds`.
std::string error_of(const std::string& source, const Json& context = Json::object(),
                     double seconds = 1.0, TemplateLimits limits = {}) {
  const std::clock_t begin = std::clock();
  const auto result = render(source, context, limits);
  const double took = seconds_since(begin);
  EXPECT_TRUE(!kTimed || took < kSlowMachine * seconds) << took << " s: " << source.substr(0, 200);
  if (result.ok()) return "no error: " + result->substr(0, 80);
  EXPECT_EQ(result.error().kind, ErrorKind::bad_input);
  return result.error().message;
}

void expect_error(const std::string& source, std::string_view part, double seconds = 1.0,
                  TemplateLimits limits = {}) {
  const std::string message = error_of(source, Json::object(), seconds, limits);
  EXPECT_NE(message.find(part), std::string::npos) << source.substr(0, 80) << "\n" << message;
}

std::string repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ChatTemplate, JI01_RecursionEndsInTheCallDepth) {
  expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "call depth", 0.1);
  expect_error(
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      "call depth", 0.1);
  expect_error(
      "{% macro m() %}{{ caller() }}{% endmacro %}"
      "{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
      "call depth", 0.1);
  expect_error("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "call depth", 0.1);
  expect_error("{% macro m(x=m()) %}{% endmacro %}{{ m() }}", "call depth", 0.1);
}

TEST(ChatTemplate, JI01_DepthBelowTheLimitIsFine) {
  EXPECT_EQ(text_of("{% macro m(n) %}{{ m(n - 1) if n else 'end' }}{% endmacro %}{{ m(60) }}"),
            "end");
}

TEST(ChatTemplate, JI02_Ranges) {
  expect_error("{{ range(10 ** 9) }}", "range too big");
  expect_error("{{ range(-9223372036854775807 - 1, 9223372036854775807) }}", "range too big");
  expect_error("{{ range(9223372036854775807, -9223372036854775807 - 1, -1) }}", "range too big");
  expect_error("{{ range(0, 5, 0) }}", "must not be zero");
  expect_error("{{ range(9223372036854775808) }}", "64 bits");
  EXPECT_EQ(text_of("{{ range(1, 0) | list }}{{ range(0) | list }}{{ range(3, 0, -2) | list }}"),
            "[][][3, 1]");
  EXPECT_EQ(text_of("{{ range(9223372036854775805, 9223372036854775807, 2) | list }}"),
            "[9223372036854775805]");
  EXPECT_EQ(text_of("{{ range(0, 9223372036854775807, 4611686018427387904) | list }}"),
            "[0, 4611686018427387904]");
}

TEST(ChatTemplate, JI03_NestedLoopsEndInTheStepBudget) {
  expect_error(
      "{% set r = range(20000) %}{% for a in r %}{% for b in r %}{% for c in r %}"
      "{% endfor %}{% endfor %}{% endfor %}",
      "step budget");
  expect_error("{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}",
               "budget");
}

// Each filter or method is one step of the template, but not of the machine.
TEST(ChatTemplate, JI03_LargeWorkInOneStepIsCounted) {
  TemplateLimits limits;
  limits.steps /= 10;
  const std::string text = "{% set s = 'ab' * 500000 %}{% for i in range(100000) %}";
  for (const char* work :
       {"s.count('a')", "s | upper", "s.find('zz')", "s == s ~ ''", "'zz' in s", "s | wordcount",
        "s[::-1]", "s | trim('ab')", "s | tojson", "s | length ~ s", "s.split('b') | length",
        "s.replace('a', 'c')", "s | int", "s[1:] < s"}) {
    expect_error(text + "{% if " + work + " %}{% endif %}{% endfor %}", "budget", 1.0, limits);
  }
  const std::string list = "{% set l = range(100000) | list %}{% for i in range(100000) %}";
  for (const char* work :
       {"l | sort", "l | join", "l + l", "-1 in l", "l | max", "l | sum", "l == l + []",
        "l | map('string') | list", "l | unique | list", "l | batch(3) | list",
        "l | reverse | list", "l[::-1]", "l | tojson", "l | select('odd') | list"}) {
    expect_error(list + "{% if " + work + " %}{% endif %}{% endfor %}", "budget", 1.0, limits);
  }
}

// Searches are linear even for a needle that almost matches everywhere; hashing a key is work.
TEST(ChatTemplate, JI03_WorkThatATemplateCanMakeQuadratic) {
  const std::string setup =
      "{% set s = 'a' * 4000000 %}{% set n = 'a' * 1000000 ~ 'b' ~ 'a' * 1000000 %}";
  for (const char* work : {"n in s", "s.find(n)", "s.rfind(n)", "s.count(n)", "s.split(n) | length",
                           "s.index('a' ~ s)", "s.rsplit(n) | length", "s.partition(n)",
                           "s.rpartition(n)", "s.replace(n, '')"}) {
    const std::clock_t begin = std::clock();
    const auto result = render(setup + "{% if " + work + " %}{% endif %}");
    const double took = seconds_since(begin);
    EXPECT_TRUE(!kTimed || took < kSlowMachine * 2) << took << " s: " << work;
  }
  TemplateLimits limits;
  limits.steps /= 10;
  const std::string loop = "{% set s = 'ab' * 500000 %}{% for i in range(100000) %}";
  for (const char* work : {"s in {}", "{}.get(s)", "{s: 1}", "namespace(a=1)[s]", "s is filter"}) {
    expect_error(loop + "{% if " + work + " %}{% endif %}{% endfor %}", "budget", 1.0, limits);
  }
}

TEST(ChatTemplate, JI04_MapOfMap) {
  const std::string deep =
      "{% set ns = namespace(l=[1]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor "
      "%}";
  const std::string message = error_of(deep + "{{ ns.l | map(*(['map'] * 100000)) | list }}");
  EXPECT_TRUE(message.find("deeper") != message.npos || message.find("budget") != message.npos)
      << message;
  EXPECT_EQ(
      text_of(
          "{{ [[[-1]]] | map('map', 'map', 'abs') | map('map', 'list') | map('list') | list }}"),
      "[[[1]]]");
}

TEST(ChatTemplate, JI04_DeepNesting) {
  const size_t n = 20'000;
  expect_error("{{ " + repeat("(", n) + "1" + repeat(")", n) + " }}", "nesting");
  expect_error(repeat("{% if 1 %}", n) + repeat("{% endif %}", n), "nesting");
  expect_error("{{ x" + repeat(".a", n) + " }}", "nesting");
  expect_error("{{ " + repeat("[", n) + repeat("]", n) + " }}", "nesting");
  expect_error("{{ " + repeat("{'a': ", n) + "1" + repeat("}", n) + " }}", "nesting");
  expect_error("{{ 1" + repeat(" + 1", n) + " }}", "nesting");
  expect_error("{{ " + repeat("not ", n) + "1 }}", "nesting");
  expect_error("{{ " + repeat("-", n) + "1 }}", "nesting");
  expect_error("{{ 1" + repeat(" | abs", n) + " }}", "nesting");
  expect_error("{{ 1" + repeat(" if 1", n) + " }}", "nesting");
  expect_error("{{ " + repeat("1 if 1 else ", n) + "1 }}", "nesting");
  expect_error("{{ f" + repeat("()", n) + " }}", "nesting");
  expect_error("{{ f" + repeat("(f", n) + repeat(")", n) + " }}", "nesting");
  expect_error("{% for " + repeat("(", n) + "a" + repeat(",)", n) + " in x %}{% endfor %}",
               "nesting");
  expect_error(repeat("{% filter upper %}", n) + repeat("{% endfilter %}", n), "nesting");
}

TEST(ChatTemplate, JI04_DeepValues) {
  // A list that holds itself 100 000 deep is made one level at a time, and let go without
  // recursion.
  const std::string deep =
      "{% set ns = namespace(l=[], m=[]) %}{% for i in range(100000) %}"
      "{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% endfor %}";
  EXPECT_EQ(text_of(deep + "ok"), "ok");
  for (const char* use : {"{{ ns.l }}", "{{ ns.l | tojson }}", "{{ ns.l == ns.m }}",
                          "{{ ns.l | string }}", "{{ {(ns.l,): 1} }}"}) {
    EXPECT_NE(text_of(deep + use).find("error"), std::string::npos) << use;
  }
  Json context = 1;
  for (int i = 0; i < 1000; ++i) context = Json::array({std::move(context)});
  EXPECT_NE(error_of("{{ x }}", {{"x", context}}).find("deeper"), std::string::npos);
}

TEST(ChatTemplate, JI05_DoublingEndsInTheMemoryBudget) {
  expect_error(
      "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}"
      "{% endfor %}",
      "output/memory budget");
  expect_error(
      "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = ns.l + ns.l %}"
      "{% endfor %}",
      "budget");
  expect_error("{% for i in range(1000000) %}{{ 'x' * 1000 }}{% endfor %}", "budget");
  expect_error("{{ 'x' * 10 ** 12 }}", "output/memory budget");
  expect_error("{{ [1] * 10 ** 12 }}", "output/memory budget");
  expect_error("{{ 'x' | center(10 ** 12) }}", "output/memory budget");
  expect_error("{{ 'x'.ljust(9223372036854775807) }}", "output/memory budget");
  expect_error("{{ 'a\nb' | indent(10 ** 12) }}", "output/memory budget");
  expect_error("{{ [1] | tojson(indent=10 ** 12) }}", "output/memory budget");
  expect_error("{{ '%999999999999d' % 1 }}", "above");
  expect_error("{{ '{:999999999999}'.format(1) }}", "above");
  expect_error("{{ [1] | batch(10 ** 12, 0) | list }}", "budget");
  expect_error("{{ [1] | slice(10 ** 12) | list }}", "budget");
  expect_error("{{ ('x' * 1000000).replace('x', 'y' * 1000) }}", "output/memory budget");
  expect_error("{{ ('x' * 1000000).replace('', 'y' * 1000) }}", "output/memory budget");
  expect_error("{{ (['x' * 10000] * 10000) | join }}", "output/memory budget");
  expect_error(
      "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}"
      "{% set ns.l = ns.l + ['x' * 10000] %}{% endfor %}",
      "budget");
}

TEST(ChatTemplate, JI06_ArithmeticNeverTraps) {
  const std::string min = "(-9223372036854775807 - 1)";
  expect_error("{{ 1 % 0 }}", "zero");
  expect_error("{{ 1 // 0 }}", "zero");
  expect_error("{{ 1 / 0 }}", "zero");
  expect_error("{{ 1.0 % 0 }}", "modulo");
  expect_error("{{ 1 is divisibleby(0) }}", "zero");
  expect_error("{{ " + min + " // -1 }}", "64 bits");
  expect_error("{{ " + min + " | abs }}", "64 bits");
  expect_error("{{ -" + min + " }}", "64 bits");
  expect_error("{{ " + min + " - 1 }}", "64 bits");
  expect_error("{{ " + min + " * -1 }}", "64 bits");
  expect_error("{{ 10 ** 30 }}", "64 bits");
  expect_error("{{ 1e300 | int }}", "64 bits");
  expect_error("{{ '99999999999999999999' | int }}", "64 bits");
  expect_error("{{ 9223372036854775807 | round(-1) }}", "64 bits");
  EXPECT_EQ(text_of("{{ " + min + " % -1 }} {{ " + min + " }} {{ 'abc'[" + min +
                    ":] }} {{ 'abc'[::" + min + "] }} {{ 'abc'[9223372036854775807] }}"),
            "0 -9223372036854775808 abc c ");
}

TEST(ChatTemplate, JI07_InternalsOfPythonAreUndefinedAndInert) {
  EXPECT_EQ(
      text_of(
          "{{ ''.__class__ }}{{ [].__class__ }}{{ cycler.__init__ }}{{ range.__globals__ }}"
          "{{ (x | default({})).__class__ }}{{ 'a' | attr('__class__') }}{{ ''['__class__'] }}"),
      "");
  EXPECT_EQ(text_of("{{ ''.__class__ is defined }}{{ namespace().__class__ is defined }}"),
            "FalseFalse");
  expect_error("{{ ''.__class__.__mro__ }}", "1:");
  expect_error("{{ cycler.__init__.__globals__ }}", "unsafe");
  expect_error("{{ '{0.__class__.__mro__}'.format(1) }}", "unsafe");
  expect_error("{% set l = [1] %}{{ l.append(2) }}", "unsafe");
  expect_error("{{ {}.update({}) }}", "unsafe");
  expect_error(
      "{{ [] | map(attribute='__class__.__mro__') | list }}{{ [1] | "
      "map(attribute='__class__.__mro__') | list }}",
      "unsafe");
}

TEST(ChatTemplate, JI08_RaisedTextIsTheMessage) {
  EXPECT_EQ(error_of("{{ raise_exception('Roles must alternate: ' ~ 2) }}"),
            "Roles must alternate: 2");
  EXPECT_EQ(
      error_of("{% for x in [1] %}{% if x %}{{ raise_exception('é 日') }}{% endif %}{% endfor %}"),
      "é 日");
  EXPECT_EQ(text_of("{% if false %}{{ raise_exception('x') }}{% endif %}ok"), "ok");
}

TEST(ChatTemplate, JI09_UnknownNamesFailAtLoadWithLineAndColumn) {
  const auto load_error = [](const std::string& source) {
    const auto parsed = ChatTemplate::parse(source);
    EXPECT_FALSE(parsed.ok()) << source;
    return parsed.ok() ? "" : parsed.error().message;
  };
  EXPECT_EQ(load_error("a\n {{ x | nosuch }}"), "chat template: 2:9: no filter named 'nosuch'");
  EXPECT_EQ(load_error("é{{ x is nosuch }}"), "chat template: 1:10: no test named 'nosuch'");
  EXPECT_EQ(load_error("{% if x %}\n{% nosuch %}"),
            "chat template: 2:4: unknown tag 'nosuch'; the innermost open tag is 'if'");
  EXPECT_EQ(load_error("{% if false %}{{ x | nosuch }}{% endif %}"),
            "chat template: 1:22: no filter named 'nosuch'");
  EXPECT_NE(load_error("{% include 'x' %}").find("1:4"), std::string::npos);
  EXPECT_NE(load_error("{{ x").find("1:5"), std::string::npos);
  EXPECT_NE(load_error(std::string("a\xff")).find("UTF-8"), std::string::npos);
  EXPECT_NE(load_error(std::string(2 << 20, ' ')).find("limit"), std::string::npos);
}

TEST(ChatTemplate, ErrorsWhileRenderingNameLineAndColumn) {
  EXPECT_EQ(error_of("a\nb {{ x.y }}"), "chat template: 2:7: 'x' is undefined");
  EXPECT_EQ(error_of("{% for a in 5 %}{% endfor %}"),
            "chat template: 1:13: 'int' object is not iterable");
}

// Whether a conversation without a template is refused is the session's decision; nothing here
// makes one up.
TEST(ChatTemplate, JI12_AnEmptyTemplateIsNotChatML) {
  EXPECT_EQ(text_of("", {{"messages", Json::array({{{"role", "user"}, {"content", "Hi"}}})}}), "");
}

TEST(ChatTemplate, IsReusableAndMoves) {
  auto parsed = ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n "
      "}}");
  ASSERT_TRUE(parsed.ok());
  const ChatTemplate moved = std::move(*parsed);
  EXPECT_EQ(*moved.render({{"l", {1, 2}}}), "3");
  EXPECT_EQ(*moved.render({{"l", {5}}}), "5");
  EXPECT_EQ(*moved.render(Json()), "0");
}

}  // namespace
}  // namespace awq
