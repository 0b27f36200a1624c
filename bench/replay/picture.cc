#include "bench/replay/picture.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace hakmem::bench {
namespace {

constexpr double kWidth = 900;
constexpr double kHeight = 420;
constexpr double kLeft = 90;
constexpr double kRight = 130;
constexpr double kTop = 50;
constexpr double kBottom = 50;
constexpr double kMib = 1024 * 1024;
constexpr char kResidentColour[] = "#d1001f";
constexpr char kLiveColour[] = "#0072b2";

// The least of 1, 2 and 5 times a power of ten that divides `range` into at most five parts.
double TickStep(double range) {
  double step = 1e-9;
  for (int i = 0; range / step > 5; ++i) step *= i % 3 == 1 ? 2.5 : 2;
  return step;
}

class Axes {
 public:
  Axes(double most_x, double most_y) : most_x_(most_x), most_y_(most_y) {}

  double X(double value) const { return kLeft + (kWidth - kLeft - kRight) * value / most_x_; }
  double Y(double value) const { return kHeight - kBottom - (kHeight - kTop - kBottom) * value / most_y_; }

  void Draw(std::string* out) const {
    const double y_step = TickStep(most_y_);
    for (double value = 0; value <= most_y_; value += y_step) {
      absl::StrAppendFormat(out,
                            "<path d='M%.1f %.1fH%.1f' stroke='#dde1e6'/><text x='%.1f' y='%.1f' text-anchor='end'>%g "
                            "MiB</text>\n",
                            kLeft, Y(value), kWidth - kRight, kLeft - 8, Y(value) + 4, value);
    }
    const double x_step = TickStep(most_x_);
    for (double value = 0; value <= most_x_; value += x_step) {
      absl::StrAppendFormat(out, "<text x='%.1f' y='%.1f' text-anchor='middle'>%.0f</text>\n", X(value),
                            kHeight - kBottom + 18, value);
    }
    absl::StrAppendFormat(out, "<text x='%.1f' y='%.1f' text-anchor='middle'>operations</text>\n",
                          (kLeft + kWidth - kRight) / 2, kHeight - 10);
  }

 private:
  const double most_x_;
  const double most_y_;
};

template <class Value>
void DrawLine(const Axes& axes, const std::vector<MemoryPoint>& points, const char* name, const char* colour,
              Value value, std::string* out) {
  std::string path;
  for (const MemoryPoint& point : points) {
    absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : "L", axes.X(static_cast<double>(point.operation)),
                          axes.Y(static_cast<double>(value(point)) / kMib));
  }
  absl::StrAppendFormat(out, "<path d='%s' fill='none' stroke='%s' stroke-width='2'/>\n", path, colour);
  absl::StrAppendFormat(out, "<text x='%.1f' y='%.1f' fill='%s'>%s</text>\n", kWidth - kRight + 8,
                        axes.Y(static_cast<double>(value(points.back())) / kMib) + 4, colour, name);
}

}  // namespace

std::string MemoryPicture(const std::string& title, const std::vector<MemoryPoint>& points) {
  double most_x = 1;
  double most_y = 1.0 / 1024;
  for (const MemoryPoint& point : points) {
    most_x = std::max(most_x, static_cast<double>(point.operation));
    most_y = std::max(most_y, static_cast<double>(std::max(point.live, point.resident)) / kMib);
  }
  const Axes axes(most_x, most_y * 1.05);
  std::string out = absl::StrFormat(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' font-family='system-ui,sans-serif' "
      "font-size='12' fill='#1f2933'>\n<rect width='100%%' height='100%%' fill='#fff'/>\n"
      "<text x='%.0f' y='28' font-size='15'>%s</text>\n",
      kWidth, kHeight, kLeft, absl::StrReplaceAll(title, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}}));
  axes.Draw(&out);
  if (!points.empty()) {
    DrawLine(axes, points, "resident", kResidentColour, [](const MemoryPoint& point) { return point.resident; }, &out);
    DrawLine(axes, points, "live", kLiveColour, [](const MemoryPoint& point) { return point.live; }, &out);
  }
  return out + "</svg>\n";
}

}  // namespace hakmem::bench
