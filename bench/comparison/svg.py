"""Pictures as SVG text: axes, dots, lines, and labels that keep out of each other's way."""

import html
import math
import re

FONT = "font-family='system-ui,sans-serif'"
GRID = "#dde1e6"
INK = "#1f2933"
FAINT = "#52606d"

# Colours that stay apart for most kinds of colour blindness; for whom that is not enough every allocator has a shape and a
# dash of its own, too. hakmem's colour and shape are nobody else's.
HAKMEM_COLOUR = "#d1001f"
COLOURS = ["#0072b2", "#009e73", "#e69f00", "#56b4e9", "#8a4fbf", "#6b4e16", "#5f6b76", "#c45a9c", "#00545c", "#93a800",
           "#f28e6b", "#222222"]
# Shapes by outline in units of the size; 'ring' and 'disc' are circles.
SHAPES = {
    "disc": None,
    "square": [(-.85, -.85), (.85, -.85), (.85, .85), (-.85, .85)],
    "triangle": [(0, -1), (1, .9), (-1, .9)],
    "down": [(0, 1), (1, -.9), (-1, -.9)],
    "ring": None,
    "bar": [(-1.2, -.45), (1.2, -.45), (1.2, .45), (-1.2, .45)],
    "hourglass": [(-.9, -1), (.9, -1), (-.9, 1), (.9, 1)],
    "left": [(-1, 0), (.9, -1), (.9, 1)],
    "post": [(-.45, -1.2), (.45, -1.2), (.45, 1.2), (-.45, 1.2)],
    "right": [(1, 0), (-.9, -1), (-.9, 1)],
    "hexagon": [(-1.05, 0), (-.55, -.95), (.55, -.95), (1.05, 0), (.55, .95), (-.55, .95)],
    "arch": [(-1, .9), (-1, -.9), (1, -.9), (1, .9), (.35, .9), (.35, -.2), (-.35, -.2), (-.35, .9)],
    "diamond": [(0, -1.6), (1.6, 0), (0, 1.6), (-1.6, 0)],
}
MARKERS = [name for name in SHAPES if name != "diamond"]
DASHES = ["", "7 3", "2 2", "10 3 2 3"]


def darker(colour, share=0.62):
    """For text, which is thin: light colours are hard to read on white."""
    return "#" + "".join("%02x" % int(int(colour[at:at + 2], 16) * share) for at in (1, 3, 5))


class Style:
    """The colour and marker of every allocator, the same in all pictures."""

    def __init__(self, names):
        self.names = names
        others = [name for name in names if name != "hakmem"]
        self.colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(others)}
        self.markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(others)}
        self.dashes = {name: DASHES[i % len(DASHES)] for i, name in enumerate(others)}
        self.colours["hakmem"], self.markers["hakmem"], self.dashes["hakmem"] = HAKMEM_COLOUR, "diamond", ""

    def ink(self, name):
        """The colour of the allocator's name."""
        return self.colours[name] if name == "hakmem" else darker(self.colours[name])

    def marker(self, name, x, y, title, size=4.5):
        colour, shape = self.colours[name], self.markers[name]
        tip = "<title>%s</title>" % html.escape(title)
        if shape == "ring":
            return ("<circle cx='%.1f' cy='%.1f' r='%.1f' fill='#fff' fill-opacity='.6' stroke='%s' stroke-width='2'>%s</circle>" %
                    (x, y, size * .85, colour, tip))
        if shape == "disc":
            return ("<circle cx='%.1f' cy='%.1f' r='%.1f' fill='%s' fill-opacity='.85' stroke='#fff' stroke-width='.7'>%s"
                    "</circle>" % (x, y, size, colour, tip))
        outline = "L".join("%.1f %.1f" % (x + dx * size, y + dy * size) for dx, dy in SHAPES[shape])
        return ("<path d='M%sz' fill='%s' fill-opacity='%s' stroke='#fff' stroke-width='.7'>%s</path>" %
                (outline, colour, 1 if shape == "diamond" else .85, tip))

    def legend(self, names):
        """A line of HTML with the mark and name of each."""
        parts = []
        for name in names:
            parts.append("<span class='key'><svg width='18' height='16'>%s</svg>%s</span>" %
                         (self.marker(name, 9, 8, name), html.escape(name)))
        return "<p class='legend'>%s</p>" % "".join(parts)


def text(x, y, content, size=12, colour=INK, anchor="start", weight="normal"):
    # A white rim keeps a name readable where it lies over a line.
    return ("<text x='%.1f' y='%.1f' font-size='%s' fill='%s' text-anchor='%s' font-weight='%s' paint-order='stroke' "
            "stroke='#fff' stroke-width='3' stroke-linejoin='round' %s>%s</text>" %
            (x, y, size, colour, anchor, weight, FONT, html.escape(content)))


def line(x1, y1, x2, y2, colour=GRID, width=1.0, dash=""):
    return ("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='%s'%s/>" %
            (x1, y1, x2, y2, colour, width, " stroke-dasharray='%s'" % dash if dash else ""))


def frame(width, height, parts, label):
    return ("<div class='picture'><svg viewBox='0 0 %d %d' role='img' aria-label='%s' style='width:100%%;max-width:%dpx'>%s"
            "</svg></div>" %
            (width, height, html.escape(label, quote=True), width, "".join(parts)))


def standalone(picture):
    """A picture as the text of a file of its own, on white."""
    start = picture.index("<svg ")
    inside = picture.index(">", start) + 1
    width, height = re.search(r"viewBox='0 0 (\d+) (\d+)'", picture).groups()
    root = re.sub(r"style='[^']*'", "width='%s' height='%s'" % (width, height), picture[start:inside])
    root = root.replace("<svg ", "<svg xmlns='http://www.w3.org/2000/svg' ", 1)
    return root + "<rect width='100%' height='100%' fill='#fff'/>" + picture[inside:picture.index("</svg>")] + "</svg>\n"


class Scale:
    """Values to pixels, linear or logarithmic; values outside are put on the edge."""

    def __init__(self, low, high, first, last, log=False):
        self.log = log
        self.low = math.log(low) if log else low
        self.high = math.log(high) if log else high
        if self.high <= self.low:
            self.high = self.low + 1
        self.first, self.last = first, last

    def __call__(self, value):
        at = math.log(max(value, 1e-12)) if self.log else value
        share = (min(max(at, self.low), self.high) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)


def nice_ticks(low, high, log):
    """About six round numbers from low to high."""
    if log:
        ticks = [mantissa * 10.0**power for power in range(-3, 13) for mantissa in (1, 2, 5)]
        ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) > 8:
            ticks = [tick for tick in ticks if math.log10(tick) % 1 < 1e-9 or math.log10(tick) % 1 > 1 - 1e-9]
        return ticks
    step = 10.0**math.floor(math.log10(max(high - low, 1e-9) / 3))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= 6:
            step *= factor
            break
    first = math.ceil(low / step)
    return [number * step for number in range(first, int(high / step + 1e-9) + 1)]


def spread_labels(wanted, gap, low, high):
    """Moves the wanted positions apart by at least `gap`, inside low..high where they fit; the order stays."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    last = low - gap
    for i in order:
        placed[i] = last = max(wanted[i], last + gap)
    last = high + gap
    for i in reversed(order):
        placed[i] = last = min(placed[i], last - gap)
    return placed


def ratio_dots(style, rows, means, title, most=4.0):
    """One line a load, one mark an allocator; x is the ratio to the best peer, on a logarithmic axis.

    rows: (name, {allocator: ratio}, note). means: {allocator: ratio}, drawn as the first row.
    """
    left, right, top, step = 130, 180, 34, 21
    width = 1100
    least = 0.5
    height = top + step * (len(rows) + 2) + 30
    x = Scale(least, most, left, width - right, log=True)
    bottom = height - 34
    parts = []
    for tick in (0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0):
        parts.append(line(x(tick), top - 8, x(tick), bottom, colour=INK if tick == 1 else GRID, width=1.2 if tick == 1 else 1))
        parts.append(text(x(tick), top - 14, "%g×" % tick, size=11, colour=FAINT, anchor="middle"))
        parts.append(text(x(tick), bottom + 15, "%g×" % tick, size=11, colour=FAINT, anchor="middle"))
    if any("hakmem" in ratios for _, ratios, _ in rows):
        parts.append(text(width - right + 22, top - 14, "hakmem", size=11, colour=HAKMEM_COLOUR, weight="bold"))
    parts.append(text(width - 2, top - 14, "best peer", size=11, colour=FAINT, anchor="end"))
    entries = [("geometric mean", means, "")] + rows
    for number, (name, ratios, note) in enumerate(entries):
        y = top + step * (number + (0.5 if number == 0 else 1.0))
        if number == 0:
            parts.append("<rect x='0' y='%.1f' width='%d' height='%d' fill='#f2f5f8'/>" % (y - step / 2, width, step))
            parts[-1], parts[:] = parts[-1], [parts[-1]] + parts[:-1]
        elif number % 2 == 0:
            parts.insert(0, "<rect x='0' y='%.1f' width='%d' height='%d' fill='#fafbfc'/>" % (y - step / 2, width, step))
        parts.append(text(left - 12, y + 4, name, size=12, anchor="end", weight="bold" if number == 0 else "normal"))
        for allocator in sorted(ratios, key=lambda each: each == "hakmem"):
            ratio = ratios[allocator]
            parts.append(style.marker(allocator, x(ratio), y, "%s, %s: %.2f× the best peer" % (name, allocator, ratio)))
        # Those beyond the edge sit on it, and an arrow says that they lie farther out.
        beyond = sum(1 for ratio in ratios.values() if ratio > most)
        if beyond:
            parts.append(text(width - right + 5, y + 4, "›", size=13, colour=FAINT))
        if "hakmem" in ratios:
            parts.append(text(width - right + 22, y + 4, "%.2f×" % ratios["hakmem"], size=12, weight="bold"))
        parts.append(text(width - 2, y + 4, note, size=10.5, colour=FAINT, anchor="end"))
    return frame(width, height, parts, title)


def scatter(style, points, title, x_title, y_title):
    """points: {name: (x, y)}; names stand beside their marks, at the first place where they hide nothing."""
    width, height, left, right, top, bottom = 760, 460, 70, 40, 20, 56
    xs, ys = [p[0] for p in points.values()] + [1.0], [p[1] for p in points.values()] + [1.0]
    x = Scale(min(xs) * 0.93, max(xs) * 1.1, left, width - right, log=True)
    y = Scale(min(ys) * 0.93, max(ys) * 1.1, height - bottom, top, log=True)
    parts = []
    ticks = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10]
    for scale, low, high, vertical in ((x, min(xs) * 0.93, max(xs) * 1.1, True), (y, min(ys) * 0.93, max(ys) * 1.1, False)):
        last = None
        for tick in ticks:
            at = scale(tick)
            if not low <= tick <= high or (last is not None and abs(at - last) < 34):
                continue
            last = at
            strong = INK if tick == 1 else GRID
            if vertical:
                parts.append(line(at, top, at, height - bottom, colour=strong))
                parts.append(text(at, height - bottom + 16, "%g×" % tick, size=11, colour=FAINT, anchor="middle"))
            else:
                parts.append(line(left, at, width - right, at, colour=strong))
                parts.append(text(left - 8, at + 4, "%g×" % tick, size=11, colour=FAINT, anchor="end"))
    parts.append(text((left + width - right) / 2, height - 12, x_title, size=12, colour=FAINT, anchor="middle"))
    parts.append("<g transform='rotate(-90)'>%s</g>" % text(-(top + height - bottom) / 2, 16, y_title, size=12, colour=FAINT,
                                                            anchor="middle"))
    taken = [(x(a) - 9, y(b) - 9, x(a) + 9, y(b) + 9) for a, b in points.values()]
    for name in sorted(points, key=lambda each: each != "hakmem"):
        px, py = x(points[name][0]), y(points[name][1])
        wide = (10.4 if name == "hakmem" else 7.6) * len(name)
        places = [(px + 13, py + 4), (px - 13 - wide, py + 4), (px - wide / 2, py - 13), (px - wide / 2, py + 22)]
        places += [(px + 13, py + 4 + dy) for dy in (14, -14, 28, -28, 42, -42)]
        places += [(px - 13 - wide, py + 4 + dy) for dy in (14, -14, 28, -28)]
        for lx, ly in places:
            box = (lx, ly - 11, lx + wide, ly + 3)
            inside = left < box[0] and box[2] < width and top < box[1] and box[3] < height - bottom
            if inside and all(box[2] < t[0] or t[2] < box[0] or box[3] < t[1] or t[3] < box[1] for t in taken):
                break
        else:
            lx, ly = places[0]
            box = (lx, ly - 11, lx + wide, ly + 3)
        taken.append(box)
        parts.append(text(lx, ly, name, size=13, colour=style.ink(name), weight="bold" if name == "hakmem" else "normal"))
    for name in sorted(points, key=lambda each: each == "hakmem"):
        px, py = points[name]
        parts.append(style.marker(name, x(px), y(py), "%s: time %.2f×, memory %.2f×" % (name, px, py), size=5.5))
    return frame(width, height, parts, title)


def lines(style, series, title, x_title, y_title, width=760, height=380, x_log=False, y_log=False, x_names=None,
          y_format="%g".__mod__, y_low=None):
    """series: {name: [(x, y)]}; every line carries its name at its end. x_names: {x: label} in place of round numbers."""
    left, right, top, bottom = 74, 34 + 7.2 * max(max(len(name) for name in series), 10), 16, 52
    xs = [point[0] for points in series.values() for point in points]
    ys = [point[1] for points in series.values() for point in points]
    low = y_low if y_low is not None else min(ys) * 0.9
    high = max(ys) * (1.15 if y_log else 1.05)
    x = Scale(min(xs), max(xs), left, width - right, log=x_log)
    y = Scale(low, high, height - bottom, top, log=y_log)
    parts = []
    last = None
    for tick in (x_names if x_names else nice_ticks(min(xs), max(xs), x_log)):
        if last is not None and abs(x(tick) - last) < 36:
            continue
        last = x(tick)
        parts.append(line(x(tick), top, x(tick), height - bottom))
        parts.append(text(x(tick), height - bottom + 16, x_names[tick] if x_names else "%g" % tick, size=11, colour=FAINT,
                          anchor="middle"))
    for tick in nice_ticks(low, high, y_log):
        parts.append(line(left, y(tick), width - right, y(tick)))
        parts.append(text(left - 8, y(tick) + 4, y_format(tick), size=11, colour=FAINT, anchor="end"))
    parts.append(text((left + width - right) / 2, height - 12, x_title, size=12, colour=FAINT, anchor="middle"))
    parts.append("<g transform='rotate(-90)'>%s</g>" % text(-(top + height - bottom) / 2, 15, y_title, size=12, colour=FAINT,
                                                            anchor="middle"))
    names = list(series)
    ends = spread_labels([y(series[name][-1][1]) for name in names], 14, top + 6, height - bottom)
    for name, label_y in sorted(zip(names, ends), key=lambda each: each[0] == "hakmem"):
        points = sorted(series[name])
        ours = name == "hakmem"
        path = "M" + "L".join("%.1f %.1f" % (x(a), y(b)) for a, b in points)
        parts.append("<path d='%s' fill='none' stroke='%s' stroke-width='%s' stroke-opacity='%s'%s><title>%s</title></path>" %
                     (path, style.colours[name], 3 if ours else 1.8, 1 if ours else 0.85,
                      " stroke-dasharray='%s'" % style.dashes[name] if style.dashes[name] else "", html.escape(name)))
        if len(points) <= 24:
            for a, b in points:
                where = x_names.get(a, "%g" % a) if x_names else "%g" % a
                parts.append(style.marker(name, x(a), y(b), "%s, %s: %s" % (name, where, y_format(b)), size=3.4))
        parts.append(line(x(points[-1][0]) + 3, y(points[-1][1]), width - right + 14, label_y, colour=style.colours[name],
                          width=0.7))
        parts.append(text(width - right + 17, label_y + 4, name, size=12, colour=style.ink(name),
                          weight="bold" if ours else "normal"))
    return frame(width, height, parts, title)
